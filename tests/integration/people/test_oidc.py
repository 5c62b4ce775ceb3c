"""Signing in by way of a real OpenID provider: known, new, or to be connected; and what nobody can make of it."""

import json
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from control.accounts import oidc
from control.accounts.oidc import Begun, OidcFailed, Providers, read_providers
from control.plane import Plane
from tests.integration.people.conftest import BEGIN, CALLBACK, NAME, House, registered, signed_in, somebody
from tests.integration.people.test_second_factor import turn_on
from wire.clock import utcnow


def where(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


async def test_a_new_person_with_a_verified_address_gets_an_account_and_comes_back_into_it(house: House) -> None:
    email = somebody().email
    subject = await house.person(email=email, email_verified=True)
    async with house.api.client() as browser, house.api.client() as other:
        assert (await browser.get("/api/v1/auth/providers")).json()["items"] == [{"name": NAME, "title": "The house"}]
        assert where(await house.enter(browser, subject)) == "/"
        me = (await browser.get("/api/v1/auth/me")).json()
        assert me["email"] == email
        assert where(await house.enter(other, subject)) == "/"
        assert (await other.get("/api/v1/auth/me")).json()["id"] == me["id"]
        assert "oidc" not in browser.cookies, "what the browser kept is used up"


async def test_an_address_that_the_provider_does_not_vouch_for_opens_nothing(house: House) -> None:
    known = await registered(house.api)
    for claims in ({"email": known.email, "email_verified": False}, {"email": known.email}, {}):
        async with house.api.client() as browser:
            answer = await house.enter(browser, await house.person(**claims))
            assert where(answer) == "/account.html#error=oidc_unverified"
            assert "session" not in browser.cookies


async def test_an_account_with_this_address_is_connected_by_its_owner_alone_who_signs_in(house: House) -> None:
    mine, stranger = await registered(house.api), await registered(house.api)
    subject = await house.person(email=mine.email, email_verified=True)
    async with house.api.client() as browser:
        said = where(await house.enter(browser, subject))
        assert said.startswith("/account.html#link=")
        assert "session" not in browser.cookies
    token = {"token": said.partition("=")[2]}
    async with signed_in(house.api, stranger) as http:
        assert (await http.post("/api/v1/auth/identities", json=token)).json()["code"] == "bad_voucher"
    async with signed_in(house.api, mine) as http, house.api.client() as browser:
        connected = await http.post("/api/v1/auth/identities", json=token)
        assert connected.status_code == 201, connected.text
        assert (await http.post("/api/v1/auth/identities", json=token)).status_code == 422
        assert where(await house.enter(browser, subject)) == "/"
        assert (await browser.get("/api/v1/auth/me")).json()["email"] == mine.email
        [identity] = (await http.get("/api/v1/auth/identities")).json()["items"]
        assert (await http.delete(f"/api/v1/auth/identities/{identity['id']}")).status_code == 204
        assert where(await house.enter(browser, subject)).startswith("/account.html#link=")


async def test_a_second_factor_is_asked_for_here_too(house: House) -> None:
    email = somebody().email
    subject = await house.person(email=email, email_verified=True)
    async with house.api.client() as http, house.api.client() as browser:
        await house.enter(http, subject)
        http.headers["X-CSRF-Token"] = (await http.get("/api/v1/auth/me")).json()["csrf_token"]
        _, codes = await turn_on(http, somebody())
        said = where(await house.enter(browser, subject))
        assert said.startswith("/account.html#code=")
        step = {"pending": said.partition("=")[2], "code": codes[0]}
        assert (await browser.post("/api/v1/auth/login/code", json=step)).status_code == 200


async def test_who_has_no_password_keeps_a_way_in_and_proves_it_by_having_signed_in_just_now(house: House) -> None:
    email = somebody().email
    subject = await house.person(email=email, email_verified=True)
    async with house.api.client() as http:
        await house.enter(http, subject)
        http.headers["X-CSRF-Token"] = (await http.get("/api/v1/auth/me")).json()["csrf_token"]
        [identity] = (await http.get("/api/v1/auth/identities")).json()["items"]
        last = await http.delete(f"/api/v1/auth/identities/{identity['id']}")
        assert (last.status_code, last.json()["code"]) == (409, "last_way_in")
        old = f"UPDATE sessions s SET created_at = now() - interval '11 minutes' FROM people p WHERE p.id = person_id AND p.email = '{email}'"  # noqa: E501 - a test's own
        await house.api.databases.sql(old)
        stale = await http.post("/api/v1/auth/password", json={"new": "three unlikely words"})
        assert (stale.status_code, stale.json()["code"]) == (403, "stale_sign_in")
    async with house.api.client() as http:
        await house.enter(http, subject)
        http.headers["X-CSRF-Token"] = (await http.get("/api/v1/auth/me")).json()["csrf_token"]
        assert (await http.post("/api/v1/auth/password", json={"new": "three unlikely words"})).status_code == 204
        assert (await http.delete(f"/api/v1/auth/identities/{identity['id']}")).status_code == 204


async def test_an_answer_counts_in_the_browser_that_asked_and_once(house: House) -> None:
    subject = await house.person(email=somebody().email, email_verified=True)
    async with house.api.client() as thief, house.api.client() as victim:
        stolen = await house.provider.consents(await house.begin(thief), subject)
        assert where(await victim.get(CALLBACK, params=stolen)) == "/account.html#error=oidc_expired"
        await house.begin(victim)
        assert where(await victim.get(CALLBACK, params=stolen)) == "/account.html#error=oidc_expired"
        assert "session" not in victim.cookies
        cookie = thief.cookies["oidc"]
        assert where(await thief.get(CALLBACK, params=stolen)) == "/"
        thief.cookies.set("oidc", cookie)
        assert where(await thief.get(CALLBACK, params=stolen)) == "/account.html#error=oidc_failed", "its code is used"


async def test_who_refuses_there_is_told_so_here_and_a_code_of_another_request_fails(house: House) -> None:
    subject = await house.person(email=somebody().email, email_verified=True)
    async with house.api.client() as browser:
        back = await house.provider.consents(await house.begin(browser), subject)
        denied = await browser.get(CALLBACK, params={"state": back["state"], "error": "access_denied"})
        assert where(denied) == "/account.html#error=oidc_denied"
        first = await house.provider.consents(await house.begin(browser), subject)
        second = await house.provider.consents(await house.begin(browser), subject)
        mixed = {"state": second["state"], "code": first["code"]}  # its PKCE verifier is another
        assert where(await browser.get(CALLBACK, params=mixed)) == "/account.html#error=oidc_failed"
        third = await house.provider.consents(await house.begin(browser), subject)
        other = third | {"iss": "https://evil.example.org"}
        assert where(await browser.get(CALLBACK, params=other)) == "/account.html#error=oidc_failed"


async def test_another_sites_page_cannot_begin_and_an_unknown_provider_is_not_there(house: House) -> None:
    async with house.api.client() as browser:
        assert (await browser.post(BEGIN, headers={"Sec-Fetch-Site": "cross-site"})).json()["code"] == "cross_site"
        for path in ("/api/v1/auth/providers/nobody/begin", "/api/v1/auth/providers/nobody/callback"):
            method = "POST" if path.endswith("begin") else "GET"
            assert (await browser.request(method, path)).status_code == 404


@pytest.mark.parametrize(
    "wrong", ["alg none", "alg HS256", "other key", "aud", "iss", "nonce", "old", "from tomorrow", "no sub", "azp"]
)
async def test_an_id_token_that_is_not_exactly_what_we_asked_for_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """With a key of the test's own: the provider itself never makes such tokens."""
    now = utcnow()
    ours = Providers(house.plane.settings)
    _, begun = await ours.begin(NAME, now)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "k"}
    ours._known[NAME].keys = [public]
    at = int(now.timestamp())
    body: dict[str, object] = {
        "iss": house.provider.issuer, "aud": house.provider.id, "sub": "s", "nonce": begun.nonce,
        "iat": at, "exp": at + 60,
    }  # fmt: skip
    provider = ours.named(NAME)
    good = jwt.encode(body, key, "RS256", headers={"kid": "k"})
    assert (await ours._verified(provider, good, begun.nonce, now)).subject == "s"
    hour = 3600
    changed: dict[str, dict[str, object]] = {
        "aud": {"aud": "somebody"}, "iss": {"iss": "https://evil.example.org"}, "nonce": {"nonce": "x"},
        "old": {"iat": at - hour, "exp": at - hour}, "from tomorrow": {"iat": at + hour},
        "azp": {"aud": [house.provider.id, "b"], "azp": "b"},
    }  # fmt: skip
    said = body | changed.get(wrong, {})
    if wrong == "no sub":
        del said["sub"]
    match wrong:
        case "alg none":
            token = jwt.encode(said, "", "none", headers={"kid": "k"})
        case "alg HS256":
            token = jwt.encode(said, "a secret that everybody knows, the public key", "HS256", headers={"kid": "k"})
        case "other key":
            other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            token = jwt.encode(said, other, "RS256", headers={"kid": "k"})
        case _:
            token = jwt.encode(said, key, "RS256", headers={"kid": "k"})
    with pytest.raises(OidcFailed):
        await ours._verified(provider, token, begun.nonce, now)


