"""What every answer carries, whichever class of route it is: and what pages from elsewhere may not do."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from tests.integration.people.conftest import setting
from tests.support.control import Api, serving

ROUTES = ["/", "/app.js", "/account.html", "/outbox.html", "/api/docs", "/api/schema", "/healthz", "/metrics",
          "/api/v1/auth/me", "/api/v1/jobs", "/api/v1/auth/login", "/nothing", "/api/v1/nothing"]  # fmt: skip
ALLOWED, OTHER = "https://tools.example.org", "https://evil.example.org"


@pytest.fixture(scope="module")
async def https(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    plane = setting(api.plane, public_url="https://seedlift.example.org", cors_origins=f"{ALLOWED}, https://b.org")
    async with serving(plane) as url, msgspec.structs.replace(api, url=url).client() as http:
        yield http


@pytest.mark.parametrize("path", ROUTES)
async def test_every_answer_is_dressed(api: Api, https: httpx.AsyncClient, path: str) -> None:
    async with api.client() as http:
        plain, secure = await http.get(path), await https.get(path)
    for said in (plain.headers, secure.headers):
        policy = dict(each.partition(" ")[::2] for each in said["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in said["Content-Security-Policy"]
        assert said["X-Content-Type-Options"] == "nosniff"
        assert said["X-Frame-Options"] == "DENY"
        assert said["Referrer-Policy"] == "no-referrer"
        assert said["Cross-Origin-Opener-Policy"] == said["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "camera=()" in said["Permissions-Policy"]
        assert not any(name.startswith("access-control") for name in said)
        assert "Server" not in said
    assert "Strict-Transport-Security" not in plain.headers
    assert secure.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    if path.startswith("/api/"):
        assert plain.headers["Cache-Control"] in ("no-store", "no-cache")


async def preflight(http: httpx.AsyncClient, origin: str) -> httpx.Response:
    asked = {
        "Origin": origin, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
    }  # fmt: skip
    return await http.options("/api/v1/jobs", headers=asked)


async def test_pages_from_elsewhere_may_read_nothing_unless_they_are_named(api: Api, https: httpx.AsyncClient) -> None:
    async with api.client() as closed:
        for http, origin in ((closed, ALLOWED), (closed, OTHER), (https, OTHER)):
            for answer in (await http.get("/api/v1/jobs", headers={"Origin": origin}), await preflight(http, origin)):
                assert "Access-Control-Allow-Origin" not in answer.headers, (str(http.base_url), origin)
    answer = await https.get("/api/v1/jobs", headers={"Origin": ALLOWED})
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert "Access-Control-Allow-Credentials" not in answer.headers, "with keys, never with cookies"
    allowed = await preflight(https, ALLOWED)
    assert allowed.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert "authorization" in allowed.headers["Access-Control-Allow-Headers"]
