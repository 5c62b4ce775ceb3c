"""Health, metrics, the OpenAPI file, the page to try it, the web app; and a database that is away."""

import re

import httpx
import msgspec

from control.db import Database
from control.plane import Plane
from tests.support.control import Api, serving
from tests.support.servers import free_ports


async def test_it_says_how_it_is_and_what_it_counts(api: Api) -> None:
    async with api.client() as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        ready = (await http.get("/readyz")).json()
        assert ready["ready"] is True
        assert {name: check["ok"] for name, check in ready["checks"].items()} == {
            "database": True, "bus": True, "store": True,
        }  # fmt: skip
        assert "control_http_seconds_bucket" in (await http.get("/metrics")).text
        assert (await http.get("/metrics", headers={"X-Forwarded-For": "1.2.3.4"})).status_code == 403


async def test_the_openapi_file_names_every_route_and_all_ways_to_send_a_torrent(api: Api) -> None:
    async with api.client() as http:
        schema = (await http.get("/api/schema")).json()
    assert schema["openapi"].startswith("3.1")
    assert {"/api/v1/jobs", "/api/v1/jobs/{job_id}/events", "/api/v1/auth/login", "/readyz"} <= schema["paths"].keys()
    body = schema["paths"]["/api/v1/jobs"]["post"]["requestBody"]["content"]
    assert body.keys() == {"application/json", "multipart/form-data", "application/x-bittorrent"}


async def test_the_pages_need_nothing_from_elsewhere(api: Api) -> None:
    async with api.client() as http:
        for page in ("/", "/api/docs"):
            answer = await http.get(page)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("text/html")
            assert not re.search(r"<script>|<style|style=|onclick=|https?://", answer.text)
            for asset in re.findall(r'(?:src|href)="(/[^"#]+)"', answer.text):
                assert (await http.get(asset)).status_code == 200, asset


async def test_without_a_database_it_says_unavailable_and_when_to_come_back(plane: Plane) -> None:
    nobody = f"postgresql+asyncpg://nobody:x@127.0.0.1:{free_ports(1)[0]}/nothing"
    away = Database(nobody, nobody)
    async with serving(msgspec.structs.replace(plane, db=away)) as url, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{url}/api/v1/auth/login", json={"email": "a@b.org", "password": "whatever it is"})
        ready = await http.get(f"{url}/readyz")
        alive = await http.get(f"{url}/healthz")
    await away.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (ready.status_code, ready.json()["checks"]["database"]["ok"]) == (503, False)
    assert alive.status_code == 200


async def test_options_and_head_are_answered(api: Api) -> None:
    async with api.client() as http:
        options: httpx.Response = await http.options("/api/v1/jobs")
        assert options.status_code == 204
        assert "POST" in options.headers["Allow"]
