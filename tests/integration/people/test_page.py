"""Where links in mails lead, in a real Chromium: confirm an address, choose a new password, send a code."""

from playwright.async_api import Page, expect

from tests.integration.people.conftest import somebody
from tests.integration.people.outbox import token
from tests.integration.people.test_second_factor import turn_on
from tests.support.browser import chromium
from tests.support.control import Api


async def follow(page: Page, api: Api, email: str, kind: str) -> None:
    await page.goto(f"{api.url}/account.html#{kind}={await token(api.plane, email, kind)}")
    await expect(page).to_have_url(f"{api.url}/account.html")  # the secret is out of the history


async def test_a_person_confirms_forgets_and_sends_a_code(strict: Api) -> None:
    mine, new = somebody(), "three unlikely words"
    complaints: list[str] = []
    async with chromium() as browser:
        page = await browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        await page.goto(strict.url)
        await page.get_by_label("E-mail").fill(mine.email)
        await page.get_by_label("Password").fill(mine.password)
        await page.get_by_role("button", name="Make an account").click()
        await expect(page.get_by_role("status")).to_contain_text(f"mailbox of {mine.email}")

        await follow(page, strict, mine.email, "verify")
        await page.get_by_role("button", name="Confirm this address").click()
        await expect(page.get_by_role("status")).to_contain_text("is confirmed")

        await page.goto(strict.url)
        await page.get_by_role("link", name="Forgotten your password?").click()
        await page.locator("section:visible").get_by_label("E-mail").fill(mine.email)
        await page.get_by_role("button", name="Send me a link").click()
        await expect(page.get_by_role("status")).to_contain_text("on its way")
        await follow(page, strict, mine.email, "reset")
        await page.get_by_label("New password").fill(new)
        await page.get_by_role("button", name="Set the password").click()
        await expect(page.get_by_role("status")).to_contain_text("is set")

        async with strict.client() as http:
            body = {"email": mine.email, "password": new}
            signed = await http.post("/api/v1/auth/login", json=body)
            http.headers["X-CSRF-Token"] = signed.json()["csrf_token"]
            _, codes = await turn_on(http, type(mine)(mine.email, new))
        await page.goto(strict.url)
        await page.get_by_label("E-mail").fill(mine.email)
        await page.get_by_label("Password").fill(new)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Code of your authenticator app").fill(codes[0])
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#email")).to_have_text(mine.email)
    assert complaints == []
