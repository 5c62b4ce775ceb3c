"""Suspension: who is suspended gets in nowhere from the next request on, and what worked for them waits."""

import asyncio

from sqlalchemy import update

from control.accounts.model import Organisation, Person
from control.audit.service import Actor
from control.jobs import steer
from control.loops import suspended
from control.plane import Plane
from control.transfers.model import Transfer
from tests.integration.control.test_stream import hearing, new_job
from tests.integration.fleet.test_blocked import open_door
from tests.support.control import PASSWORD
from tests.support.fleet import Wanted, add_transfer, claimed, read_job, read_transfer
from tests.support.member import Member, signed_up
from wire.clock import utcnow
from wire.ids import new_id
from wire.states import Intent, JobState, TransferState
from wire.units import TIB

MEMBER = Actor(name="person:tests")
WHY = {"reason": "a test wants it so"}
PROVED = {**WHY, "password": PASSWORD}


async def suspend(plane: Plane, kind: type[Person] | type[Organisation], of: object, *, ends: bool = False) -> None:
    """As the verb does it, and then what the loop makes of it."""
    async with plane.working() as tx:
        await tx.execute(update(kind).where(kind.id == of).values(suspended_at=None if ends else utcnow()))
    await suspended.step(plane, utcnow())


async def standing(plane: Plane, wanted: Wanted) -> tuple[JobState, Intent, Intent]:
    job, transfer = await read_job(plane, wanted.job), await read_transfer(plane, wanted.transfer)
    return job.state, job.intent, transfer.intent


PAUSED = (JobState.PAUSED, Intent.PAUSE, Intent.PAUSE)
RUNNING = (JobState.DOWNLOADING, Intent.RUN, Intent.RUN)


async def test_an_organisations_work_waits_on_its_agent_and_goes_on_there(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    await suspend(plane, Organisation, wanted.org)
    assert await standing(plane, wanted) == PAUSED
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert verdict.intent is Intent.PAUSE
    version = (await read_job(plane, wanted.job)).version
    await suspended.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).version == version, "the second step has nothing to do"
    await suspend(plane, Organisation, wanted.org, ends=True)
    assert await standing(plane, wanted) == RUNNING
    assert (await read_job(plane, wanted.job)).held_intent is None


async def test_what_was_paused_before_stays_paused_after(plane: Plane) -> None:
    wanted, _ = await claimed(plane, 100)
    async with plane.working() as tx:
        await steer.pause(tx, wanted.org, wanted.job, MEMBER, utcnow())
    await suspend(plane, Organisation, wanted.org)
    await suspend(plane, Organisation, wanted.org, ends=True)
    assert await standing(plane, wanted) == PAUSED


async def test_others_of_the_organisation_may_resume_what_a_suspended_person_asked_for(plane: Plane) -> None:
    wanted, _ = await claimed(plane, 100)
    person = (await read_job(plane, wanted.job)).person_id
    await suspend(plane, Person, person)
    assert await standing(plane, wanted) == PAUSED
    async with plane.working() as tx:
        await steer.resume(tx, wanted.org, wanted.job, MEMBER, utcnow())
    await suspended.step(plane, utcnow())
    assert await standing(plane, wanted) == RUNNING
    await suspend(plane, Organisation, wanted.org)
    assert await standing(plane, wanted) == PAUSED, "that holds for everybody"
    await suspend(plane, Person, person, ends=True)
    assert await standing(plane, wanted) == PAUSED
    await suspend(plane, Organisation, wanted.org, ends=True)
    assert await standing(plane, wanted) == RUNNING


async def test_what_was_cancelled_meanwhile_stays_so(plane: Plane) -> None:
    wanted = await add_transfer(plane, 100)
    person = (await read_job(plane, wanted.job)).person_id
    await suspend(plane, Person, person)
    async with plane.working() as tx:
        await steer.cancel(tx, wanted.org, wanted.job, MEMBER, utcnow())
    await suspend(plane, Person, person, ends=True)
    job, transfer = await read_job(plane, wanted.job), await read_transfer(plane, wanted.transfer)
    assert (job.state, job.held_intent, transfer.state) == (JobState.CANCELLED, None, TransferState.STOPPED)


async def test_what_has_no_room_any_more_stays_paused_for_its_members_to_resume(plane: Plane) -> None:
    wanted = await add_transfer(plane, 2 * TIB)
    await suspend(plane, Organisation, wanted.org)
    async with plane.working() as tx:  # its metadata came while it was paused: nothing is set aside for it
        (await tx.get_one(Transfer, wanted.transfer)).go = False
    await suspend(plane, Organisation, wanted.org, ends=True)
    assert await standing(plane, wanted) == PAUSED
    assert (await read_job(plane, wanted.job)).held_intent is None


