"""The bot check: asked for each time, or where somebody tries often; solved once it lets in; nobody is locked out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from playwright.async_api import expect

from control.accounts import throttle
from tests.integration.people.conftest import registered, setting, somebody
from tests.support import bots
from tests.support.browser import chromium
from tests.support.control import Api, serving
from tests.support.ports import free_ports


@asynccontextmanager
async def listening(api: Api, **changed: object) -> AsyncIterator[Api]:
    plane = setting(api.plane, **changed)
    async with serving(plane) as url:
        yield msgspec.structs.replace(api, url=url, plane=plane)


async def test_where_anybody_may_come_each_account_costs_a_solved_challenge(api: Api) -> None:
    async with listening(api, bot_check_always=True) as own, own.client() as http:
        assert (await http.get("/api/v1/auth/bot-check")).json() == {
            "kind": "altcha",
            "always": True,
            "challenge_url": "/api/v1/auth/bot-check/challenge",
            "site_key": None,
        }
        mine, solution = somebody(), await bots.check(http)
        for path in ("register", "login", "password/forgotten", "verify/send"):
            body = mine.body if path in ("register", "login") else {"email": mine.email}
            for answer in (None, "nonsense", "é", bots.encoded({}), solution[:-8]):
                refused = await http.post(f"/api/v1/auth/{path}", json=body | {"bot_check": answer})
                assert (refused.status_code, refused.json()["code"]) == (403, "bot_check_needed"), path
        made = await http.post("/api/v1/auth/register", json=mine.body | {"bot_check": solution})
        assert made.status_code == 201, made.text
        again = await http.post("/api/v1/auth/login", json=mine.body | {"bot_check": solution})
        assert again.json()["code"] == "bot_check_needed", "it is good once"
        signed_in = await http.post("/api/v1/auth/login", json=mine.body | {"bot_check": await bots.check(http)})
        assert signed_in.status_code == 200


async def test_an_account_that_is_guessed_at_from_everywhere_stays_open_to_its_owner(api: Api) -> None:
    async with listening(api, trusted_proxies="127.0.0.1") as own, own.client() as http:
        mine = await registered(own)
        for tried in range(throttle.FAIL_ACCOUNT.times):
            http.headers["X-Forwarded-For"] = f"9.9.{tried}.1"
            wrong = await http.post("/api/v1/auth/login", json=mine.body | {"password": "something else"})
            assert wrong.status_code == 401
        http.headers["X-Forwarded-For"] = "8.8.8.8"
        asked = await http.post("/api/v1/auth/login", json=mine.body)
        assert (asked.status_code, asked.json()["code"]) == (403, "bot_check_needed")
        signed_in = await http.post("/api/v1/auth/login", json=mine.body | {"bot_check": await bots.check(http)})
        assert signed_in.status_code == 200, "a second of work, and in"
        other = await registered(own)
        assert (await http.post("/api/v1/auth/login", json=other.body)).status_code == 200


async def test_an_address_that_failed_too_often_may_go_on_by_checks(api: Api) -> None:
    async with listening(api, rate_scale=0.02) as own, own.client() as http:  # one failure, two registrations
        mine = await registered(own)
        wrong = {"email": somebody().email, "password": "something else"}
        assert (await http.post("/api/v1/auth/login", json=wrong)).status_code == 401
        assert (await http.post("/api/v1/auth/login", json=mine.body)).json()["code"] == "bot_check_needed"
        signed_in = await http.post("/api/v1/auth/login", json=mine.body | {"bot_check": await bots.check(http)})
        assert signed_in.status_code == 200


async def test_without_a_check_an_address_that_failed_too_often_is_refused(api: Api) -> None:
    async with listening(api, bot_check="off", bot_check_always=True, rate_scale=0.02) as own, own.client() as http:
        mine = await registered(own)
        wrong = {"email": somebody().email, "password": "something else"}
        await http.post("/api/v1/auth/login", json=wrong)
        assert (await http.post("/api/v1/auth/login", json=mine.body)).status_code == 429
        assert (await http.get("/api/v1/auth/bot-check")).json()["kind"] == "off"


async def test_turnstile_is_asked_where_it_is_configured(api: Api) -> None:
    asked: list[dict[str, str]] = []
    async with bots.turnstile(asked) as verify:
        told = {"turnstile_verify_url": verify, "turnstile_secret": "hush", "turnstile_site_key": "1x000"}
        async with listening(api, bot_check="turnstile", bot_check_always=True, **told) as own, own.client() as http:
            policy = (await http.get("/")).headers["Content-Security-Policy"]
            assert "script-src 'self' https://challenges.cloudflare.com;" in policy
            assert (await http.get("/api/v1/auth/bot-check")).json()["site_key"] == "1x000"
            mine = somebody()
            bad = await http.post("/api/v1/auth/register", json=mine.body | {"bot_check": "forged"})
            good = await http.post("/api/v1/auth/register", json=mine.body | {"bot_check": bots.GOOD})
    assert (bad.json()["code"], good.status_code) == ("bot_check_needed", 201)
    assert asked[1] == {"secret": "hush", "response": bots.GOOD, "remoteip": "127.0.0.1"}


async def test_turnstile_that_does_not_answer_lets_nobody_in(api: Api) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/"
    told = {"turnstile_verify_url": nobody, "turnstile_secret": "hush"}
    async with listening(api, bot_check="turnstile", bot_check_always=True, **told) as own, own.client() as http:
        answer = await http.post("/api/v1/auth/register", json=somebody().body | {"bot_check": bots.GOOD})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_notice_is_sent_from_the_page_by_who_has_no_account(api: Api) -> None:
    async with listening(api, bot_check_always=True, bot_check_work=2_000) as own, chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{own.url}/takedown.html")
        form = page.locator("#takedown")
        for label, text in (
            ("Your full name", "Ada Lovelace"),
            ("Your e-mail", somebody().email),
            ("Whose right is infringed", "The Analytical Society"),
            ("Which work, and where the original can be seen", "Notes on the engine"),
            ("Info-hashes or magnets, one a line", "ab" * 20),
            ("Signature: your full name", "Ada Lovelace"),
        ):
            await form.get_by_label(label, exact=True).fill(text)
        await form.locator("[name=good_faith]").check()
        await form.locator("[name=accurate]").check()
        await form.get_by_role("button").click()
        await expect(page.get_by_role("status")).to_contain_text("came in as case", timeout=30_000)


async def test_the_page_solves_it_by_itself(api: Api) -> None:
    mine = somebody()
    complaints: list[str] = []
    async with listening(api, bot_check_always=True, bot_check_work=2_000) as own, chromium() as browser:
        page = await browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(own.url)
        await page.get_by_label("E-mail").fill(mine.email)
        await page.get_by_label("Password").fill(mine.password)
        await page.get_by_role("button", name="Make an account").click()
        await expect(page.locator("#email")).to_have_text(mine.email, timeout=30_000)
    assert complaints == []