def test_the_file_of_providers_knows_presets_and_refuses_what_is_not_safe(tmp_path: Path) -> None:
    file = tmp_path / "oidc.json"
    client = {"client_id": "a", "client_secret": "b"}
    file.write_text(json.dumps([client | {"preset": "google"}]))
    [google] = read_providers(file)
    assert (google.name, google.issuer) == ("google", "https://accounts.google.com")
    for bad in (
        {"preset": "x"},
        {"name": "a", "issuer": "http://sso.example.org"},
        {"name": "a/b", "issuer": "https://x"},
    ):
        file.write_text(json.dumps([client | bad]))
        with pytest.raises(ValueError, match=r".+"):
            read_providers(file)
    assert read_providers(None) == []


def test_what_a_browser_keeps_is_good_for_its_own_answer_and_for_ten_minutes(plane: Plane) -> None:
    vault, now = plane.settings.vault, utcnow()
    begun = Begun(NAME, "state", "nonce", "verifier", now)
    cookie = oidc.kept(vault, begun)
    assert "verifier" not in cookie
    earlier = now.replace(year=now.year - 1)
    assert oidc.begun_by(vault, cookie, NAME, "state", earlier) == begun
    for args in ((cookie, NAME, "other", earlier), (cookie, "else", "state", earlier), (cookie, NAME, "state", now)):
        assert oidc.begun_by(vault, *args) is None
    for broken in ("", "%%%", cookie[:-8], cookie[8:], "é"):
        assert oidc.begun_by(vault, broken, NAME, "state", earlier) is None
