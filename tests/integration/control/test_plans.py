"""Plans and quotas as members and admins meet them: admitted to the last byte, refused with a reason, warned."""

import asyncio
import datetime as dt
import secrets
from collections import Counter
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from control.accounts.permissions import OrgRole, PlatformRole
from control.loops import warn
from control.mail.model import Mail
from control.plane import Plane
from control.plans import traffic
from control.plans.model import TrafficKind
from tests.integration.control.test_delivery import CONTENT, stored
from tests.support.control import PASSWORD, torrent_file
from tests.support.people import Headers, People, Someone
from wire.clock import utcnow
from wire.units import GB

MANY = 50
RUNS = 3
SIZE = 1_000
REASON = {"reason": "A test."}
KNOWN = ("free", "pro", "business", "enterprise", "house")
"""Other tests may have made more."""


@pytest.fixture(scope="module")
async def boss(people: People) -> Headers:
    who = await people.join(await people.organisation(), OrgRole.OWNER, PlatformRole.SUPERADMIN)
    await people.with_password(who)
    return await people.session(who)


async def limited(people: People, boss: Headers, who: Someone, **limits: object) -> dict[str, Any]:
    body = {"limits": limits, **REASON}
    answer = await people.http.put(f"/admin/organisations/{who.org}/limits", json=body, headers=boss)
    assert answer.status_code == 200, answer.text
    usage: dict[str, Any] = answer.json()["usage"]
    return usage


async def add(people: People, headers: Headers, size: int = SIZE, **more: str) -> httpx.Response:
    data = torrent_file(secrets.token_hex(8), size=size)
    return await people.http.post("/jobs", files={"torrent": ("a", data)}, data=more, headers=headers)


async def answered(people: People, headers: Headers) -> httpx.Response:
    """Asked again where a slow machine's database had no connection free."""
    while (answer := await add(people, headers)).status_code == 503:
        pass
    return answer