async def me(member: Member) -> tuple[str, str]:
    said = (await member.http.get("/api/v1/auth/me")).json()
    return said["id"], said["organisation"]["id"]


async def credentials(member: Member) -> list[dict[str, str]]:
    """A key and a token from it, beside the session."""
    key = (await member.http.post("/api/v1/auth/keys", json={"name": "x"})).json()["secret"]
    by_key = {"Authorization": f"Bearer {key}"}
    token = (await member.http.post("/api/v1/auth/token", headers=by_key)).json()["token"]
    return [by_key, {"Authorization": f"Bearer {token}"}]


async def test_a_suspended_person_gets_in_nowhere_and_everywhere_again_afterwards(plane: Plane) -> None:
    async with open_door(plane) as door, signed_up(door.url) as member:
        person, _ = await me(member)
        shown = [{}, *await credentials(member)]
        account = {"email": member.email, "password": member.password}
        async with hearing(member.http, await new_job(member.http)) as said:
            assert (await anext(said))[0] == "snapshot"
            done = await door.admin.post(f"/admin/people/{person}/suspend", json=PROVED)
            assert (done.status_code, done.json()["reason"]) == (200, WHY["reason"])
            assert [event async for event in said if event[0] == "snapshot"] == [], "the stream ends"
        for headers in shown:
            for path in ("jobs", "auth/me", "auth/export"):
                answer = await member.http.get(f"/api/v1/{path}", headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (403, "suspended")
        right = await member.http.post("/api/v1/auth/login", json=account)
        wrong = await member.http.post("/api/v1/auth/login", json=account | {"password": "something else"})
        assert [(each.status_code, each.json()["code"]) for each in (right, wrong)] == [
            (403, "suspended"),
            (401, "bad_credentials"),
        ]
        await door.admin.post(f"/admin/people/{person}/unsuspend", json=PROVED)
        for headers in shown:
            assert (await member.http.get("/api/v1/jobs", headers=headers)).status_code == 200


async def test_in_a_suspended_organisation_nothing_is_done_but_looking_after_ones_own_account(plane: Plane) -> None:
    async with open_door(plane) as door, signed_up(door.url) as member:
        _, org = await me(member)
        by_key, by_token = await credentials(member)
        async with hearing(member.http, await new_job(member.http)) as said:
            assert (await anext(said))[0] == "snapshot"
            await door.admin.post(f"/admin/organisations/{org}/suspend", json=PROVED)
            assert [event async for event in said if event[0] == "snapshot"] == []
        asked = [("jobs", {}), ("organisation/members", {}), ("auth/me", by_key), ("auth/me", by_token)]
        for path, headers in asked:
            answer = await member.http.get(f"/api/v1/{path}", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "organisation_suspended"), path
        assert (await member.http.get("/api/v1/auth/me")).status_code == 200
        assert (await member.http.get("/api/v1/auth/export")).status_code == 200
        other = (await member.http.post("/api/v1/organisations", json={"name": "Another"})).json()["id"]
        assert (await member.http.post(f"/api/v1/organisations/{other}/enter")).status_code == 200
        assert (await member.http.get("/api/v1/jobs")).status_code == 200, "it is in another now"
        await door.admin.post(f"/admin/organisations/{org}/unsuspend", json=PROVED)
        assert (await member.http.get("/api/v1/jobs", headers=by_key)).status_code == 200


async def test_nobody_suspends_himself_or_what_is_not_there_and_twice_is_once(plane: Plane) -> None:
    async with open_door(plane) as door, signed_up(door.url) as member:
        mine = (await door.admin.get("/auth/me")).json()["id"]
        person, _ = await me(member)
        for path in (f"people/{mine}", f"people/{new_id()}", f"organisations/{new_id()}"):
            answer = await door.admin.post(f"/admin/{path}/suspend", json=PROVED)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(door.admin.post(f"/admin/people/{person}/suspend", json=PROVED))
        query = {"target": f"person:{person}", "action": "person.suspended"}
        rows = (await door.admin.get("/admin/audit", params=query)).json()["items"]
        assert [(row["severity"], row["detail"]) for row in rows] == [("warning", WHY)]
        nothing = await door.admin.post(f"/admin/people/{person}/suspend", json=PROVED | {"reason": " " * 10})
        assert (nothing.status_code, nothing.json()["code"]) == (422, "bad_input")
