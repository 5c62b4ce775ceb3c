"""Whatever people change of their accounts is told, each in its own transaction: see `tests.support.told`."""

from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest

from tests.integration.people.conftest import NAME, Account, House, somebody
from tests.integration.people.outbox import token
from tests.integration.people.test_oidc import where
from tests.integration.people.test_passkeys import device
from tests.integration.people.test_second_factor import code
from tests.support.people import forget_terms
from tests.support.told import PEOPLE, Told, telling

BEGUN_EARLIER = "UPDATE vouchers SET created_at = created_at - interval '1 hour'"
TERMS_TO_COME = """INSERT INTO terms (version, text, published_by, published_at, effective_at)
  VALUES (1, 'Be kind.', 'tests', now(), now() + interval '1 day')"""


@pytest.fixture
async def told(house: House) -> AsyncIterator[Told]:
    async with telling(house.plane, house.api.databases) as made:
        yield made
    await forget_terms(house.api.databases)


async def enter(told: Told, http: httpx.AsyncClient, who: Account) -> str:
    """Signs in; gives the actor from here on."""
    signed_in = (await told.call(http, "POST /api/v1/auth/login", who.body, by="person:")).json()
    http.headers["X-CSRF-Token"] = signed_in["csrf_token"]
    return f"person:{signed_in['id']}"


async def test_everything_that_people_change_of_their_accounts_is_told(house: House, told: Told) -> None:
    async with house.api.client() as http, house.api.client() as browser:
        mine = await arriving(house, told, http)
        mine = await moving(house, told, http, mine)
        await passkeys(house, told, http, browser, mine)
        await two_steps(told, http, browser, mine)
        await elsewhere(house, told, http, mine)
        await leaving(house, told, http, mine)
    assert told.done == PEOPLE.keys()


async def arriving(house: House, told: Told, http: httpx.AsyncClient) -> Account:
    mine = somebody()
    address = {"email": mine.email}
    await told.call(http, "POST /api/v1/auth/register", mine.body, by="person:")
    await house.api.databases.sql(BEGUN_EARLIER)
    await told.call(http, "POST /api/v1/auth/register", mine.body, says="person.registered_again")
    await told.call(http, "POST /api/v1/auth/verify/send", address)
    verify = {"token": await token(house.plane, mine.email, "verify")}
    await told.call(http, "POST /api/v1/auth/verify", verify)
    await house.api.databases.sql(BEGUN_EARLIER)
    await told.call(http, "POST /api/v1/auth/password/forgotten", address)
    reset = {"token": await token(house.plane, mine.email, "reset"), "password": mine.password}
    await told.call(http, "POST /api/v1/auth/password/reset", reset)
    return mine


async def moving(house: House, told: Told, http: httpx.AsyncClient, mine: Account) -> Account:
    moved = Account(somebody().email, "three unlikely words")
    me = await enter(told, http, mine)
    key = (await told.call(http, "POST /api/v1/auth/keys", {"name": "x"}, by=me)).json()
    async with house.api.client() as program:
        program.headers["Authorization"] = f"Bearer {key['secret']}"
        await told.call(program, "POST /api/v1/auth/token", {})
    await told.call(http, "DELETE /api/v1/auth/keys/{key_id}", by=me, key_id=key["id"])
    change = {"password": mine.password, "new": moved.password}
    await told.call(http, "POST /api/v1/auth/password", change, by=me)
    await told.call(http, "POST /api/v1/auth/email", {"email": moved.email, "password": moved.password}, by=me)
    await told.call(http, "POST /api/v1/auth/email/confirm", {"token": await token(house.plane, moved.email, "email")})
    return moved


async def passkeys(
    house: House, told: Told, http: httpx.AsyncClient, browser: httpx.AsyncClient, mine: Account
) -> None:
    me, phone = await enter(told, http, mine), device(house.api)
    proof = {"password": mine.password}
    begun = (await told.call(http, "POST /api/v1/auth/passkeys/begin", proof, by=me)).json()
    made = {"token": begun["token"], "name": "phone", "credential": phone.create(begun["options"])}
    passkey = (await told.call(http, "POST /api/v1/auth/passkeys", made, by=me)).json()["id"]
    at = "/api/v1/auth/passkeys/{passkey}"
    await told.call(http, f"PATCH {at}", {"name": "old"}, by=me, passkey=passkey)
    begun = (await told.call(browser, "POST /api/v1/auth/login/passkey/begin")).json()
    used = {"token": begun["token"], "credential": phone.get(begun["options"])}
    await told.call(browser, "POST /api/v1/auth/login/passkey", used, by=me)
    sessions = (await http.get("/api/v1/auth/sessions")).json()["items"]
    [other] = [each["id"] for each in sessions if not each["current"]]
    await told.call(http, "DELETE /api/v1/auth/sessions/{session}", by=me, session=other)
    await told.call(http, f"DELETE {at}", by=me, passkey=passkey)


async def two_steps(told: Told, http: httpx.AsyncClient, browser: httpx.AsyncClient, mine: Account) -> None:
    me, proof = await enter(told, http, mine), {"password": mine.password}
    call = partial(told.call, http, by=me)
    secret = (await call("POST /api/v1/auth/second-factor", proof)).json()["secret"]
    await call("POST /api/v1/auth/second-factor/confirm", {"code": code(secret)})
    codes = (await call("POST /api/v1/auth/second-factor/recovery-codes", proof)).json()["recovery_codes"]
    half_way = await told.call(browser, "POST /api/v1/auth/login", mine.body, says="sign_in.half_way")
    step = {"pending": half_way.json()["pending"], "code": codes[0]}
    await told.call(browser, "POST /api/v1/auth/login/code", step, by=me)
    await call("POST /api/v1/auth/sessions/end-others")
    await call("POST /api/v1/auth/second-factor/end", proof | {"code": codes[1]})


async def elsewhere(house: House, told: Told, http: httpx.AsyncClient, mine: Account) -> None:
    """A new account by way of the provider; and one more way into an account that is there."""
    me = await enter(told, http, mine)
    for email, says, by in ((somebody().email, None, "person:"), (mine.email, "identity.offered", "somebody")):
        subject = await house.person(email=email, email_verified=True)
        async with house.api.client() as browser:
            begun = (await told.call(browser, "POST /api/v1/auth/providers/{name}/begin", name=NAME)).json()
            back = await house.provider.consents(begun["url"], subject)
            at = "GET /api/v1/auth/providers/{name}/callback"
            answer = await told.call(browser, at, query=back, by=by, says=says, name=NAME)
    link = {"token": where(answer).partition("#link=")[2]}
    identity = (await told.call(http, "POST /api/v1/auth/identities", link, by=me)).json()["id"]
    await told.call(http, "DELETE /api/v1/auth/identities/{identity}", by=me, identity=identity)


async def leaving(house: House, told: Told, http: httpx.AsyncClient, mine: Account) -> None:
    me = await enter(told, http, mine)
    await house.api.databases.sql(TERMS_TO_COME)
    await told.call(http, "POST /api/v1/terms/accept", {"version": 1}, by=me)
    await told.call(http, "GET /api/v1/auth/export", by=me)
    await told.call(http, "POST /api/v1/auth/logout", by=me)
    me = await enter(told, http, mine)
    await told.call(http, "POST /api/v1/auth/leave", {"confirm": mine.email, "password": mine.password}, by=me)
