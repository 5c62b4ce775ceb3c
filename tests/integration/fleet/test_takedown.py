"""Takedown: a notice becomes a case, a case a block, a counter-notice its end; both sides are told each time."""

import secrets
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from control.abuse.states import CaseState, Decision, decisions
from control.loops import blocked
from control.mail.model import Mail
from control.plane import Plane
from tests.integration.fleet.test_blocked import CODE, Door, open_door
from tests.support.control import PASSWORD
from tests.support.member import signed_up
from wire.clock import utcnow
from wire.ids import new_id


def notice(*hashes: str, **changed: object) -> dict[str, Any]:
    said = {
        "name": "Ada Lovelace",
        "email": f"{secrets.token_hex(6)}@example.org",
        "on_behalf_of": "The Analytical Society",
        "work": "Notes on the engine.\nhttps://example.org/notes",
        "torrents": list(hashes),
        "good_faith": True,
        "accurate": True,
        "signature": "Ada Lovelace",
    }
    return said | changed


def answer(**changed: object) -> dict[str, Any]:
    said = {
        "name": "Charles Babbage",
        "email": f"{secrets.token_hex(6)}@example.org",
        "statement": "These are my own notes.",
        "good_faith": True,
        "consent": True,
        "signature": "Charles Babbage",
    }
    return said | changed


async def sent(door: Door, path: str, said: dict[str, Any]) -> httpx.Response:
    """By somebody who has no account."""
    async with httpx.AsyncClient(base_url=f"{door.url}/api/v1", trust_env=False, timeout=20) as anybody:
        return await anybody.post(path, json=said)


async def received(door: Door, said: dict[str, Any]) -> str:
    made = await sent(door, "/takedowns", said)
    assert made.status_code == 201, made.text
    return str(made.json()["case"])


async def decide(door: Door, case: str, decision: str) -> httpx.Response:
    body = {"decision": decision, "reason": "looked at, and found so", "password": PASSWORD}
    return await door.admin.post(f"/admin/cases/{case}/decide", json=body)


async def kinds(plane: Plane, email: str) -> list[str]:
    async with plane.db.working() as tx:
        return list(await tx.scalars(select(Mail.kind).where(Mail.recipient == email).order_by(Mail.created_at)))


async def test_a_notice_takes_down_what_it_names_and_a_counter_notice_brings_it_back(plane: Plane) -> None:
    v1 = secrets.token_hex(20)
    ask, said, replied = {"magnet": f"magnet:?xt=urn:btih:{v1}"}, notice(v1), answer()
    async with open_door(plane) as door, signed_up(door.url) as member:
        job = (await member.http.post("/api/v1/jobs", json=ask)).json()["id"]
        case = await received(door, said)
        shown = (await door.admin.get("/admin/cases", params={"state": "received", "limit": 1})).json()["items"]
        assert [(each["id"], each["hashes"], each["decisions"]) for each in shown] == [
            (case, [v1], ["block", "reject"])
        ]
        assert (await decide(door, case, "block")).json()["state"] == "blocked"
        await blocked.step(plane, utcnow())
        failure = (await member.http.get(f"/api/v1/jobs/{job}")).json()["failure"]
        assert (failure["code"], case in failure["detail"]) == (CODE, True), "it says which case to answer"
        assert (await sent(door, f"/takedowns/{case}/counter-notice", replied)).status_code == 204
        twice = await sent(door, f"/takedowns/{case}/counter-notice", answer())
        assert (twice.status_code, twice.json()["code"]) == (409, "not_blocked")
        assert (await member.http.post("/api/v1/jobs", json=ask)).json()["code"] == CODE, "not before it is decided"
        assert (await decide(door, case, "reinstate")).json()["counter"]["statement"] == replied["statement"]
        assert (await member.http.post(f"/api/v1/jobs/{job}/retry")).json()["state"] == "submitted"
        rows = (await door.admin.get("/admin/audit", params={"target": f"case:{case}"})).json()["items"]
    assert [row["action"] for row in reversed(rows)] == [
        "case.received",
        "case.decided",
        "case.countered",
        "case.decided",
    ]
    assert await kinds(plane, said["email"]) == ["case_received", "case_decided", "case_countered", "case_decided"]
    assert await kinds(plane, replied["email"]) == ["case_heard", "case_decided"]


async def test_what_two_cases_name_stays_blocked_until_both_are_over(plane: Plane) -> None:
    shared, alone, by_hand = (secrets.token_hex(20) for _ in range(3))
    async with open_door(plane) as door:
        await door.admin.post("/admin/blocklist", json={"hashes": [by_hand], "reason": "spam"})
        first, second = await received(door, notice(shared, alone, by_hand)), await received(door, notice(shared))
        for case in (first, second):
            await decide(door, case, "block")

        async def listed() -> list[bool]:
            asked = [
                await door.admin.get("/admin/blocklist", params={"hash": each}) for each in (shared, alone, by_hand)
            ]
            return [bool(each.json()["items"]) for each in asked]

        assert await listed() == [True, True, True]
        await decide(door, first, "reinstate")
        assert await listed() == [True, False, True]
        await decide(door, second, "reinstate")
        assert await listed() == [False, False, True], "what was blocked by hand is no case's"


async def test_a_case_that_was_rejected_blocks_nothing_until_somebody_thinks_again(plane: Plane) -> None:
    v1 = secrets.token_hex(20)
    async with open_door(plane) as door:
        case = await received(door, notice(v1))
        await decide(door, case, "reject")
        assert (await door.admin.get("/admin/blocklist", params={"hash": v1})).json()["items"] == []
        again = await decide(door, case, "reject")
        assert (again.status_code, again.json()["code"]) == (409, "case_state")
        assert (await decide(door, case, "block")).json()["state"] == "blocked"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"good_faith": False}, "statements_missing"),
        ({"accurate": False}, "statements_missing"),
        ({"torrents": []}, "bad_hash"),
        ({"torrents": ["nonsense"]}, "bad_hash"),
        ({"torrents": ["ab" * 20] * 201}, "bad_hash"),
        ({"email": "nobody"}, "bad_email"),
        ({"signature": " "}, "bad_name"),
        ({"work": ""}, "bad_text"),
    ],
)
async def test_half_a_notice_is_none(plane: Plane, changed: dict[str, object], code: str) -> None:
    async with open_door(plane) as door:
        refused = await sent(door, "/takedowns", notice("ab" * 20) | changed)
        assert (refused.status_code, refused.json()["code"]) == (422, code)


async def test_only_what_is_blocked_can_be_answered(plane: Plane) -> None:
    async with open_door(plane) as door:
        case = await received(door, notice(secrets.token_hex(20)))
        early = await sent(door, f"/takedowns/{case}/counter-notice", answer())
        assert (early.status_code, early.json()["code"]) == (409, "not_blocked")
        half = await sent(door, f"/takedowns/{case}/counter-notice", answer(consent=False))
        assert (half.status_code, half.json()["code"]) == (422, "statements_missing")
        unknown = await sent(door, f"/takedowns/{new_id()}/counter-notice", answer())
        assert unknown.status_code == 404


def test_in_every_state_something_can_be_decided() -> None:
    assert all(decisions(state) for state in CaseState)
    assert {each for state in CaseState for each in decisions(state)} == set(Decision)
