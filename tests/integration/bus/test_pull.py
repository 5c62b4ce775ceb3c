"""Work goes where there is room, by the broker's own choice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
from msgspec import Struct

from bus.connect import Bus
from bus.credentials import Credentials
from bus.jetstream import call, publish_stored
from bus.pull import PRIORITY_MAX, Delivery, pull
from bus.streams import ensure_fleet
from tests.support.nats import NatsServer
from tests.support.until import LIMIT_S
from wire.ids import AgentId, new_id
from wire.subjects import work

POOL = "default"
OFFERS = 20


class Waiting(Struct):
    num_waiting: int
    num_ack_pending: int
    num_pending: int


@pytest.fixture(scope="module")
async def fleet(nats: NatsServer) -> AsyncIterator[Bus]:
    async with nats.control_bus("FLEET") as bus:
        await bus.ready(LIMIT_S)
        await ensure_fleet(bus, [POOL, "other", "many", "given"])
        yield bus


def agent(nats: NatsServer, pool: str = POOL) -> AbstractAsyncContextManager[Bus]:
    own = AgentId(new_id())
    return nats.agent_bus(own, nats.agent_credentials(own, pool))


async def until_waiting(fleet: Bus, count: int, pool: str = POOL) -> None:
    async with asyncio.timeout(LIMIT_S):
        while (await call(fleet, f"CONSUMER.INFO.WORK.{pool}", None, Waiting)).num_waiting != count:
            await asyncio.sleep(0.01)


async def settled(fleet: Bus, pool: str = POOL) -> Waiting:
    async with asyncio.timeout(LIMIT_S):
        while (info := await call(fleet, f"CONSUMER.INFO.WORK.{pool}", None, Waiting)).num_ack_pending:
            await asyncio.sleep(0.01)
    return info


async def test_of_two_waiting_agents_the_idle_one_gets_every_offer(nats: NatsServer, fleet: Bus) -> None:
    async with agent(nats) as busy, agent(nats) as idle:
        await busy.ready(LIMIT_S)
        await idle.ready(LIMIT_S)
        got: list[bytes] = []
        for number in range(OFFERS):
            async with asyncio.TaskGroup() as group:
                of_busy = group.create_task(pull(busy, POOL, PRIORITY_MAX))
                await until_waiting(fleet, 1)
                of_idle = group.create_task(pull(idle, POOL, 0))
                await until_waiting(fleet, 2)
                await publish_stored(fleet, work(POOL), b"%d" % number, msg_id=f"idle {number}")
                delivery = await of_idle
                assert delivery is not None, "the busy agent was served"
                await delivery.ack()
                got.append(delivery.data)
                assert not of_busy.done()
                of_busy.cancel()
            await until_waiting(fleet, 0)
        assert got == [b"%d" % number for number in range(OFFERS)]
        assert (await settled(fleet)).num_pending == 0


async def test_a_pull_that_was_given_up_gets_nothing(nats: NatsServer, fleet: Bus) -> None:
    async with agent(nats) as leaving, agent(nats) as staying, asyncio.TaskGroup() as group:
        await leaving.ready(LIMIT_S)
        await staying.ready(LIMIT_S)
        given_up = group.create_task(pull(leaving, POOL, 0))
        kept = group.create_task(pull(staying, POOL, PRIORITY_MAX))
        await until_waiting(fleet, 2)
        given_up.cancel()
        await until_waiting(fleet, 1)
        await publish_stored(fleet, work(POOL), b"for who stays", msg_id="given up")
        delivery = await kept
        assert delivery is not None
        assert delivery.data == b"for who stays"
        await delivery.ack()
        await settled(fleet)


async def test_a_pull_ends_without_work(nats: NatsServer, fleet: Bus) -> None:
    async with agent(nats) as bus:
        await bus.ready(LIMIT_S)
        async with asyncio.timeout(LIMIT_S):
            assert await pull(bus, POOL, 0, expires_s=0.3) is None


async def test_a_pull_without_a_server_ends_too(nats: NatsServer) -> None:
    own = AgentId(new_id())

    async def none() -> Credentials:
        raise ConnectionRefusedError

    async with nats.agent_bus(own, none) as bus, asyncio.timeout(LIMIT_S):
        assert await pull(bus, POOL, 0, expires_s=0.3) is None


async def test_a_pool_gets_only_its_own_work(nats: NatsServer, fleet: Bus) -> None:
    async with agent(nats, "other") as other, agent(nats) as ours:
        await other.ready(LIMIT_S)
        await ours.ready(LIMIT_S)
        await publish_stored(fleet, work("other"), b"theirs", msg_id="other")
        assert await pull(ours, POOL, 0, expires_s=0.3) is None
        delivery = await pull(other, "other", 0)
        assert isinstance(delivery, Delivery)
        assert delivery.data == b"theirs"
        await delivery.ack()


async def test_what_one_agent_gives_back_another_gets_at_once(nats: NatsServer, fleet: Bus) -> None:
    async with agent(nats, "given") as first, agent(nats, "given") as second:
        await first.ready(LIMIT_S)
        await second.ready(LIMIT_S)
        await publish_stored(fleet, work("given"), b"large", msg_id="large")
        refused = await pull(first, "given", 0)
        assert refused is not None
        assert refused.delivered == 1
        await refused.give_back()
        taken = await pull(second, "given", 0)
        assert taken is not None
        assert (taken.data, taken.delivered) == (b"large", 2)
        await taken.ack()


async def test_a_pull_outlives_the_consumer_it_waits_on(nats: NatsServer, fleet: Bus) -> None:
    async with agent(nats, "many") as bus, asyncio.TaskGroup() as group:
        await bus.ready(LIMIT_S)
        waiting = group.create_task(pull(bus, "many", 0))
        await until_waiting(fleet, 1, "many")
        await fleet.request("$JS.API.CONSUMER.DELETE.WORK.many", timeout=LIMIT_S)
        await ensure_fleet(fleet, ["many"])
        await publish_stored(fleet, work("many"), b"after", msg_id="after")
        delivery = await waiting
        assert delivery is not None
        assert delivery.data == b"after"
        await delivery.ack()
