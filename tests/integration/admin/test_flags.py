"""Flags and announcements: what is switched off is off for everybody at once, what is announced everybody sees."""

import datetime as dt
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, select

from control.flags.service import Flag
from control.loops import calls, dispatch
from control.webhooks.model import Call, CallState, Webhook
from tests.integration.admin.conftest import REASON, Boss
from tests.support.control import PASSWORD
from tests.support.fleet import add_agent, add_transfer, read_transfer
from tests.support.people import People
from wire.clock import utcnow
from wire.ids import new_id


@asynccontextmanager
async def off(admin: Boss, flag: Flag) -> AsyncIterator[None]:
    async def switch(*, on: bool) -> None:
        done = await admin.put(f"/admin/flags/{flag}", on=on, reason=REASON, password=PASSWORD)
        assert (done.status_code, done.json()["on"]) == (200, on), done.text

    await switch(on=False)
    try:
        yield
    finally:
        await switch(on=True)


async def test_no_accounts_are_made_while_registration_is_off(admin: Boss, people: People) -> None:
    account = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    async with off(admin, Flag.REGISTRATION):
        refused = await people.http.post("/auth/register", json=account)
        assert (refused.status_code, refused.json()["code"]) == (503, "switched_off")
        assert int(refused.headers["Retry-After"]) > 0
    assert (await people.http.post("/auth/register", json=account)).status_code == 201


async def test_nothing_new_is_offered_while_dispatch_is_off(admin: Boss) -> None:
    plane, pool = admin.people.plane, f"pool-{secrets.token_hex(4)}"
    agent = await add_agent(plane, pool)
    wanted = await add_transfer(plane, 10, pool=pool)
    async with off(admin, Flag.DISPATCH):
        await agent.sync()
        await dispatch.step(plane, utcnow())
        assert (await read_transfer(plane, wanted.transfer)).state == "waiting"
    await agent.sync()  # its lease is two seconds here
    await dispatch.step(plane, utcnow())
    assert (await read_transfer(plane, wanted.transfer)).state == "offered"


async def test_what_webhooks_are_to_be_told_waits_while_they_are_off(admin: Boss) -> None:
    plane, hook, now = admin.people.plane, new_id(), utcnow()
    async with plane.working() as tx:
        row = {"org_id": admin.who.org, "created_at": now}
        tx.add(Webhook(id=hook, url="https://nobody.invalid/", description="", types=[], secret=b"", **row))
        await tx.flush()
        told = {"type": "webhook.test", "body": b"{}", "state": CallState.QUEUED, "tries": 0, "attempts": []}
        tx.add(Call(id=new_id(), webhook_id=hook, not_before=now, **row, **told))
    tried = select(func.sum(Call.tries)).where(Call.webhook_id == hook)
    async with off(admin, Flag.WEBHOOKS):
        await calls.step(plane, utcnow())
        async with plane.working() as tx:
            assert await tx.scalar(tried) == 0
    await calls.step(plane, utcnow())
    async with plane.working() as tx:
        assert await tx.scalar(tried) == 1


async def test_a_flags_history_says_who_switched_it_when_and_why(admin: Boss) -> None:
    async with off(admin, Flag.WEBHOOKS):
        again = await admin.put(
            "/admin/flags/webhooks", on=False, reason="said once more, to no end", password=PASSWORD
        )
        assert again.json()["reason"] == REASON, "it was off already"
    newest = (await admin.get("/admin/flags/webhooks/history"))["items"][:2]
    assert [(each["on"], each["reason"], each["by"]) for each in newest] == [
        (True, REASON, f"person:{admin.who.person}"),
        (False, REASON, f"person:{admin.who.person}"),
    ]
    unknown = await admin.put("/admin/flags/nothing", on=False, reason=REASON, password=PASSWORD)
    assert unknown.status_code == 404


async def test_everybody_sees_what_is_announced_while_it_holds(operator: Boss, people: People) -> None:
    text, now = f"Back at noon {secrets.token_hex(4)}", utcnow()

    async def seen() -> list[str]:
        items = (await people.http.get("/announcements")).json()["items"]
        return [each["text"] for each in items if each["text"].startswith(text)]

    made = await operator.post("/admin/announcements", text=text, weight="warning")
    assert made.status_code == 201, made.text
    later = {
        "from_at": (now + dt.timedelta(hours=1)).isoformat(),
        "until_at": (now + dt.timedelta(hours=2)).isoformat(),
    }
    await operator.post("/admin/announcements", text=f"{text}, later", **later)
    assert await seen() == [text]
    path = f"/admin/announcements/{made.json()['told']['id']}"
    for _ in range(2):
        assert (await people.http.delete(path, headers=operator.headers)).status_code == 200
    assert await seen() == []
    texts = [each["told"]["text"] for each in (await operator.get("/admin/announcements"))["items"]]
    assert texts[:2] == [f"{text}, later", text]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"text": "   "}, "empty_text"),
        ({"text": "x", "until_at": "2020-01-01T00:00:00Z"}, "bad_time"),
        ({"text": "x", "from_at": "2100-01-02T00:00:00Z", "until_at": "2100-01-01T00:00:00Z"}, "bad_time"),
        ({"text": "x" * 1001}, "bad_input"),
    ],
)
async def test_an_announcement_that_nobody_could_see_is_refused(
    operator: Boss, body: dict[str, str], code: str
) -> None:
    refused = await operator.post("/admin/announcements", **body)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
