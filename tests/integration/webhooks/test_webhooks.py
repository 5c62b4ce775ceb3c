"""Webhooks: what happens is told to them, signed, again and again until it is taken; and the log says how it went."""

import asyncio
import base64
import datetime as dt
import hmac
import secrets
from typing import Any

import httpx
import msgspec
import pytest

from control.feed import service as numbering
from control.loops import calls as loop
from control.loops import feed
from control.mail import service as mails
from control.plane import Plane
from control.webhooks import calls
from control.webhooks.sending import Outcome
from tests.support.control import Api
from tests.support.receiver import Post, Receiver, answer, receiving
from wire.clock import utcnow

Hook = dict[str, Any]
TAKEN = Outcome(1, 200)


async def add(http: httpx.AsyncClient, url: str, *types: str) -> tuple[Hook, str]:
    made = await http.post("/api/v1/webhooks", json={"url": url, "types": types})
    assert made.status_code == 201, made.text
    return made.json()["webhook"], made.json()["secret"]


async def happen(http: httpx.AsyncClient, plane: Plane) -> str:
    made = await http.post("/api/v1/jobs", json={"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"})
    await feed.step(plane, utcnow())
    return str(made.json()["id"])


async def log(http: httpx.AsyncClient, hook: Hook, **query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await http.get(f"/api/v1/webhooks/{hook['id']}/calls", params=query)).json()["items"]
    return items


async def at_once(api: Api, hook: Hook) -> None:
    """Pauses are over."""
    await api.databases.sql(f"UPDATE webhooks SET not_before = NULL WHERE id = '{hook['id']}'")
    await api.databases.sql(f"UPDATE webhook_calls SET not_before = now() WHERE webhook_id = '{hook['id']}'")


