"""Streams and consumers are brought about, and brought back."""

from collections.abc import AsyncIterator

import pytest
from msgspec import Struct

from bus.connect import Bus
from bus.errors import BusRefused, NoStream
from bus.jetstream import call, publish_stored
from bus.streams import ensure_app, ensure_fleet
from tests.support.nats import NatsServer
from tests.support.until import LIMIT_S
from wire.ids import JobId, OrgId, new_id
from wire.subjects import event, work


class Config(Struct):
    ack_wait: int
    max_deliver: int
    max_ack_pending: int
    max_waiting: int
    priority_groups: list[str]
    priority_policy: str
    filter_subject: str


class Found(Struct):
    created: str
    config: Config


class State(Struct):
    messages: int


class Stream(Struct):
    created: str
    state: State


@pytest.fixture
async def fleet(nats: NatsServer) -> AsyncIterator[Bus]:
    async with nats.control_bus("FLEET") as bus:
        await bus.ready(LIMIT_S)
        await ensure_fleet(bus, ["default"])
        yield bus


async def consumer(bus: Bus) -> Found:
    return await call(bus, "CONSUMER.INFO.WORK.default", None, Found)


async def stream(bus: Bus, name: str = "WORK") -> Stream:
    return await call(bus, f"STREAM.INFO.{name}", None, Stream)


async def test_the_consumer_is_what_we_declared(fleet: Bus) -> None:
    found = (await consumer(fleet)).config
    assert found.priority_groups == ["slots"]
    assert found.priority_policy == "prioritized"
    assert found.filter_subject == "work.default"
    assert (found.max_deliver, found.max_ack_pending, found.max_waiting) == (-1, 10_000, 4096)


async def test_what_is_there_is_left_alone(fleet: Bus) -> None:
    before = (await stream(fleet)).created, (await consumer(fleet)).created
    await ensure_fleet(fleet, ["default"])
    assert ((await stream(fleet)).created, (await consumer(fleet)).created) == before


async def test_a_deleted_stream_is_missed_at_once_and_comes_back(fleet: Bus) -> None:
    await fleet.request("$JS.API.STREAM.DELETE.WORK", timeout=LIMIT_S)
    with pytest.raises(NoStream):
        await publish_stored(fleet, work("default"), b"x", msg_id="lost")
    await ensure_fleet(fleet, ["default"])
    stored = await publish_stored(fleet, work("default"), b"x", msg_id="kept")
    assert (stored.stream, stored.duplicate) == ("WORK", False)
    assert (await consumer(fleet)).config.filter_subject == "work.default"


async def test_a_stream_that_somebody_changed_is_set_right(fleet: Bus) -> None:
    other = b'{"name":"WORK","subjects":["work.*"],"retention":"workqueue","storage":"file","max_bytes":1048576}'
    changed = await fleet.request("$JS.API.STREAM.UPDATE.WORK", other, timeout=LIMIT_S)
    assert b'"error"' not in changed.data
    await ensure_fleet(fleet, ["default"])
    answer = await fleet.request("$JS.API.STREAM.INFO.WORK", timeout=LIMIT_S)
    assert b'"max_bytes":67108864' in answer.data


async def test_the_same_id_is_stored_once(fleet: Bus) -> None:
    first = await publish_stored(fleet, work("default"), b"x", msg_id="t:1")
    second = await publish_stored(fleet, work("default"), b"x", msg_id="t:1")
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.seq == second.seq


async def test_events_are_kept(nats: NatsServer) -> None:
    async with nats.control_bus("APP") as app:
        await app.ready(LIMIT_S)
        await ensure_app(app)
        await ensure_app(app)
        await publish_stored(app, event(OrgId(new_id()), JobId(new_id())), b"{}", msg_id="e1")
        assert (await stream(app, "EVENTS")).state.messages == 1


async def test_a_refusal_says_why(fleet: Bus) -> None:
    with pytest.raises(BusRefused, match="stream not found"):
        await call(fleet, "STREAM.INFO.NONE", None, Stream)
