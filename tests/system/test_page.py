"""The page in a real Chromium: sign up, paste a magnet, watch it complete, fetch a file, remove the job."""

import asyncio
import os
import secrets
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, Route, ViewportSize, expect

from tests.support.browser import DESKTOP, PHONE, chromium
from tests.support.swarm import swarm
from tests.support.until import until
from tests.support.up import Up
from wire.units import KIB, MIB

STORED_MS = 120_000
SIZES = {"album/one.flac": 9 * MIB, "album/two.flac": 5 * MIB, "album/cover.jpg": 40 * KIB}
SHOTS = os.environ.get("SHOTS_DIR")
"""Where to leave pictures for somebody to look at."""


@pytest.mark.parametrize(("width", "scheme"), [("desktop", "light"), ("phone", "dark")])
async def test_a_member_signs_up_adds_watches_fetches_and_removes(
    stack: Up, tmp_path: Path, width: str, scheme: str
) -> None:
    size = DESKTOP if width == "desktop" else PHONE
    async with chromium() as browser, swarm(tmp_path, SIZES, seed=len(width)) as source:
        page = await browser.new_page(
            viewport=ViewportSize(width=size["width"], height=size["height"]),
            color_scheme="dark" if scheme == "dark" else "light",
        )
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(stack.api)
        await page.get_by_label("E-mail").fill(f"{secrets.token_hex(5)}@example.org")
        await page.get_by_label("Password").fill(secrets.token_urlsafe(12))
        await page.get_by_role("button", name="Make an account").click()
        await page.get_by_placeholder("magnet:").fill(source.magnet)
        await page.get_by_role("button", name="Add job").click()
        job = page.locator("#jobs > li").first
        await expect(job.locator(".state")).to_have_text("completed", timeout=STORED_MS)
        await job.get_by_role("button", name="Files").click()
        async with page.expect_download() as fetched:
            await job.locator("ol.list button, ol.list a").first.click()
        download = await fetched.value
        await download.save_as(tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() in [(source.content / path).read_bytes() for path in SIZES]
        if SHOTS:
            await page.screenshot(path=f"{SHOTS}/page-{width}-{scheme}.png")
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), "it scrolls sideways"
        await remove_while_the_list_is_on_its_way(page, job)
        await expect(page.locator("#jobs > li")).to_have_count(0)
        assert complaints == []


async def remove_while_the_list_is_on_its_way(page: Page, job: Locator) -> None:
    """Once all is quiet, what was asked for before must not have brought it back."""
    asked, removed = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        asked.set()
        await removed.wait()
        await route.fulfill(response=answer)

    await page.route("**/api/v1/jobs?limit=*", late)
    await until(asked.is_set)
    async with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        await job.get_by_role("button", name="Remove job").click()
    await expect(page.locator("#jobs > li")).to_have_count(0)
    async with page.expect_event("requestfinished", lambda request: "jobs?limit=" in request.url):
        removed.set()
    await page.evaluate("new Promise((done) => setTimeout(done))")
    await page.unroute_all(behavior="wait")