def fits(secret: str, post: Post) -> bool:
    """As a receiver checks it, by the text of Standard Webhooks 1.0."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    expected = base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode()
    return f"v1,{expected}" in post.headers["webhook-signature"].split(" ")


async def test_what_happens_is_told_signed_as_the_standard_says(own: Api, receiver: Receiver) -> None:
    async with own.member() as http:
        hook, secret = await add(http, receiver.url(), "job.added", "job.cancelled")
        job = await happen(http, own.plane)
        await http.patch(f"/api/v1/jobs/{job}", json={"name": "another"})
        await http.post(f"/api/v1/jobs/{job}/cancel")
        await feed.step(own.plane, utcnow())
        await loop.step(own.plane, utcnow())
        told = await log(http, hook)
        shown = (await http.get(f"/api/v1/webhooks/{hook['id']}/calls/{told[0]['id']}")).json()
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    bodies = sorted((msgspec.json.decode(post.body) for post in receiver.posts), key=lambda body: body["data"]["id"])
    assert [body["type"] for body in bodies] == ["job.added", "job.cancelled"], "and not what it does not want"
    assert bodies[1]["data"]["job"]["id"] == job
    for post in receiver.posts:
        assert fits(secret, post)
        assert abs(int(post.headers["webhook-timestamp"]) - utcnow().timestamp()) < 60
        assert (post.target, post.headers["content-type"]) == ("/hook?a=b", "application/json")
        assert post.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert [(each["state"], each["tries"], each["attempts"][0]["status"]) for each in told] == [
        ("delivered", 1, 200)
    ] * 2
    assert {f"msg_{each['id']}" for each in told} == {post.headers["webhook-id"] for post in receiver.posts}
    assert shown["body"].encode() in {post.body for post in receiver.posts}


async def test_a_turned_secret_and_the_one_before_both_sign_for_a_day(own: Api, receiver: Receiver) -> None:
    async with own.member() as http:
        hook, old = await add(http, receiver.url())
        new = (await http.post(f"/api/v1/webhooks/{hook['id']}/secret")).json()["secret"]
        await happen(http, own.plane)
        await loop.step(own.plane, utcnow())
        await own.databases.sql(f"UPDATE webhooks SET previous_until = now() WHERE id = '{hook['id']}'")
        await happen(http, own.plane)
        await loop.step(own.plane, utcnow())
    both, later = receiver.posts
    assert old != new
    assert (fits(old, both), fits(new, both)) == (True, True)
    assert (fits(old, later), fits(new, later)) == (False, True)


async def test_what_is_not_taken_is_told_again_under_the_same_id_until_it_is(own: Api, receiver: Receiver) -> None:
    receiver.answers = [answer(500, body="<b>broken</b>\0"), answer(302, "Location: http://169.254.169.254/")]
    async with own.member() as http:
        hook, secret = await add(http, receiver.url())
        await happen(http, own.plane)
        await loop.step(own.plane, utcnow())
        [waiting] = await log(http, hook)
        assert (waiting["state"], waiting["tries"]) == ("queued", 1)
        await loop.step(own.plane, utcnow())
        assert len(receiver.posts) == 1, "not before its pause is over"
        for _ in range(2):
            await at_once(own, hook)
            await loop.step(own.plane, utcnow())
        [told] = await log(http, hook)
        now = (await http.get(f"/api/v1/webhooks/{hook['id']}")).json()
    assert [each["failure"] for each in told["attempts"]] == [
        "It answered 500.", "It answered 302 (redirects are not followed).", None,
    ]  # fmt: skip
    assert told["attempts"][0]["answer"] == "<b>broken</b>"
    assert (told["state"], told["tries"], now["failures"], now["failing_since"]) == ("delivered", 3, 0, None)
    assert len({post.headers["webhook-id"] for post in receiver.posts}) == 1
    assert all(fits(secret, post) for post in receiver.posts)


async def test_ten_tries_over_three_days_and_it_is_given_up_and_can_be_replayed(own: Api, receiver: Receiver) -> None:
    async with own.member() as http:
        hook, _ = await add(http, receiver.url())
        await happen(http, own.plane)
        began = now = utcnow()
        for tries in range(1, calls.TRIES_MAX + 1):
            async with own.plane.working() as tx:
                due = mine(await calls.take(tx, own.plane.settings, now, 100), hook)
                assert [each.tries for each in due] == [tries]
                await calls.settle(tx, due[0], Outcome(1, 503, "It answered 503."), own.plane.settings, now)
            [call] = await log(http, hook)
            if call["state"] == "queued":
                now = dt.datetime.fromisoformat(call["next_try_at"])
        assert (call["state"], call["tries"], len(call["attempts"])) == ("failed", 10, 10)
        assert dt.timedelta(days=3) < now - began < dt.timedelta(days=4)
        assert (await http.get(f"/api/v1/webhooks/{hook['id']}")).json()["enabled"] is True
        await own.databases.sql(f"UPDATE webhooks SET not_before = NULL WHERE id = '{hook['id']}'")
        since = {"since": (began - dt.timedelta(minutes=1)).isoformat()}
        replayed = await http.post(f"/api/v1/webhooks/{hook['id']}/replay", json=since)
        assert replayed.json() == {"replayed": 1, "left": 0}
        await loop.step(own.plane, utcnow())
        [call] = await log(http, hook, state="delivered")
        again = await http.post(f"/api/v1/webhooks/{hook['id']}/calls/{call['id']}/replay")
        assert (again.status_code, again.json()["state"]) == (200, "queued")
        await loop.step(own.plane, utcnow())
    assert len(receiver.posts) == 2
    assert {post.headers["webhook-id"] for post in receiver.posts} == {f"msg_{call['id']}"}


def mine(due: list[calls.Due], hook: Hook) -> list[calls.Due]:
    return [each for each in due if str(each.webhook) == hook["id"]]


async def number_and_die(plane: Plane) -> None:
    async with plane.working() as tx:
        assert await calls.write(tx, await numbering.number(tx, feed.BATCH), utcnow()) >= 1
        raise KeyboardInterrupt


async def test_a_loop_that_dies_before_its_commit_leaves_everything_to_the_next(own: Api, receiver: Receiver) -> None:
    async with own.member() as http:
        hook, _ = await add(http, receiver.url())
        magnet = {"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"}
        await http.post("/api/v1/jobs", json=magnet)
        with pytest.raises(KeyboardInterrupt):
            await number_and_die(own.plane)
        assert (await http.get("/api/v1/events")).json()["items"] == []
        assert await log(http, hook) == []
        await feed.step(own.plane, utcnow())
        await loop.step(own.plane, utcnow())
        assert [each["state"] for each in await log(http, hook)] == ["delivered"]
    assert len(receiver.posts) == 1


async def test_a_call_whose_sender_died_is_taken_again_and_the_dead_have_no_say(own: Api) -> None:
    async with own.member() as http:
        hook, _ = await add(http, "http://127.0.0.9:2222/")
        await happen(http, own.plane)
        now, settings = utcnow(), own.plane.settings
        async with own.plane.working() as tx:
            [dead] = mine(await calls.take(tx, settings, now, 100), hook)
        async with own.plane.working() as tx:
            assert mine(await calls.take(tx, settings, now, 100), hook) == []
            late = now + dt.timedelta(seconds=calls.TAKEN_S + 1)
            [alive] = mine(await calls.take(tx, settings, late, 100), hook)
            assert (alive.id, alive.tries) == (dead.id, 2)
            assert await calls.settle(tx, dead, TAKEN, settings, late) is None
            assert await calls.settle(tx, alive, TAKEN, settings, late) == "delivered"


async def test_a_receiver_that_lets_us_wait_holds_nobody_else_up(own: Api, receiver: Receiver) -> None:
    receiver.answers = [None]
    async with own.member() as http, own.member() as other, receiving() as quick:
        await add(http, receiver.url())
        await add(other, quick.url())
        await happen(http, own.plane)
        async with asyncio.TaskGroup() as group:
            turning = group.create_task(loop.step(own.plane, utcnow()))
            await receiver.until(1)
            await happen(other, own.plane)
            await quick.until(1)
            turning.cancel()


async def test_410_disables_it_at_once_and_its_minders_hear_of_it(own: Api, receiver: Receiver) -> None:
    receiver.answers = [answer(410)]
    async with own.member() as http:
        hook, _ = await add(http, receiver.url())
        me = (await http.get("/api/v1/auth/me")).json()
        await happen(http, own.plane)
        await happen(http, own.plane)
        await own.databases.sql(
            f"UPDATE webhook_calls SET not_before = now() + interval '1 hour' WHERE webhook_id = '{hook['id']}'"
            f" AND id = (SELECT max(id::text)::uuid FROM webhook_calls WHERE webhook_id = '{hook['id']}')"
        )
        await loop.step(own.plane, utcnow())
        assert await disabled(http, own, hook, me) == ("gone", ["failed", "failed"])
        refused = await http.post(f"/api/v1/webhooks/{hook['id']}/test")
        assert (refused.status_code, refused.json()["code"]) == (409, "webhook_disabled")
        await happen(http, own.plane)
        assert len(await log(http, hook)) == 2, "nothing more is written down for it"
        back = await http.patch(f"/api/v1/webhooks/{hook['id']}", json={"enabled": True})
        assert (back.json()["enabled"], back.json()["failures"]) == (True, 0)


async def test_five_days_without_a_success_disable_it(own: Api) -> None:
    async with own.member() as http:
        hook, _ = await add(http, "http://127.0.0.9:2222/")
        me = (await http.get("/api/v1/auth/me")).json()
        await happen(http, own.plane)
        long_ago = f"failures = {calls.FAILING_TRIES - 1}, failing_since = now() - interval '5 days 1 minute'"
        await own.databases.sql(f"UPDATE webhooks SET {long_ago} WHERE id = '{hook['id']}'")
        await loop.step(own.plane, utcnow())
        assert await disabled(http, own, hook, me) == ("failing", ["failed"])


async def disabled(http: httpx.AsyncClient, api: Api, hook: Hook, me: dict[str, Any]) -> tuple[str, list[str]]:
    """Why, and its calls; the log of audit and a mail say so."""
    said = (await http.get("/api/v1/audit", params={"action": "webhook.disabled"})).json()["items"]
    assert [(each["actor"], each["target"]) for each in said] == [("loop:calls", f"webhook:{hook['id']}")]
    async with api.plane.working() as tx:
        kinds = {mail.kind for mail in await mails.listed(tx) if mail.recipient == me["email"]}
    assert "webhook_disabled" in kinds
    now = (await http.get(f"/api/v1/webhooks/{hook['id']}")).json()
    return now["disabled_why"], [each["state"] for each in await log(http, hook)]


async def test_a_test_is_told_now_to_this_one_alone(own: Api, receiver: Receiver) -> None:
    async with own.member() as http:
        hook, secret = await add(http, receiver.url(), "job.failed")
        asked = await http.post(f"/api/v1/webhooks/{hook['id']}/test")
        await loop.step(own.plane, utcnow())
        [call] = await log(http, hook)
    assert (asked.status_code, asked.json()["id"], call["state"]) == (202, call["id"], "delivered")
    [post] = receiver.posts
    assert fits(secret, post)
    body = msgspec.json.decode(post.body)
    assert (body["type"], body["data"]) == ("webhook.test", {"webhook": hook["id"]})


async def test_disabled_by_hand_it_is_told_nothing_and_what_waited_can_be_replayed(
    own: Api, receiver: Receiver
) -> None:
    async with own.member() as http:
        hook, _ = await add(http, receiver.url())
        await happen(http, own.plane)
        off = await http.patch(f"/api/v1/webhooks/{hook['id']}", json={"enabled": False})
        assert (off.json()["enabled"], off.json()["disabled_why"]) == (False, "by_hand")
        await loop.step(own.plane, utcnow())
        assert receiver.posts == []
        await http.patch(f"/api/v1/webhooks/{hook['id']}", json={"enabled": True})
        await http.post(f"/api/v1/webhooks/{hook['id']}/replay", json={"since": "2020-01-01T00:00:00"})
        await loop.step(own.plane, utcnow())
        assert len(receiver.posts) == 1
        assert (await http.delete(f"/api/v1/webhooks/{hook['id']}")).status_code == 204
        assert (await http.get(f"/api/v1/webhooks/{hook['id']}/calls")).status_code == 404


async def test_an_address_that_is_not_public_is_refused_and_ten_are_enough(own: Api, api: Api) -> None:
    async with api.member() as http:
        for url in ("http://127.0.0.1:8080/", "https://localhost/", "https://example.org:22/", "ftp://example.org/"):
            refused = await http.post("/api/v1/webhooks", json={"url": url})
            assert (refused.status_code, refused.json()["code"]) == (422, "bad_webhook_url"), url
        for _ in range(10):
            hook, _ = await add(http, "https://example.org/")
        assert (await http.post("/api/v1/webhooks", json={"url": "https://example.org/"})).status_code == 409
        moved = await http.patch(f"/api/v1/webhooks/{hook['id']}", json={"url": "http://10.0.0.1/"})
        assert moved.json()["code"] == "bad_webhook_url"


async def test_every_change_stands_in_the_log_without_a_secret(own: Api, receiver: Receiver) -> None:
    async with own.member() as http:
        hook, secret = await add(http, receiver.url())
        place = f"/api/v1/webhooks/{hook['id']}"
        await http.patch(place, json={"description": "mine"})
        turned = (await http.post(f"{place}/secret")).json()["secret"]
        call = (await http.post(f"{place}/test")).json()["id"]
        await loop.step(own.plane, utcnow())
        await http.post(f"{place}/calls/{call}/replay")
        await http.post(f"{place}/replay", json={"since": utcnow().isoformat()})
        await http.delete(place)
        said = await http.get("/api/v1/audit", params={"target": f"webhook:{hook['id']}"})
    assert [each["action"].removeprefix("webhook.") for each in reversed(said.json()["items"])] == [
        "added", "changed", "secret_turned", "tested", "replayed", "replayed", "removed",
    ]  # fmt: skip
    assert said.json()["items"][-2]["detail"]["after"] == {"description": "mine", "enabled": True}
    assert secret not in said.text
    assert turned not in said.text
