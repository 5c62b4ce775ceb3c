"""Operators' routes on the public listener: for admins of the platform and nobody else; each leaves its audit row."""

import asyncio
import base64
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from sqlalchemy import select

from control.audit.model import Entry
from control.plane import Plane
from tests.support.control import PASSWORD, operating, serving
from tests.support.fleet import SLOTS, add_agent, add_transfer, claimed, new_pool, read_transfer
from wire.ids import new_id
from wire.messages import About, Pace, TokenBody
from wire.states import TransferState
from wire.version import VERSION


@pytest.fixture(scope="module")
async def url(plane: Plane) -> AsyncIterator[str]:
    async with serving(plane) as listening:
        yield listening


@pytest.fixture
async def operator(plane: Plane, url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with operating(plane, url) as http:
        yield http


async def audited(plane: Plane, target: str) -> list[str]:
    async with plane.db.working() as tx:
        rows = await tx.scalars(select(Entry.action).where(Entry.target == target).order_by(Entry.id))
        return list(rows)


async def test_a_token_carries_all_that_an_agent_needs(plane: Plane, operator: httpx.AsyncClient) -> None:
    refused = await operator.post("/fleet/tokens", json={"pool": "tokens-tried"})
    assert (refused.status_code, refused.json()["code"]) == (422, "no_such_pool")
    assert (await operator.put("/fleet/pools/tokens-tried", json={})).status_code == 200
    answer = await operator.post("/fleet/tokens", json={"name": "a", "pool": "tokens-tried", "ttl_s": 60})
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]
    body = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=TokenBody)
    assert (body.fleet_url, body.nats_url) == (plane.settings.fleet_url, plane.settings.nats_url)
    assert body.ca_pem == plane.settings.ca_cert_file.read_text()
    assert await audited(plane, "pool:tokens-tried") == ["fleet.pool_described", "fleet.token_made"]


async def test_bad_tokens_are_not_made(operator: httpx.AsyncClient) -> None:
    for bad in ({"pool": "*"}, {"pool": "a.b"}, {"ttl_s": 0}, {"ttl_s": 10**9}, {"name": ""}, {"more": 1}):
        answer = await operator.post("/fleet/tokens", json=bad)
        assert answer.status_code in (400, 422), bad


async def test_an_agent_is_seen_and_retired(plane: Plane, operator: httpx.AsyncClient) -> None:
    wanted, agent = await claimed(plane, 10)
    items = (await operator.get("/fleet/agents")).json()["items"]
    (mine,) = [each for each in items if each["id"] == str(agent.id)]
    assert (mine["state"], mine["running"], mine["pool"]) == ("ready", 1, agent.pool)
    for body in ({"reason": "tests"}, None):
        retired = await operator.post(f"/fleet/agents/{agent.id}/retire", json=body)
        assert (retired.status_code, retired.json()["state"]) == (200, "retired")
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING
    assert await audited(plane, f"agent:{agent.id}") == ["fleet.retired"]
    unknown = await operator.post(f"/fleet/agents/{new_id()}/retire", json={})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_an_agents_speed_is_limited_by_operators(plane: Plane, operator: httpx.AsyncClient) -> None:
    agent = await add_agent(plane, new_pool())
    url = f"/fleet/agents/{agent.id}/speed"
    for body, limits in (({"down_max": 2_000_000}, (2_000_000, 0)), ({"up_max": 50_000}, (2_000_000, 50_000))):
        said = (await operator.patch(url, json=body)).json()
        assert (said["down_max"], said["up_max"]) == limits
    assert (await operator.patch(url, json={})).json()["up_max"] == 50_000
    for bad in ({"down_max": 1}, {"down_max": -1}, {"up_max": 2**31}, {"speed": 1}):
        assert (await operator.patch(url, json=bad)).status_code == 422, bad
    unknown = await operator.patch(f"/fleet/agents/{new_id()}/speed", json={})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert await audited(plane, f"agent:{agent.id}") == ["fleet.limited", "fleet.limited"]
    assert (await agent.sync()).pace == Pace(2_000_000, 50_000)
    agent.reboot()
    assert (await agent.sync()).pace == Pace(2_000_000, 50_000)


