"""Every operation that changes something is known to leave its row, by the OpenAPI document; and so does a refusal."""

from typing import Any

import msgspec

from control.plane import Plane
from tests.support.control import Api, serving
from tests.support.told import EVERYTHING

CHANGES = ("POST", "PUT", "PATCH", "DELETE")
READS = {each for each in EVERYTHING if each.startswith("GET ")}
"""Which are told all the same: they take the log or an account's rows away, or end a sign-in elsewhere."""


async def test_every_operation_that_changes_something_is_known_to_write_its_row(own: Api) -> None:
    async with own.client() as http:
        said: dict[str, Any] = (await http.get("/api/schema")).json()
    document = {f"{m.upper()} {path}" for path, item in said["paths"].items() for m in item}
    assert {each for each in document if each.partition(" ")[0] in CHANGES} == EVERYTHING.keys() - READS
    assert document >= READS


async def events(api: Api, where: str) -> list[list[str]]:
    said = await api.databases.sql(
        f"SELECT action, severity, actor, target, detail->>'code' FROM audit WHERE {where} ORDER BY id"
    )
    return [line.split("|") for line in said.splitlines()]


async def test_what_was_refused_stands_in_the_log_with_who_and_how_bad(own: Api) -> None:
    async with own.member() as http, own.client() as somebody:
        me = (await http.get("/api/v1/auth/me")).json()
        tried = {"email": me["email"], "password": "something else"}
        await somebody.post("/api/v1/auth/login", json=tried)
        await somebody.post(
            "/api/v1/auth/login", json=tried | {"email": "nobody@example.org"}, headers={"X-Request-Id": "nobody-1"}
        )
        from_elsewhere = {"X-Request-Id": "elsewhere-1", "Sec-Fetch-Site": "cross-site"}
        await somebody.post("/api/v1/auth/login", json=tried, headers=from_elsewhere)
        await http.get("/api/v1/fleet/agents")
        await http.post("/api/v1/auth/keys", json={"name": "x"}, headers={"X-CSRF-Token": "forged"})
        await http.post("/api/v1/auth/second-factor", json={"password": "something else"})
        shown = (await http.get("/api/v1/audit", params={"severity": "warning"})).json()["items"]
    person = f"person:{me['id']}"
    assert await events(own, f"org_id = '{me['organisation']['id']}' AND severity <> 'info'") == [
        ["sign_in.failed", "notice", "somebody", person, "bad_credentials"],
        ["permission.refused", "warning", person, "route:/api/v1/fleet/agents", "permission_denied"],
        ["request.forged", "warning", person, "route:/api/v1/auth/keys", "csrf"],
        ["proof.failed", "notice", person, person, "wrong_password"],
    ]
    assert [each["action"] for each in shown] == ["request.forged", "permission.refused"]
    assert await events(own, "request_id = 'elsewhere-1'") == [
        ["request.forged", "warning", "somebody", "route:/api/v1/auth/login", "cross_site"]
    ]
    assert await events(own, "request_id = 'nobody-1' AND org_id IS NULL") == [
        ["sign_in.failed", "notice", "somebody", "person:unknown", "bad_credentials"]
    ]


async def test_a_key_that_is_used_from_a_new_network_is_told_of_once(api: Api, plane: Plane) -> None:
    settings = msgspec.structs.replace(plane.settings, trusted_proxies="127.0.0.1")
    async with serving(msgspec.structs.replace(plane, settings=settings)) as url:
        own = Api(url, plane, api.databases)
        async with own.member() as http, own.client() as program:
            made = (await http.post("/api/v1/auth/keys", json={"name": "x"})).json()
            program.headers["Authorization"] = f"Bearer {made['secret']}"
            for ip in ("9.9.9.1", "9.9.9.200", "8.8.8.8", "9.9.9.3", "8.8.8.9", "2001:db8::1", "2001:db8:0:1::1"):
                program.headers["X-Forwarded-For"] = ip
                assert (await program.get("/api/v1/auth/me")).status_code == 200
    key = f"key:{made['id']}"
    row = ["key.new_place", "warning", key, key, ""]
    assert await events(api, f"target = '{key}' AND severity <> 'info'") == [row, row]
    said = await api.databases.sql(f"SELECT ip, detail->>'network' FROM audit WHERE actor = '{key}' ORDER BY id")
    assert said.split() == ["8.8.8.8|8.8.8.0/24", "2001:db8::1|2001:db8::/48"]


async def test_nobody_fills_the_log_by_being_refused(plane: Plane, api: Api) -> None:
    async with serving(plane) as url:
        own = Api(url, plane, api.databases)
        async with own.member() as http:
            me = (await http.get("/api/v1/auth/me")).json()
            for _ in range(15):
                assert (await http.get("/api/v1/fleet/agents")).status_code == 403
    assert len(await events(api, f"org_id = '{me['organisation']['id']}' AND action = 'permission.refused'")) == 10
