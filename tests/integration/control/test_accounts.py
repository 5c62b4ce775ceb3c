"""Accounts over HTTP: register, sign in, CSRF, keys, tokens, throttling."""

import secrets

from control.accounts import throttle
from control.plane import Plane
from tests.support.control import PASSWORD, Api, serving


def account(**more: str) -> dict[str, str]:
    return {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD} | more


async def test_who_registers_can_sign_in_and_is_known_by_the_cookie(api: Api) -> None:
    mine = account(name="Ours")
    async with api.client() as http:
        made = await http.post("/api/v1/auth/register", json=mine | {"email": mine["email"].upper()})
        assert made.status_code == 201, made.text
        assert made.json()["email"] == mine["email"]
        assert (await http.get("/api/v1/auth/me")).status_code == 401

        signed_in = await http.post("/api/v1/auth/login", json={k: v for k, v in mine.items() if k != "name"})
        cookie = signed_in.headers["Set-Cookie"]
        assert cookie.startswith("session=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie

        me = (await http.get("/api/v1/auth/me")).json()
        assert me["organisation"]["name"] == "Ours"
        assert me["csrf_token"] == signed_in.json()["csrf_token"]


async def test_a_wrong_password_and_an_unknown_email_are_told_alike(api: Api) -> None:
    mine = account()
    async with api.client() as http:
        await http.post("/api/v1/auth/register", json=mine)
        wrong = await http.post("/api/v1/auth/login", json=mine | {"password": "something else"})
        unknown = await http.post("/api/v1/auth/login", json=account())
    assert (wrong.status_code, wrong.json()["code"]) == (401, "bad_credentials")
    assert (unknown.status_code, unknown.json()["detail"]) == (401, wrong.json()["detail"])


async def test_guessing_is_throttled_and_says_when_to_come_back(plane: Plane, api: Api) -> None:
    mine = account()
    async with serving(plane) as url, Api(url, plane, api.databases).client() as http:
        await http.post("/api/v1/auth/register", json=mine)
        for _ in range(throttle.TRY_PASSWORD.times):
            answer = await http.post("/api/v1/auth/login", json=mine)
            assert answer.status_code == 200
        assert answer.headers["RateLimit"].startswith('"sign-in";r=0;t=')
        refused = await http.post("/api/v1/auth/login", json=mine)
        other = await http.post("/api/v1/auth/login", json=account())
    assert refused.status_code == 429
    assert refused.json()["code"] == "too_many_requests"
    assert 0 < int(refused.headers["Retry-After"]) <= 2 * throttle.TRY_PASSWORD.window_s
    assert other.status_code == 401, "another account is not locked out"


async def test_a_change_with_a_cookie_needs_the_csrf_token(api: Api) -> None:
    async with api.member() as http:
        token = http.headers.pop("X-CSRF-Token")
        missing = await http.post("/api/v1/auth/keys", json={"name": "x"})
        foreign = await http.post("/api/v1/auth/keys", json={"name": "x"}, headers={"X-CSRF-Token": token[::-1]})
        right = await http.post("/api/v1/auth/keys", json={"name": "x"}, headers={"X-CSRF-Token": token})
    assert (missing.status_code, missing.json()["code"]) == (403, "csrf")
    assert foreign.status_code == 403
    assert right.status_code == 201


async def test_a_session_ends_when_it_is_signed_out(api: Api) -> None:
    async with api.member() as http:
        stolen = http.cookies["session"]
        out = await http.post("/api/v1/auth/logout")
        assert out.status_code == 204, out.text
        assert 'session=""' in out.headers["Set-Cookie"]
        http.cookies.set("session", stolen)
        answer = await http.get("/api/v1/auth/me")
    assert answer.status_code == 401


async def test_a_key_is_shown_once_works_and_stops_at_once_when_revoked(api: Api) -> None:
    async with api.member() as http, api.client() as program:
        made = (await http.post("/api/v1/auth/keys", json={"name": "ci"})).json()
        program.headers["Authorization"] = f"Bearer {made['secret']}"
        assert (await program.get("/api/v1/auth/me")).json()["csrf_token"] is None
        minted = (await program.post("/api/v1/auth/token")).json()

        listed = (await http.get("/api/v1/auth/keys")).json()["items"]
        assert [(key["name"], key["prefix"]) for key in listed] == [("ci", made["secret"][:12])]
        assert made["secret"] not in str(listed)

        program.headers["Authorization"] = f"Bearer {minted['token']}"
        assert (await program.get("/api/v1/auth/me")).status_code == 200
        assert (await program.post("/api/v1/auth/token")).json()["code"] == "permission_denied"

        assert (await http.delete(f"/api/v1/auth/keys/{made['id']}")).status_code == 204
        assert (await program.get("/api/v1/auth/me")).status_code == 401, "its token ends with it"
        program.headers["Authorization"] = f"Bearer {made['secret']}"
        assert (await program.get("/api/v1/auth/me")).status_code == 401
        assert (await http.delete(f"/api/v1/auth/keys/{made['id']}")).status_code == 404


async def test_what_is_no_account_is_refused_with_a_reason(api: Api) -> None:
    async with api.client() as http:
        for given, code in (
            (account(password="short"), "bad_password"),
            (account(password="x" * 129), "bad_password"),
            (account(password="Password2026!"), "weak_password"),
            (account(email="nobody"), "bad_email"),
            (account(email="a@b\x00.org"), "bad_input"),
            (account(email="ä@example.org"), "bad_email"),
            (account(name="a\u202eb"), "bad_name"),
            (account(colour="red"), "bad_input"),
            ({"email": "a@example.org"}, "bad_input"),
        ):
            answer = await http.post("/api/v1/auth/register", json=given)
            assert (answer.status_code, answer.json()["code"]) == (422, code), given
