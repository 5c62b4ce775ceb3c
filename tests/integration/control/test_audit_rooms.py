"""Whatever is changed of organisations, jobs and the platform is told, each in its own transaction: see
`tests.support.told`."""

from functools import partial
from uuid import UUID

from control.jobs.model import Job
from control.plane import Plane
from tests.integration.control.test_audit_search import operator
from tests.integration.control.test_delivery import CONTENT, stored
from tests.integration.fleet.test_dead_letters import dead
from tests.integration.people.outbox import token
from tests.support.control import PASSWORD, Api, magnet, torrent_file
from tests.support.fleet import add_agent, new_pool
from tests.support.told import EVERYTHING, JOBS, ORGANISATIONS, PLATFORM, Told, somebody
from wire.ids import TransferId
from wire.units import MIB

VERIFY = "UPDATE people SET email_verified_at = now() WHERE id = '{}'"
ENDLESS = "/events"
ASKS = {"/api/v1/admin/search": "?q=tests"}
"""Of what answers nothing to who asks nothing."""


async def test_everything_that_is_changed_of_organisations_is_told(own: Api, told: Told) -> None:
    async with somebody(own) as boss, somebody(own) as guest:
        await own.databases.sql(VERIFY.format(guest.id))
        call, theirs = partial(told.call, boss.http, by=boss.name), partial(told.call, guest.http, by=guest.name)
        org = (await call("POST /api/v1/organisations", {"name": "Second"})).json()["id"]
        await call("POST /api/v1/organisations/{org_id}/enter", org_id=org)
        await call("PATCH /api/v1/organisation", {"name": "Better"})
        await call("PATCH /api/v1/organisation/speed", {"down_max": MIB})
        member = "/api/v1/organisation/members/{person_id}"
        for leaves in (True, False):
            await call("POST /api/v1/organisation/invitations", {"email": guest.email})
            link = {"token": await token(own.plane, guest.email, "invitation")}
            await told.call(guest.http, "POST /api/v1/invitations/look", link)
            await theirs("POST /api/v1/invitations/accept", link)
            if leaves:
                await call(f"PATCH {member}", {"role": "admin"}, person_id=guest.id)
                await theirs("POST /api/v1/organisations/{org_id}/leave", org_id=org)
            else:
                await call(f"DELETE {member}", person_id=guest.id)
        sent = (await call("POST /api/v1/organisation/invitations", {"email": "a@example.org"})).json()["id"]
        invitation = "/api/v1/organisation/invitations/{invitation_id}"
        await call(f"POST {invitation}/resend", invitation_id=sent)
        await call(f"DELETE {invitation}", invitation_id=sent)
        for kind in ("csv", "jsonl"):
            await call(f"GET /api/v1/audit.{kind}")
        await call("POST /api/v1/organisation/close", {"confirm": "Better"})
    assert told.done == ORGANISATIONS.keys()


async def test_everything_that_is_changed_of_jobs_is_told(own: Api, told: Told) -> None:
    async with somebody(own) as mine:
        call = partial(told.call, mine.http, by=mine.name)
        await call("POST /api/v1/torrents/inspect", {"magnet": magnet("c0")})
        whole = (await call("POST /api/v1/jobs", files=upload("whole", size=len(CONTENT)))).json()["id"]
        await stored(own.plane, whole)
        await call("POST /api/v1/jobs/{job_id}/files/{index}/link", job_id=whole, index="0")

        job, at = (
            (await call("POST /api/v1/jobs", files=upload("steered", files=3))).json()["id"],
            "/api/v1/jobs/{job_id}",
        )
        for change in ({"files": [1]}, {"name": "mine"}, {"priority": "high"}, {"down_max": MIB, "up_max": MIB}):
            await call(f"PATCH {at}", change, job_id=job)
        await call(f"POST {at}/pause", job_id=job)
        await call(f"POST {at}/resume", job_id=job)
        await runs(own.plane, job)
        await call(f"POST {at}/reannounce", job_id=job)
        await call(f"POST {at}/cancel", job_id=job)
        await call(f"POST {at}/retry", job_id=job)
        await call(f"POST {at}/cancel", job_id=job)
        await call(f"DELETE {at}", job_id=job)
    assert told.done == JOBS.keys()


def upload(name: str, **more: int) -> dict[str, tuple[str, bytes]]:
    return {"torrent": ("a", torrent_file(f"told {name}", **more))}


async def runs(plane: Plane, job: str) -> None:
    async with plane.working() as tx:
        transfer = TransferId((await tx.get_one(Job, UUID(job))).transfer_id)
    agent = await add_agent(plane)
    await agent.claim(transfer)
    await agent.sync(agent.report(transfer))


async def test_everything_that_is_changed_of_the_platform_is_told(own: Api, told: Told) -> None:
    letter, _ = await dead(own.plane)
    agent, pool = await add_agent(own.plane), new_pool()
    async with operator(own) as admin, somebody(own) as helper:
        call = partial(told.call, admin, by="key:")
        role = {"email": helper.email, "role": "support", "reason": "they help from now on", "password": PASSWORD}
        await call("PUT /api/v1/admin/roles", role)
        await call("POST /api/v1/admin/dead-letters/replay", {"ids": [str(letter.transfer)]})
        for kind in ("csv", "jsonl"):
            await call(f"GET /api/v1/admin/audit.{kind}")
        await call("PUT /api/v1/fleet/pools/{pool}", {"description": "big disks"}, pool=pool)
        await call("POST /api/v1/fleet/tokens", {"pool": pool})
        of_one = partial(call, agent=str(agent.id))
        await of_one("PATCH /api/v1/fleet/agents/{agent}", {"name": f"named-{agent.id}"})
        await of_one("PATCH /api/v1/fleet/agents/{agent}/speed", {"up_max": MIB})
        for verb in ("cordon", "uncordon", "drain"):
            await of_one(f"POST /api/v1/fleet/agents/{{agent}}/{verb}")
        await of_one("POST /api/v1/fleet/agents/{agent}/drain", {"hand_over": True}, says="fleet.handing_over")
        await of_one("POST /api/v1/fleet/agents/{agent}/retire", {"reason": "old"})
    assert told.done == PLATFORM.keys()


async def test_reading_changes_nothing(own: Api, told: Told) -> None:
    async with somebody(own) as admin:
        await own.databases.sql(f"UPDATE people SET platform_role = 'superadmin' WHERE id = '{admin.id}'")
        paths = (await admin.http.get("/api/schema")).json()["paths"]
        reads = [path for path, item in sorted(paths.items()) if "get" in item and f"GET {path}" not in EVERYTHING]
        plain = [path for path in reads if "{" not in path and not path.endswith(ENDLESS)]
        changed = {path: await told.changed(admin.http, path + ASKS.get(path, "")) for path in plain}
    assert len(changed) > 10
    assert {path: tables for path, tables in changed.items() if tables} == {}
