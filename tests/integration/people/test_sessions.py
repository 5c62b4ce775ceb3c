"""Sessions: seen where, ended one by one or all, few at once, never one that somebody else chose."""

import asyncio
import secrets
from uuid import UUID

from control.audit.service import Actor
from control.plans import service as plans
from control.plans.limits import OwnLimits
from tests.integration.people.conftest import Account, registered, setting, signed_in
from tests.support.control import Api, serving
from wire.clock import utcnow
from wire.ids import OrgId

ACTOR = Actor(name="person:tests")
HOUSE = 20
"""By the plan of all organisations that tests make, unless they say otherwise."""
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


THEIR_ORGS = """SELECT m.org_id FROM members m JOIN people p ON p.id = m.person_id WHERE p.email = '{}'"""


async def allowed(api: Api, who: Account, most: int) -> None:
    """By limits of the organisation's own."""
    org = (await api.databases.sql(THEIR_ORGS.format(who.email) + " ORDER BY joined_at")).split()[0]
    async with api.plane.working() as tx:
        await plans.set_own(tx, OrgId(UUID(org)), OwnLimits(sessions=most), "A test.", ACTOR, utcnow())


async def begin(api: Api, who: Account) -> int:
    async with api.client() as http:
        return (await http.post("/api/v1/auth/login", json=who.body)).status_code


async def signed_in_at(api: Api, who: Account) -> int:
    mine = f"SELECT count(*) FROM sessions JOIN people p ON p.id = person_id WHERE p.email = '{who.email}'"
    return int(await api.databases.sql(mine))


async def test_of_too_many_sessions_the_oldest_ends_also_when_they_begin_at_once(own: Api) -> None:
    mine = await registered(own)
    await allowed(own, mine, 3)
    async with signed_in(own, mine) as oldest:
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(begin(own, mine)) for _ in range(4)]
        assert [each.result() for each in tries] == [200] * 4
        assert (await oldest.get("/api/v1/auth/me")).status_code == 401
    assert await signed_in_at(own, mine) == 3


async def test_fewer_by_another_plan_end_none_until_another_begins_and_the_log_says_how_many(own: Api) -> None:
    mine = await registered(own)
    async with signed_in(own, mine) as first, signed_in(own, mine) as second, signed_in(own, mine) as third:
        assert (await first.get("/api/v1/auth/sessions")).json()["most"] == HOUSE
        await allowed(own, mine, 2)
        assert (await first.get("/api/v1/auth/sessions")).json()["most"] == 2
        assert await signed_in_at(own, mine) == 3
        async with signed_in(own, mine) as fourth:
            answers = [(await each.get("/api/v1/auth/me")).status_code for each in (first, second, third, fourth)]
            assert answers == [401, 401, 200, 200]
            log = (await fourth.get("/api/v1/audit", params={"action": "session.started"})).json()["items"]
    assert [each["detail"].get("crowded_out") for each in log] == [2, None, None, None]


async def test_of_several_organisations_the_best_plan_counts_and_of_none_that_of_new_ones(own: Api) -> None:
    host, guest = await registered(own), await registered(own)
    await allowed(own, guest, 1)
    await allowed(own, host, 4)
    async with signed_in(own, guest) as http:
        assert (await http.get("/api/v1/auth/sessions")).json()["most"] == 1
        joined = (
            f"INSERT INTO members (org_id, person_id, role, joined_at) SELECT ({THEIR_ORGS.format(host.email)}), id,"
            f" 'viewer', now() FROM people WHERE email = '{guest.email}'"
        )
        await own.databases.sql(joined)
        assert (await http.get("/api/v1/auth/sessions")).json()["most"] == 4
        await own.databases.sql(
            f"DELETE FROM members m USING people p WHERE p.id = m.person_id AND email = '{guest.email}'"
        )
        assert (await http.get("/api/v1/auth/sessions")).json()["most"] == HOUSE


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