async def usage(people: People, headers: Headers) -> dict[str, Any]:
    answer = await people.http.get("/organisation/usage", headers=headers)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def test_fifty_at_once_where_three_fit_are_three_and_never_four(people: People, boss: Headers) -> None:
    for _ in range(RUNS):
        mine = await people.owner()
        headers = await people.session(mine)
        await limited(people, boss, mine, storage_bytes=3 * SIZE + SIZE // 2)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(answered(people, headers)) for _ in range(MANY)]
        assert Counter(task.result().status_code for task in asked) == {201: 3, 403: MANY - 3}
        assert (await usage(people, headers))["storage"] == {
            "stored_bytes": 0, "reserved_bytes": 3 * SIZE, "left_bytes": SIZE // 2,
        }  # fmt: skip


async def test_a_refusal_says_which_limit_what_is_left_and_which_plan_has_room(people: People, boss: Headers) -> None:
    mine = await people.owner()
    headers = await people.session(mine)
    given = await people.http.put(
        f"/admin/organisations/{mine.org}/plan", json={"plan": "free", **REASON}, headers=boss
    )
    assert given.json()["usage"]["limits"] == {
        "active": 2, "open_jobs": 100, "storage_bytes": 5 * GB, "file_bytes": GB // 2, "traffic_bytes": 50 * GB,
        "kept_days": 7, "sessions": 5, "seeding": None,
    }  # fmt: skip
    refused = (await add(people, headers, 6 * GB // 10)).json()
    assert (refused["status"], refused["code"]) == (403, "file_too_large")
    roomy = refused["quota"].pop("plans")
    assert refused["quota"] == {
        "limit": "file_too_large", "needed": 6 * GB // 10, "left": GB // 2, "allowed": GB // 2,
    }  # fmt: skip
    assert [plan for plan in roomy if plan in KNOWN] == ["pro", "business", "enterprise"]
    assert ", ".join(roomy) in refused["detail"]
    await limited(people, boss, mine, storage_bytes=SIZE)
    refused = (await add(people, headers, SIZE + 1)).json()
    assert (refused["code"], refused["quota"]["left"], refused["quota"]["plans"][0]) == ("quota_spent", SIZE, "free")


async def test_the_monthly_traffic_of_what_is_under_way_is_taken(people: People, boss: Headers) -> None:
    mine = await people.owner()
    headers = await people.session(mine)
    await limited(people, boss, mine, traffic_bytes=2 * SIZE)
    assert [(await add(people, headers)).status_code for _ in range(2)] == [201, 201]
    refused = (await add(people, headers)).json()
    assert (refused["code"], refused["quota"]["left"]) == ("traffic_spent", 0)


async def test_too_many_open_jobs_are_refused_with_the_limit(people: People, boss: Headers) -> None:
    mine = await people.owner()
    headers = await people.session(mine)
    await limited(people, boss, mine, open_jobs=1)
    assert (await add(people, headers)).status_code == 201
    refused = (await add(people, headers)).json()
    assert (refused["code"], refused["quota"]["allowed"]) == ("too_many_jobs", 1)


async def test_a_link_counts_as_one_delivery_for_as_long_as_it_is_good(
    plane: Plane, people: People, boss: Headers
) -> None:
    mine = await people.owner()
    headers = await people.session(mine)
    job = (await add(people, headers, len(CONTENT))).json()
    await stored(plane, job["id"])
    url = f"/jobs/{job['id']}/files/0/link"
    for _ in range(3):
        assert (await people.http.post(url, headers=headers)).status_code == 201
    assert (await usage(people, headers))["traffic"]["delivery_bytes"] == len(CONTENT)
    async with plane.working() as tx:
        await tx.execute(
            text("UPDATE objects SET delivery_until = now() - interval '1 second' WHERE scope_id = :org"),
            {"org": mine.org},
        )
    await limited(people, boss, mine, traffic_bytes=2 * len(CONTENT) - 1)
    refused = await people.http.post(url, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "traffic_spent")


async def test_a_smaller_plan_ends_nothing_and_says_what_does_not_fit(people: People, boss: Headers) -> None:
    mine = await people.owner()
    headers = await people.session(mine)
    job = (await add(people, headers, 6 * GB)).json()
    items = (await people.http.get("/organisation/plans", headers=headers)).json()["items"]
    offered = [each for each in items if each["name"] in KNOWN]
    assert {each["name"]: [o["limit"] for o in each["over"]] for each in offered} == {
        "free": ["storage_bytes", "kept_days"],
        "pro": ["kept_days"], "business": ["kept_days"], "enterprise": ["kept_days"], "house": [],
    }  # fmt: skip
    assert [each["name"] for each in offered if each["is_yours"]] == ["house"]
    url = f"/admin/organisations/{mine.org}/plan"
    said = (await people.http.put(url, json={"plan": "free", **REASON}, headers=boss)).json()["usage"]
    assert (said["plan"], said["over"]) == ("free", offered[0]["over"])
    quota = (await people.http.get(f"/admin/organisations/{mine.org}/quota", headers=boss)).json()
    assert quota["counted_anew"] == {"reserved_bytes": 6 * GB, "stored_bytes": 0}
    assert said["storage"]["reserved_bytes"] == 6 * GB
    assert "goes on" in said["over"][0]["sentence"]
    kept = (await people.http.get(f"/jobs/{job['id']}", headers=headers)).json()
    assert kept["state"] == "submitted"
    assert (await add(people, headers)).json()["code"] == "quota_spent"
    await people.http.put(url, json={"plan": "pro", **REASON}, headers=boss)
    assert (await add(people, headers)).status_code == 201
    log = (await people.http.get("/audit", params={"action": "organisation.plan_changed"}, headers=headers)).json()
    assert [each["detail"] for each in log["items"]] == [
        {"before": "free", "after": "pro", **REASON}, {"before": "house", "after": "free", **REASON},
    ]  # fmt: skip


async def test_admins_make_change_and_drop_plans_and_each_change_is_in_the_log(people: People, boss: Headers) -> None:
    name = f"plan-{secrets.token_hex(4)}"
    url = f"/admin/plans/{name}"
    terms = {
        "active": 3, "open_jobs": 5, "storage_bytes": 10, "file_bytes": None, "traffic_bytes": None, "kept_days": 1,
        "sessions": 2, "seeding": {"when": "after", "ratio": 1.5, "seconds": 60}, "is_listed": False,
    }  # fmt: skip
    made = await people.http.put(url, json=terms, headers=boss)
    assert (made.status_code, made.json()["terms"] | terms, made.json()["organisations"]) == (
        200, made.json()["terms"], 0,
    )  # fmt: skip
    mine = await people.owner()
    given = await people.http.put(f"/admin/organisations/{mine.org}/plan", json={"plan": name, **REASON}, headers=boss)
    assert given.json()["usage"]["limits"]["active"] == 3
    await people.http.put(url, json=terms | {"active": 4}, headers=boss)
    assert (await usage(people, await people.session(mine)))["limits"]["active"] == 4
    in_use = await dropped(people, boss, name)
    assert (in_use.status_code, in_use.json()["code"]) == (409, "plan_in_use")
    await people.http.put(f"/admin/organisations/{mine.org}/plan", json={"plan": "free", **REASON}, headers=boss)
    assert (await dropped(people, boss, name)).status_code == 204
    assert (await dropped(people, boss, name)).status_code == 404
    log = (await people.http.get("/admin/audit", params={"target": f"plan:{name}"}, headers=boss)).json()["items"]
    assert [each["action"] for each in log] == ["plan.dropped", "plan.described", "plan.described"]
    assert (log[1]["detail"]["before"]["active"], log[1]["detail"]["after"]["active"]) == (3, 4)


async def dropped(people: People, boss: Headers, name: str) -> httpx.Response:
    body = {"reason": "nobody has it any more", "password": PASSWORD}
    return await people.http.post(f"/admin/plans/{name}/drop", json=body, headers=boss)


async def test_one_plan_is_given_to_new_organisations(people: People, boss: Headers) -> None:
    try:
        assert (await people.http.put("/admin/plans/pro/default", headers=boss)).json()["is_default"] is True
        assert (await usage(people, await people.session(await people.owner())))["plan"] == "pro"
    finally:
        await people.http.put("/admin/plans/house/default", headers=boss)
    plans = (await people.http.get("/admin/plans", headers=boss)).json()["items"]
    assert [each["name"] for each in plans if each["is_default"]] == ["house"]
    assert (await people.http.put("/admin/plans/nothing/default", headers=boss)).status_code == 404
    assert (await dropped(people, boss, "house")).status_code == 409


async def test_a_ratio_is_for_seeding_after_all_is_stored(people: People, boss: Headers) -> None:
    mine = await people.owner()
    seeding = {"when": "downloading", "ratio": 2.0}
    terms = {"active": 1, "open_jobs": 1, "sessions": 1, "seeding": seeding} | dict.fromkeys(
        ("storage_bytes", "file_bytes", "traffic_bytes", "kept_days")
    )
    for path, body in (
        (f"/admin/plans/plan-{secrets.token_hex(4)}", terms),
        (f"/admin/organisations/{mine.org}/limits", {"limits": {"seeding": seeding}, **REASON}),
    ):
        answer = await people.http.put(path, json=body, headers=boss)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_seeding"), path


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"plan": "free"},
        {"plan": "no-such-plan", **REASON},
        {"plan": "free", "reason": "  "},
        {"plan": "free", "reason": "x" * 501},
        {"plan": "free", "colour": "red", **REASON},
    ],
)
async def test_a_plan_is_given_by_name_and_with_a_reason(people: People, boss: Headers, body: Any) -> None:
    mine = await people.owner()
    answer = await people.http.put(f"/admin/organisations/{mine.org}/plan", json=body, headers=boss)
    assert answer.status_code == 422
    assert answer.json()["code"]


