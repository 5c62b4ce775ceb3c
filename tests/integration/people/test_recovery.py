"""Passwords that are forgotten or changed: good once, for a while; whoever was signed in is not any more."""

import asyncio

from argon2 import PasswordHasher

from control.accounts import passwords
from tests.integration.people.conftest import registered, signed_in
from tests.integration.people.outbox import mailbox, token
from tests.support.control import Api

NEW = {"password": "three unlikely words"}


async def test_a_forgotten_password_is_replaced_once_and_ends_every_session(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as thief, own.client() as http:
        await http.post("/api/v1/auth/password/forgotten", json={"email": mine.email})
        mailed = {"token": await token(own.plane, mine.email, "reset")}
        weak = await http.post("/api/v1/auth/password/reset", json=mailed | {"password": mine.email})
        assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
        async with asyncio.TaskGroup() as group:
            tries = [
                group.create_task(http.post("/api/v1/auth/password/reset", json=mailed | {"password": word * 3}))
                for word in ("heron ", "quartz ", "violin ")
            ]
        assert sorted(each.result().status_code for each in tries) == [204, 422, 422]
        assert (await thief.get("/api/v1/auth/me")).status_code == 401
        assert (await http.post("/api/v1/auth/login", json=mine.body)).status_code == 401
    assert (await mailbox(own.plane, mine.email))[-1] == "Your account was changed"


async def test_a_link_is_over_after_half_an_hour(own: Api) -> None:
    mine = await registered(own)
    async with own.client() as http:
        await http.post("/api/v1/auth/password/forgotten", json={"email": mine.email})
        mailed = {"token": await token(own.plane, mine.email, "reset")} | NEW
        late = "UPDATE vouchers SET expires_at = expires_at - interval '30 minutes' WHERE kind = 'reset'"
        await own.databases.sql(late)
        answer = await http.post("/api/v1/auth/password/reset", json=mailed)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_voucher")


async def test_a_link_for_one_thing_opens_no_other(own: Api) -> None:
    mine = await registered(own)
    mailed = {"token": await token(own.plane, mine.email, "verify")}
    async with own.client() as http:
        assert (await http.post("/api/v1/auth/password/reset", json=mailed | NEW)).status_code == 422
        assert (await http.post("/api/v1/auth/email/confirm", json=mailed)).status_code == 422
        assert (
            await http.post("/api/v1/auth/login/code", json={"pending": mailed["token"], "code": "1"})
        ).status_code == 401
        assert (await http.post("/api/v1/auth/verify", json=mailed)).status_code == 200


async def test_who_changes_the_password_proves_it_stays_signed_in_under_a_new_token_and_ends_the_others(
    own: Api,
) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, signed_in(own, mine) as other:
        before = http.cookies["session"]
        for body, code in (
            ({"password": "wrong, wrong", "new": NEW["password"]}, "wrong_password"),
            ({"new": NEW["password"]}, "wrong_password"),
            ({"password": mine.password, "new": "short"}, "bad_password"),
        ):
            answer = await http.post("/api/v1/auth/password", json=body)
            assert answer.json()["code"] == code
        changed = await http.post("/api/v1/auth/password", json={"password": mine.password, "new": NEW["password"]})
        assert changed.status_code == 204, changed.text
        assert http.cookies["session"] != before
        assert (await http.get("/api/v1/auth/me")).status_code == 200
        assert (await other.get("/api/v1/auth/me")).status_code == 401
        http.cookies.set("session", before)
    async with own.client() as copied:
        copied.cookies.set("session", before)
        assert (await copied.get("/api/v1/auth/me")).status_code == 401
        assert (await copied.post("/api/v1/auth/login", json=mine.body | NEW)).status_code == 200


async def test_a_key_is_not_enough_to_change_what_is_personal(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, own.client() as program:
        key = (await http.post("/api/v1/auth/keys", json={"name": "x"})).json()["secret"]
        program.headers["Authorization"] = f"Bearer {key}"
        for method, path in (("POST", "password"), ("POST", "leave"), ("GET", "export"), ("GET", "sessions")):
            answer = await program.request(method, f"/api/v1/auth/{path}", json={"new": "x", "confirm": "x"})
            assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), path


async def test_guessing_the_password_in_a_borrowed_browser_is_slowed_down_there_alone(own: Api) -> None:
    mine = await registered(own)
    wrong = {"password": "wrong, wrong", "new": NEW["password"]}
    async with signed_in(own, mine) as borrowed, signed_in(own, mine) as http:
        said = [(await borrowed.post("/api/v1/auth/password", json=wrong)).status_code for _ in range(11)]
        assert said == [403] * 10 + [429]
        right = {"password": mine.password, "new": NEW["password"]}
        assert (await http.post("/api/v1/auth/password", json=right)).status_code == 204


async def test_a_password_that_was_hashed_cheaply_is_hashed_anew_when_it_is_shown(own: Api) -> None:
    mine = await registered(own)
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(mine.password)
    await own.databases.sql(f"UPDATE people SET password_hash = '{cheap}' WHERE email = '{mine.email}'")
    for _ in range(2):
        async with signed_in(own, mine):
            pass
    kept = await own.databases.sql(f"SELECT password_hash FROM people WHERE email = '{mine.email}'")
    assert kept != cheap
    assert not passwords.is_old(kept)


async def test_every_step_and_every_failure_leaves_its_row_in_the_log(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http:
        me = (await http.get("/api/v1/auth/me")).json()["id"]
        await http.post("/api/v1/auth/password", json={"password": "wrong, wrong", "new": NEW["password"]})
        await http.post("/api/v1/auth/password/forgotten", json={"email": mine.email})
        mailed = {"token": await token(own.plane, mine.email, "reset")}
        await http.post("/api/v1/auth/password/reset", json=mailed | NEW)
        await http.post("/api/v1/auth/login", json=mine.body)
    said = await own.databases.sql(f"SELECT action FROM audit WHERE target = 'person:{me}' ORDER BY id")
    assert said.split() == [
        "person.registered", "proof.failed", "password.forgotten", "session.all_ended", "password.reset",
        "sign_in.failed",
    ]  # fmt: skip