async def test_what_an_agent_should_do_is_said_by_operators_and_audited_once(
    plane: Plane, operator: httpx.AsyncClient
) -> None:
    wanted, agent = await claimed(plane, 10)
    url = f"/fleet/agents/{agent.id}"
    for verb, body, state in (
        ("cordon", {"reason": "a noisy disk"}, "cordoned"),
        ("cordon", None, "cordoned"),
        ("drain", None, "draining"),
        ("uncordon", None, "ready"),
        ("drain", {"hand_over": True}, "draining"),
    ):
        answer = await operator.post(f"{url}/{verb}", json=body)
        assert (answer.status_code, answer.json()["state"]) == (200, state), answer.text
    assert await audited(plane, f"agent:{agent.id}") == [
        "fleet.cordoned", "fleet.draining", "fleet.uncordoned", "fleet.handing_over",
    ]  # fmt: skip
    shown = (await operator.get(url)).json()
    assert (shown["agent"]["duty"], [each["id"] for each in shown["held"]]) == ("hand_over", [str(wanted.transfer)])
    await operator.post(f"{url}/retire")
    for verb in ("cordon", "uncordon", "drain"):
        answer = await operator.post(f"{url}/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (409, "agent_retired")
        unknown = await operator.post(f"/fleet/agents/{new_id()}/{verb}")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_what_an_agent_is_is_what_it_says_itself(plane: Plane, operator: httpx.AsyncClient) -> None:
    agent = await add_agent(plane, new_pool())
    await agent.sync(about=About("eu-1", {"disk": "nvme"}, 100, 40), version=VERSION)
    await agent.sync()  # of an older version, which says nothing of itself
    shown = (await operator.get(f"/fleet/agents/{agent.id}")).json()["agent"]
    said = {"region": "eu-1", "labels": {"disk": "nvme"}, "disk_budget_bytes": 100, "disk_free_bytes": 40}
    assert shown | said | {"version": "test", "is_current": False} == shown
    await agent.sync(about=About(), version=VERSION)
    shown = (await operator.get(f"/fleet/agents/{agent.id}")).json()["agent"]
    assert (shown["region"], shown["labels"], shown["is_current"]) == ("", {}, True)


async def test_an_agent_is_renamed_and_two_never_have_one_name(plane: Plane, operator: httpx.AsyncClient) -> None:
    agents = [await add_agent(plane, new_pool()) for _ in range(2)]
    name = f"rack-{new_id()}"
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(operator.patch(f"/fleet/agents/{a.id}", json={"name": name})) for a in agents]
    answers = sorted((each.result() for each in asked), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200, 409]
    assert (answers[0].json()["name"], answers[1].json()["code"]) == (name, "name_taken")
    named = answers[0].json()["id"]
    assert (await operator.patch(f"/fleet/agents/{named}", json={"name": name})).status_code == 200
    assert await audited(plane, f"agent:{named}") == ["fleet.renamed"]
    for bad in ("", "\n", "x" * 64):
        answer = await operator.patch(f"/fleet/agents/{named}", json={"name": bad})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_name")


async def test_a_pool_is_made_described_and_counted(plane: Plane, operator: httpx.AsyncClient) -> None:
    pool = new_pool()
    for description in ("far", "near", "near"):
        assert (await operator.put(f"/fleet/pools/{pool}", json={"description": description})).status_code == 200
    assert await audited(plane, f"pool:{pool}") == ["fleet.pool_described"] * 2
    await claimed(plane, 10, pool=pool)
    await add_transfer(plane, 10, pool=pool)
    (mine,) = [each for each in (await operator.get("/fleet/pools")).json()["items"] if each["name"] == pool]
    counts = {field: mine[field] for field in ("description", "agents", "ready", "slots", "running", "waiting")}
    assert counts == {"description": "near", "agents": 1, "ready": 1, "slots": SLOTS, "running": 1, "waiting": 1}
    for bad, body in (("a.b", {}), ("*", {}), ("x" * 65, {}), (pool, {"description": "x" * 501}), (pool, {"more": 1})):
        assert (await operator.put(f"/fleet/pools/{bad}", json=body)).status_code in (400, 422)


async def test_a_member_is_no_operator(plane: Plane, url: str) -> None:
    account = {"email": f"{new_id()}@example.org", "password": PASSWORD}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=20) as http:
        assert (await http.get("/fleet/agents")).status_code == 401
        assert (await http.post("/auth/register", json=account)).status_code == 201
        http.headers["X-CSRF-Token"] = (await http.post("/auth/login", json=account)).json()["csrf_token"]
        for refused in (
            await http.get("/fleet/agents"),
            await http.post("/fleet/tokens", json={}),
            await http.get(f"/fleet/agents/{new_id()}"),
            await http.patch(f"/fleet/agents/{new_id()}", json={"name": "mine"}),
            await http.post(f"/fleet/agents/{new_id()}/cordon", json={}),
            await http.post(f"/fleet/agents/{new_id()}/uncordon"),
            await http.post(f"/fleet/agents/{new_id()}/drain", json={"hand_over": True}),
            await http.post(f"/fleet/agents/{new_id()}/retire", json={}),
            await http.get("/fleet/pools"),
            await http.put("/fleet/pools/mine", json={}),
        ):
            assert refused.status_code == 403
