"""Passkeys: registered by who has proved it, good for signing in, and for nothing that a thief can make of them."""

import httpx
import pytest

from tests.integration.people.conftest import Account, registered, signed_in
from tests.integration.people.outbox import mailbox
from tests.integration.people.test_second_factor import turn_on
from tests.support.authenticator import PRESENT, Authenticator, b64
from tests.support.control import Api


def device(api: Api) -> Authenticator:
    return Authenticator(api.plane.settings.public_url)


async def register(http: httpx.AsyncClient, who: Account, on: Authenticator, name: str = "phone") -> httpx.Response:
    begun = (await http.post("/api/v1/auth/passkeys/begin", json={"password": who.password})).json()
    made = {"token": begun["token"], "name": name, "credential": on.create(begun["options"])}
    return await http.post("/api/v1/auth/passkeys", json=made)


async def enter(http: httpx.AsyncClient, on: Authenticator) -> httpx.Response:
    begun = (await http.post("/api/v1/auth/login/passkey/begin")).json()
    used = {"token": begun["token"], "credential": on.get(begun["options"])}
    return await http.post("/api/v1/auth/login/passkey", json=used)


async def test_a_passkey_is_registered_listed_renamed_signs_in_and_is_removed(own: Api) -> None:
    mine, phone = await registered(own), device(own)
    async with signed_in(own, mine) as http, own.client() as browser:
        added = await register(http, mine, phone)
        assert added.status_code == 201, added.text
        url = f"/api/v1/auth/passkeys/{added.json()['id']}"
        assert (await http.patch(url, json={"name": "old phone"})).json()["name"] == "old phone"
        signed = await enter(browser, phone)
        assert signed.status_code == 200, signed.text
        assert signed.json()["email"] == mine.email
        assert (await browser.get("/api/v1/auth/me")).status_code == 200
        [listed] = (await http.get("/api/v1/auth/passkeys")).json()["items"]
        assert (listed["name"], listed["last_used_at"] is not None) == ("old phone", True)
        assert (await http.delete(url)).status_code == 204
        assert (await http.delete(url)).status_code == 404
        assert (await enter(browser, phone)).status_code == 401
    assert (await mailbox(own.plane, mine.email)).count("Your account was changed") == 2


async def test_a_passkey_alone_is_enough_where_a_password_needs_a_code(own: Api) -> None:
    mine, phone = await registered(own), device(own)
    async with signed_in(own, mine) as http, own.client() as browser:
        await register(http, mine, phone)
        await turn_on(http, mine)
        assert (await browser.post("/api/v1/auth/login", json=mine.body)).status_code == 202
        assert (await enter(browser, phone)).status_code == 200


async def test_registering_needs_the_password_and_each_step_is_good_once_and_for_who_began_it(own: Api) -> None:
    mine, other, phone = await registered(own), await registered(own), device(own)
    async with signed_in(own, mine) as http, signed_in(own, other) as stranger:
        wrong = await http.post("/api/v1/auth/passkeys/begin", json={"password": "wrong, wrong"})
        assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
        begun = (await http.post("/api/v1/auth/passkeys/begin", json={"password": mine.password})).json()
        made = {"token": begun["token"], "name": "x", "credential": phone.create(begun["options"])}
        assert (await stranger.post("/api/v1/auth/passkeys", json=made)).json()["code"] == "bad_voucher"
        assert (await http.post("/api/v1/auth/passkeys", json=made)).status_code == 201
        assert (await http.post("/api/v1/auth/passkeys", json=made)).json()["code"] == "bad_voucher"
        known = await register(http, mine, phone)
        assert (known.status_code, known.json()["code"]) == (409, "passkey_known")


@pytest.mark.parametrize(
    "how", ["origin", "nobody verified", "copied", "other key", "no such passkey", "other challenge"]
)
async def test_what_a_thief_can_make_of_it_opens_nothing(own: Api, how: str) -> None:
    mine, phone = await registered(own), device(own)
    async with signed_in(own, mine) as http, own.client() as browser:
        await register(http, mine, phone)
        me = (await http.get("/api/v1/auth/me")).json()["id"]
        assert (await enter(browser, phone)).status_code == 200
        match how:
            case "origin":
                phone.origin = "https://evil.example.org"
            case "nobody verified":
                phone.flags = PRESENT
            case "copied":
                phone.count = 0
            case "other key":
                phone.key = device(own).key
            case "no such passkey":
                phone.id = bytes(32)
        if how == "other challenge":
            begun = (await browser.post("/api/v1/auth/login/passkey/begin")).json()
            said = phone.get(begun["options"] | {"challenge": b64(bytes(32))})
            answer = await browser.post(
                "/api/v1/auth/login/passkey", json={"token": begun["token"], "credential": said}
            )
        else:
            answer = await enter(browser, phone)
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_credentials")
    assert "Set-Cookie" not in answer.headers
    row = f"SELECT action, target FROM audit WHERE request_id = '{answer.json()['request_id']}'"
    whose = "unknown" if how == "no such passkey" else me
    assert await own.databases.sql(row) == f"sign_in.failed|person:{whose}", "told once"


async def test_a_signature_is_good_once(own: Api) -> None:
    mine, phone = await registered(own), device(own)
    async with signed_in(own, mine) as http, own.client() as browser:
        await register(http, mine, phone)
        begun = (await browser.post("/api/v1/auth/login/passkey/begin")).json()
        used = {"token": begun["token"], "credential": phone.get(begun["options"])}
        answers = [await browser.post("/api/v1/auth/login/passkey", json=used) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 422]


async def test_what_is_no_credential_is_refused_with_a_reason(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as http:
        for credential in (
            {},
            {"id": 7},
            {"id": "é"},
            {"id": "AA", "rawId": "AA", "type": "public-key", "response": {}},
        ):
            begun = (await http.post("/api/v1/auth/login/passkey/begin")).json()
            used = {"token": begun["token"], "credential": credential}
            assert (await http.post("/api/v1/auth/login/passkey", json=used)).status_code == 401
            begun = (await http.post("/api/v1/auth/passkeys/begin", json={"password": mine.password})).json()
            made = {"token": begun["token"], "name": "x", "credential": credential}
            answer = await http.post("/api/v1/auth/passkeys", json=made)
            assert (answer.status_code, answer.json()["code"]) == (422, "bad_passkey")
