"""Addresses: nobody learns who has an account; whoever has the mailbox confirms; moving to another address."""

import asyncio

import httpx

from tests.integration.people.conftest import registered, signed_in, somebody
from tests.integration.people.outbox import mailbox, texts, token
from tests.support.control import Api


async def test_registering_a_known_address_is_answered_alike_and_told_to_its_mailbox(own: Api) -> None:
    known = somebody()
    async with own.client() as http:
        first = await http.post("/api/v1/auth/register", json=known.body)
        again = await http.post("/api/v1/auth/register", json=known.body | {"password": "another long phrase"})
        assert (first.status_code, first.json()) == (again.status_code, again.json())
        assert set(first.headers) == set(again.headers)
        assert (await http.post("/api/v1/auth/login", json=known.body)).status_code == 200, "its password stays"
    assert await mailbox(own.plane, known.email) == ["Confirm your e-mail address", "You have an account already"]


async def test_forgetting_is_answered_alike_for_every_address(own: Api) -> None:
    known, unknown = somebody(), somebody()
    async with own.client() as http:
        await http.post("/api/v1/auth/register", json=known.body)
        answers = [
            await http.post("/api/v1/auth/password/forgotten", json={"email": e.email}) for e in (known, unknown)
        ]
    assert answers[0].status_code == 202
    assert len({(a.status_code, a.content, frozenset(a.headers)) for a in answers}) == 1
    assert await mailbox(own.plane, unknown.email) == []
    assert (await mailbox(own.plane, known.email))[-1] == "Choose a new password"


async def test_where_addresses_are_confirmed_first_nothing_tells_an_unconfirmed_account_from_none(strict: Api) -> None:
    new, unknown = somebody(), somebody()
    async with strict.client() as http:
        made = await http.post("/api/v1/auth/register", json=new.body)
        assert made.json() == {"email": new.email, "next": "confirm"}
        early = await http.post("/api/v1/auth/login", json=new.body)
        nobody = await http.post("/api/v1/auth/login", json=unknown.body)
        assert (early.status_code, early.json()["code"]) == (nobody.status_code, nobody.json()["code"])
        assert early.json()["detail"] == nobody.json()["detail"]
        mailed = await token(strict.plane, new.email, "verify")
        assert (await http.post("/api/v1/auth/verify", json={"token": mailed})).json() == {"email": new.email}
        assert (await http.post("/api/v1/auth/login", json=new.body)).status_code == 200
        again = await http.post("/api/v1/auth/verify", json={"token": mailed})
        assert (again.status_code, again.json()["code"]) == (422, "bad_voucher")


async def test_whoever_registered_first_with_a_strangers_address_gets_nothing_when_its_owner_confirms(
    strict: Api,
) -> None:
    owner = somebody()
    thief = owner.body | {"password": "waiting in the bushes"}
    async with strict.client() as http:
        await http.post("/api/v1/auth/register", json=thief)
        old = await token(strict.plane, owner.email, "verify")
        await http.post("/api/v1/auth/register", json=owner.body)
        assert (await http.post("/api/v1/auth/verify", json={"token": old})).status_code == 422
        await http.post("/api/v1/auth/verify", json={"token": await token(strict.plane, owner.email, "verify")})
        assert (await http.post("/api/v1/auth/login", json=thief)).status_code == 401
        assert (await http.post("/api/v1/auth/login", json=owner.body)).status_code == 200


async def test_a_token_that_is_used_twice_at_once_works_once(strict: Api) -> None:
    new = somebody()
    async with strict.client() as http:
        await http.post("/api/v1/auth/register", json=new.body)
        mailed = {"token": await token(strict.plane, new.email, "verify")}
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(http.post("/api/v1/auth/verify", json=mailed)) for _ in range(5)]
    assert sorted(each.result().status_code for each in tries) == [200, 422, 422, 422, 422]


async def test_two_who_register_one_address_at_once_are_answered_alike_and_make_one_account(own: Api) -> None:
    mine = somebody()
    async with own.client() as http, asyncio.TaskGroup() as group:
        tries = [group.create_task(http.post("/api/v1/auth/register", json=mine.body)) for _ in range(4)]
    assert {each.result().status_code for each in tries} == {201}
    said = await own.databases.sql(f"SELECT count(*) FROM people WHERE email = '{mine.email}'")
    assert said == "1"


async def test_mails_are_asked_for_as_often_as_one_likes_and_sent_every_two_minutes(own: Api) -> None:
    known = somebody()
    async with own.client() as http:
        await http.post("/api/v1/auth/register", json=known.body)
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(http.post("/api/v1/auth/password/forgotten", json={"email": known.email}))
    assert (await mailbox(own.plane, known.email)).count("Choose a new password") == 1


async def test_a_token_is_in_no_table_and_no_mails_text_is_readable(own: Api) -> None:
    known = somebody()
    async with own.client() as http:
        await http.post("/api/v1/auth/register", json=known.body)
    mailed = await token(own.plane, known.email, "verify")
    for table in ("vouchers", "mails", "audit"):
        rows = await own.databases.sql(f"SELECT * FROM {table}")
        assert mailed not in rows
        assert mailed.encode().hex() not in rows


async def moved(http: httpx.AsyncClient, api: Api, password: str, to: str) -> httpx.Response:
    asked = await http.post("/api/v1/auth/email", json={"email": to, "password": password})
    assert asked.status_code == 202, asked.text
    return await http.post("/api/v1/auth/email/confirm", json={"token": await token(api.plane, to, "email")})


async def test_an_account_moves_to_another_address_once_that_is_confirmed_and_the_old_one_hears_of_it(own: Api) -> None:
    old, new = await registered(own), somebody()
    async with signed_in(own, old) as http:
        await http.post("/api/v1/auth/password/forgotten", json={"email": old.email})
        wrong = await http.post("/api/v1/auth/email", json={"email": new.email, "password": "not the one at all"})
        assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
        assert (await moved(http, own, old.password, new.email)).json() == {"email": new.email}
        assert (await http.get("/api/v1/auth/me")).json()["email"] == new.email
        assert (await http.post("/api/v1/auth/login", json=old.body)).status_code == 401
        void = {"token": await token(own.plane, old.email, "reset"), "password": "mine by the old mailbox"}
        assert (await http.post("/api/v1/auth/password/reset", json=void)).status_code == 422
    async with signed_in(own, new):
        pass
    assert (await mailbox(own.plane, old.email)).count("Your account was changed") == 2


async def test_that_an_address_is_taken_is_told_to_its_mailbox_and_not_to_who_wants_it(own: Api) -> None:
    taken, mine = await registered(own), await registered(own)
    async with signed_in(own, mine) as http:
        asked = [
            await http.post("/api/v1/auth/email", json={"email": to, "password": mine.password})
            for to in (taken.email, somebody().email)
        ]
    assert [(each.status_code, each.content) for each in asked] == [(202, asked[0].content)] * 2
    assert "#email=" not in (await texts(own.plane, taken.email))[-1]
