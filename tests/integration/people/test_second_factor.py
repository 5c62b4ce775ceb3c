"""The second factor: on with a first code, asked for from then on, no code good twice, codes for a lost app."""

import asyncio
import base64
import time

import httpx

from control.accounts import throttle, totp
from control.accounts.sign_in import CODE_TRIES_MAX
from tests.integration.people.conftest import Account, registered, signed_in
from tests.integration.people.outbox import mailbox
from tests.support.control import Api


def code(secret: str, later: int = 0) -> str:
    """What the app shows, or will show."""
    return totp.code_at(base64.b32decode(secret), int(time.time()) // totp.STEP_S + later)


async def turn_on(http: httpx.AsyncClient, who: Account) -> tuple[str, list[str]]:
    offered = await http.post("/api/v1/auth/second-factor", json={"password": who.password})
    assert offered.status_code == 201, offered.text
    secret = offered.json()["secret"]
    assert f"secret={secret}&" in offered.json()["uri"]
    first = {"code": code(secret)}
    confirmed = await http.post("/api/v1/auth/second-factor/confirm", json=first)
    assert confirmed.status_code == 200, confirmed.text
    for again in (first, {"code": "000000"}):
        answer = await http.post("/api/v1/auth/second-factor/confirm", json=again)
        assert answer.json()["code"] == "second_factor_not_begun", "it is on"
    return secret, confirmed.json()["recovery_codes"]


async def half_way(http: httpx.AsyncClient, who: Account) -> str:
    answer = await http.post("/api/v1/auth/login", json=who.body)
    assert answer.status_code == 202, answer.text
    assert "Set-Cookie" not in answer.headers
    return str(answer.json()["pending"])


async def second_step(http: httpx.AsyncClient, pending: str, given: str) -> httpx.Response:
    return await http.post("/api/v1/auth/login/code", json={"pending": pending, "code": given})


async def test_once_it_is_on_signing_in_takes_two_steps_and_no_code_is_good_twice(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, signed_in(own, mine) as other, own.client() as browser:
        before = http.cookies["session"]
        secret, _ = await turn_on(http, mine)
        assert http.cookies["session"] != before, "the session's token turned over"
        assert (await other.get("/api/v1/auth/me")).status_code == 401, "other sessions ended"
        pending, shown = await half_way(browser, mine), code(secret, 1)
        assert (await second_step(browser, pending, "not it")).json()["code"] == "bad_code"
        assert (await second_step(browser, pending, shown)).status_code == 200
        assert (await browser.get("/api/v1/auth/me")).json()["email"] == mine.email
        assert (await second_step(browser, pending, shown)).json()["code"] == "bad_voucher"
        again = await second_step(browser, await half_way(browser, mine), shown)
        assert (again.status_code, again.json()["code"]) == (401, "bad_code")


async def test_of_one_code_sent_twice_at_once_one_signs_in(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, own.client() as browser:
        secret, recovery = await turn_on(http, mine)
        for good in (code(secret, 1), recovery[0]):
            pending = [await half_way(browser, mine) for _ in range(3)]
            async with asyncio.TaskGroup() as group:
                tries = [group.create_task(second_step(browser, each, good)) for each in pending]
            assert sorted(each.result().status_code for each in tries) == [200, 401, 401]


async def test_a_recovery_code_opens_once_and_is_typed_as_one_likes(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, own.client() as browser:
        _, codes = await turn_on(http, mine)
        assert len(set(codes)) == 10
        typed = codes[3].upper().replace("-", " ")
        assert (await second_step(browser, await half_way(browser, mine), typed)).status_code == 200
        assert (await second_step(browser, await half_way(browser, mine), typed)).status_code == 401
        assert (await http.get("/api/v1/auth/second-factor")).json()["recovery_codes_left"] == 9
        new = await http.post("/api/v1/auth/second-factor/recovery-codes", json={"password": mine.password})
        assert (await second_step(browser, await half_way(browser, mine), codes[4])).status_code == 401
        assert (
            await second_step(browser, await half_way(browser, mine), new.json()["recovery_codes"][0])
        ).status_code == 200


async def test_a_step_takes_five_codes_and_many_wrong_ones_are_told_to_the_owner(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, own.client() as thief:
        secret, _ = await turn_on(http, mine)
        pending = await half_way(thief, mine)
        for _ in range(CODE_TRIES_MAX):
            assert (await second_step(thief, pending, "wrong")).json()["code"] == "bad_code"
        assert (await second_step(thief, pending, code(secret, 1))).json()["code"] == "bad_voucher"
        pending = await half_way(thief, mine)
        for _ in range(throttle.FAIL_CODE.times - CODE_TRIES_MAX):
            await second_step(thief, pending, "wrong")
        assert (await second_step(thief, await half_way(thief, mine), code(secret, 1))).status_code == 429
        assert (await http.get("/api/v1/auth/me")).status_code == 200, "who is signed in stays so"
    assert (await mailbox(own.plane, mine.email))[-1] == "Your account was changed"


async def test_a_new_password_ends_a_step_that_was_begun_with_the_old_one(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, own.client() as thief:
        secret, _ = await turn_on(http, mine)
        pending = await half_way(thief, mine)
        await http.post("/api/v1/auth/password", json={"password": mine.password, "new": "three unlikely words"})
        assert (await second_step(thief, pending, code(secret, 1))).json()["code"] == "bad_voucher"


async def test_it_ends_with_password_and_code_together(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http:
        secret, _ = await turn_on(http, mine)
        again = await http.post("/api/v1/auth/second-factor", json={"password": mine.password})
        assert (again.status_code, again.json()["code"]) == (409, "second_factor_on")
        for body, refused in (
            ({"password": "wrong, wrong", "code": code(secret, 1)}, "wrong_password"),
            ({"password": mine.password, "code": "wrong"}, "bad_code"),
        ):
            assert (await http.post("/api/v1/auth/second-factor/end", json=body)).json()["code"] == refused
        right = {"password": mine.password, "code": code(secret, 1)}
        assert (await http.post("/api/v1/auth/second-factor/end", json=right)).status_code == 204
        assert (await http.get("/api/v1/auth/second-factor")).json() == {"on_since": None, "recovery_codes_left": 0}
    async with signed_in(own, mine):
        pass


async def test_what_was_offered_changes_nothing_until_a_code_confirms_it(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http:
        nothing = await http.post("/api/v1/auth/second-factor/confirm", json={"code": "123456"})
        assert (nothing.status_code, nothing.json()["code"]) == (409, "second_factor_not_begun")
        await http.post("/api/v1/auth/second-factor", json={"password": mine.password})
        wrong = await http.post("/api/v1/auth/second-factor/confirm", json={"code": "12345"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "bad_code")
    async with signed_in(own, mine):
        pass


async def test_where_the_vaults_key_is_gone_recovery_codes_still_open(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http, own.client() as browser:
        secret, codes = await turn_on(http, mine)
        await own.databases.sql("UPDATE totps SET secret = set_byte(secret, 0, 9)")
        pending = await half_way(browser, mine)
        assert (await second_step(browser, pending, code(secret, 1))).json()["code"] == "bad_code"
        assert (await second_step(browser, pending, codes[0])).status_code == 200


async def test_the_secret_is_in_no_row_as_it_is(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http:
        secret, codes = await turn_on(http, mine)
    rows = await own.databases.sql("SELECT * FROM totps") + await own.databases.sql("SELECT * FROM recovery_codes")
    assert base64.b32decode(secret).hex() not in rows
    assert codes[0].replace("-", "").encode().hex() not in rows
