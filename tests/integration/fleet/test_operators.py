"""Operators' routes on the public listener: for admins of the platform and nobody else; each leaves its audit row."""

import base64
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest
from sqlalchemy import select

from control.audit.model import Entry
from control.plane import Plane
from tests.support.control import PASSWORD, operating, serving
from tests.support.fleet import claimed, read_transfer
from wire.ids import new_id
from wire.messages import TokenBody
from wire.states import TransferState


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
    answer = await operator.post("/fleet/tokens", json={"name": "a", "pool": "tokens-tried", "ttl_s": 60})
    assert answer.status_code == 201, answer.text
    token = answer.json()["token"]
    body = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=TokenBody)
    assert (body.fleet_url, body.nats_url) == (plane.settings.fleet_url, plane.settings.nats_url)
    assert body.ca_pem == plane.settings.ca_cert_file.read_text()
    assert "fleet.token_made" in await audited(plane, "pool:tokens-tried")


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


async def test_a_member_is_no_operator(plane: Plane, url: str) -> None:
    account = {"email": f"{new_id()}@example.org", "password": PASSWORD}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", trust_env=False, timeout=20) as http:
        assert (await http.get("/fleet/agents")).status_code == 401
        assert (await http.post("/auth/register", json=account)).status_code == 201
        http.headers["X-CSRF-Token"] = (await http.post("/auth/login", json=account)).json()["csrf_token"]
        for refused in (
            await http.get("/fleet/agents"),
            await http.post("/fleet/tokens", json={}),
            await http.post(f"/fleet/agents/{new_id()}/retire", json={}),
        ):
            assert refused.status_code == 403