async def told(plane: Plane, who: Someone) -> list[str]:
    async with plane.working() as tx:
        rows = await tx.scalars(select(Mail.subject).where(Mail.recipient == who.email).order_by(Mail.created_at))
        return list(rows)


async def test_owners_and_admins_hear_of_80_and_100_percent_once(plane: Plane, people: People, boss: Headers) -> None:
    mine = await people.owner()
    viewer = await people.join(mine.org, OrgRole.VIEWER)
    headers = await people.session(mine)
    await limited(people, boss, mine, storage_bytes=10 * SIZE)
    job = (await add(people, headers, 8 * SIZE)).json()
    assert (await usage(people, headers))["warnings"] == [{"limit": "storage", "percent": 80}]
    for _ in range(2):
        await warn.step(plane, utcnow())
    assert await told(plane, mine) == ["80 % of your storage are used"]
    await add(people, headers, 2 * SIZE)
    await warn.step(plane, utcnow())
    assert await told(plane, mine) == ["80 % of your storage are used", "100 % of your storage are used"]
    await people.http.post(f"/jobs/{job['id']}/cancel", headers=headers)
    await warn.step(plane, utcnow())
    await add(people, headers, 8 * SIZE)
    await warn.step(plane, utcnow())
    assert len(await told(plane, mine)) == 3, "what had been freed and is used again is told again"
    assert await told(plane, viewer) == []
    log = (await people.http.get("/audit", params={"action": "quota.warned"}, headers=headers)).json()["items"]
    assert [each["detail"]["percent"] for each in log] == [100, 100, 80]


async def test_traffic_begins_anew_with_the_month(plane: Plane, people: People, boss: Headers) -> None:
    mine, now = await people.owner(), utcnow()
    headers = await people.session(mine)
    await limited(people, boss, mine, traffic_bytes=SIZE)
    earlier = (now.replace(day=1) - dt.timedelta(days=1)).replace(hour=23)
    for when in (earlier, now):
        async with plane.working() as tx:
            await traffic.add(tx, {mine.org: SIZE}, TrafficKind.TRANSFER, when)
        await warn.step(plane, when)
        await warn.step(plane, when)
    assert await told(plane, mine) == ["100 % of your traffic are used"] * 2
    said = (await usage(people, headers))["traffic"]
    assert (said["transfer_bytes"], said["delivery_bytes"], said["left_bytes"]) == (SIZE, 0, 0)
    assert dt.datetime.fromisoformat(said["begins_anew_at"]) > now
