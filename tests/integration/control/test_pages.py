"""Health, metrics, the OpenAPI file, the page to try it, the web app; and a database that is away."""

import re

import httpx
import msgspec
import pytest

from control.db import Database
from tests.support.control import Api, listener, magnet
from tests.support.ports import free_ports


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


async def test_the_openapi_file_holds_together_and_says_how_each_operation_may_refuse(api: Api) -> None:
    async with api.client() as http:
        schema = (await http.get("/api/schema")).json()
    text = msgspec.json.encode(schema).decode()
    for kind, name in re.findall(r'"\$ref":"#/components/(\w+)/([^"]+)"', text):
        assert name in schema["components"][kind], name
    ids = re.findall(r'"operationId":"([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 20
    statuses = {
        f"{method} {path}": set(operation["responses"])
        for path, item in schema["paths"].items()
        for method, operation in item.items()
    }
    assert {"200", "201", "401", "403", "413", "415", "422", "429", "503"} <= statuses["post /api/v1/jobs"]
    assert {"200", "401", "404", "503"} <= statuses["get /api/v1/jobs/{job_id}"]
    assert "401" not in statuses["get /healthz"]
    for path, item in schema["paths"].items():
        named = set(re.findall(r"{(\w+)}", path))
        for operation in item.values():
            assert named == {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            for status, answer in operation["responses"].items():
                assert status < "400" or "application/problem+json" in answer["content"] or path == "/readyz"


async def test_the_pages_need_nothing_from_elsewhere(api: Api) -> None:
    async with api.client() as http:
        for page in ("/", "/api/docs"):
            answer = await http.get(page)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("text/html")
            assert not re.search(r"<script>|<style|style=|onclick=|https?://", answer.text)
            for asset in re.findall(r'(?:src|href)="(/[^"#]+)"', answer.text):
                assert (await http.get(asset)).status_code == 200, asset


async def test_without_a_database_it_says_unavailable_and_when_to_come_back(api: Api) -> None:
    nobody = f"postgresql+asyncpg://nobody:x@127.0.0.1:{free_ports(1)[0]}/nothing"
    away = Database(nobody, nobody)
    async with (
        listener(msgspec.structs.replace(api.plane, db=away)) as url,
        msgspec.structs.replace(api, url=url).client() as http,
    ):
        answer = await http.post("/api/v1/auth/login", json={"email": "a@b.org", "password": "whatever it is"})
        ready = await http.get("/readyz")
        alive = await http.get("/healthz")
    await away.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (ready.status_code, ready.json()["checks"]["database"]["ok"]) == (503, False)
    assert alive.status_code == 200


async def test_after_a_listener_that_was_cut_short_the_next_one_is_heard(api: Api) -> None:
    async def listened(then: Exception | None) -> None:
        async with listener(api.plane) as url, msgspec.structs.replace(api, url=url).client() as http:
            assert (await http.get("/healthz")).status_code == 200
            if then is not None:
                raise then

    with pytest.raises(ExceptionGroup):
        await listened(LookupError())
    await listened(None)  # its socket has the number that was free just now


async def test_options_and_head_are_answered(api: Api) -> None:
    async with api.client() as http:
        options: httpx.Response = await http.options("/api/v1/jobs")
        assert options.status_code == 204
        assert "POST" in options.headers["Allow"]
        for path in ("/", "/healthz", "/api/schema", "/app.js", "/nothing", "/api/v1/jobs"):
            got, head = await http.get(path), await http.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers["Content-Type"] == got.headers["Content-Type"]
            assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_the_head_of_a_stream_comes_without_the_stream(api: Api) -> None:
    async with api.member() as http:
        job = (await http.post("/api/v1/jobs", json={"magnet": magnet("5e")})).json()["id"]
        head = await http.head(f"/api/v1/jobs/{job}/events")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Type"].startswith("text/event-stream")
        assert (await http.get(f"/api/v1/jobs/{job}")).status_code == 200
