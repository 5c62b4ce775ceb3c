"""Sessions: seen where, ended one by one or all, few at once, never one that somebody else chose."""

import asyncio
import secrets

from control.accounts.sessions import SESSIONS_MAX
from tests.integration.people.conftest import Account, registered, setting, signed_in
from tests.support.control import Api, serving

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def test_sessions_are_listed_with_device_and_network_and_ended_one_or_all(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as here, signed_in(own, mine) as there, signed_in(own, mine) as third:
        there.headers["User-Agent"] = FIREFOX
        again = await there.post("/api/v1/auth/login", json=mine.body)
        there.headers["X-CSRF-Token"] = again.json()["csrf_token"]
        items = (await here.get("/api/v1/auth/sessions")).json()["items"]
        assert sorted(each["device"] for each in items) == ["Firefox on Linux", "httpx", "httpx"], (
            "the one before ended"
        )
        assert {each["network"] for each in items} == {"127.0.0.0/24"}
        assert [each["current"] for each in items].count(True) == 1
        firefox = next(each["id"] for each in items if each["device"].startswith("Firefox"))
        assert (await here.delete(f"/api/v1/auth/sessions/{firefox}")).status_code == 204
        assert (await here.delete(f"/api/v1/auth/sessions/{firefox}")).status_code == 404
        assert (await there.get("/api/v1/auth/me")).status_code == 401
        assert (await here.post("/api/v1/auth/sessions/end-others")).json() == {"ended": 1}
        assert (await third.get("/api/v1/auth/me")).status_code == 401
        assert (await here.get("/api/v1/auth/me")).status_code == 200


async def test_somebody_elses_session_is_not_there(own: Api) -> None:
    async with signed_in(own, await registered(own)) as mine, signed_in(own, await registered(own)) as stranger:
        session = (await mine.get("/api/v1/auth/sessions")).json()["items"][0]["id"]
        assert (await stranger.delete(f"/api/v1/auth/sessions/{session}")).status_code == 404
        assert (await mine.get("/api/v1/auth/me")).status_code == 200


async def test_of_too_many_sessions_the_oldest_ends_also_when_they_begin_at_once(own: Api) -> None:
    mine = await registered(own)

    async def begin(http_of: Account) -> int:
        async with own.client() as http:
            return (await http.post("/api/v1/auth/login", json=http_of.body)).status_code

    filler = (
        "INSERT INTO sessions (id, person_id, token_hash, created_at, expires_at) SELECT gen_random_uuid(), id,"
        " sha256(gen_random_uuid()::text::bytea), now() - interval '1 hour', now() + interval '1 day'"
        f" FROM people, generate_series(1, {SESSIONS_MAX - 1}) WHERE email = '{mine.email}'"
    )
    await own.databases.sql(filler)
    async with asyncio.TaskGroup() as group:
        tries = [group.create_task(begin(mine)) for _ in range(4)]
    assert [each.result() for each in tries] == [200] * 4
    count = f"SELECT count(*) FROM sessions JOIN people p ON p.id = person_id WHERE p.email = '{mine.email}'"
    assert await own.databases.sql(count) == str(SESSIONS_MAX)


async def test_that_it_was_seen_is_written_once_a_minute(own: Api) -> None:
    mine = await registered(own)
    seen = f"SELECT s.seen_at FROM sessions s JOIN people p ON p.id = person_id WHERE p.email = '{mine.email}'"
    async with signed_in(own, mine) as http:
        first = await own.databases.sql(seen)
        await http.get("/api/v1/auth/me")
        assert await own.databases.sql(seen) == first
        await own.databases.sql("UPDATE sessions SET seen_at = seen_at - interval '61 seconds'")
        await http.get("/api/v1/auth/me")
        assert await own.databases.sql(seen) > first


async def test_a_session_that_somebody_planted_is_worth_nothing_after_signing_in(own: Api) -> None:
    victim, thief = await registered(own), await registered(own)
    made_up = secrets.token_urlsafe(32)
    async with signed_in(own, thief) as attacker, own.client() as browser:
        for planted in (made_up, attacker.cookies["session"]):
            browser.cookies.clear()
            browser.cookies.set("session", planted)
            answer = await browser.post("/api/v1/auth/login", json=victim.body)
            assert answer.cookies["session"] != planted
            async with own.client() as holder:
                holder.cookies.set("session", planted)
                assert (await holder.get("/api/v1/auth/me")).status_code == 401


async def test_another_sites_page_cannot_sign_its_visitors_in(own: Api) -> None:
    thief = await registered(own)
    async with own.client() as browser:
        form = await browser.post("/api/v1/auth/login", data=thief.body)
        text = await browser.post(
            "/api/v1/auth/login", content=b'{"email": "a"}', headers={"Content-Type": "text/plain"}
        )
        scripts = [
            await browser.post("/api/v1/auth/login", json=thief.body, headers={"Sec-Fetch-Site": site})
            for site in ("cross-site", "same-site")
        ]
        ours = await browser.post("/api/v1/auth/login", json=thief.body, headers={"Sec-Fetch-Site": "same-origin"})
    assert (form.status_code, text.status_code) == (415, 415)
    assert [(each.status_code, each.json()["code"]) for each in scripts] == [(403, "cross_site")] * 2
    assert not any("Set-Cookie" in each.headers for each in (form, text, *scripts))
    assert ours.status_code == 200


async def test_over_https_the_cookie_belongs_to_this_host_alone(own: Api) -> None:
    mine = await registered(own)
    plane = setting(own.plane, public_url="https://seedlift.example.org", bot_check="off")
    async with serving(plane) as url, own.client() as http:
        answer = await http.post(f"{url}/api/v1/auth/login", json=mine.body)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
