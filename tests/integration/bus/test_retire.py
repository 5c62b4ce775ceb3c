"""A retired agent is cut at once and cannot come back, not even after the server was restarted."""

import pytest

from bus.connect import Bus
from bus.credentials import Credentials, GetCredentials
from bus.errors import BusDown
from bus.jwt import new_seed, public_key
from bus.revoke import revoke
from tests.support.nats import NatsServer
from tests.support.until import LIMIT_S, until
from wire.clock import utcnow
from wire.ids import AgentId, new_id

CUT_S = 2.0
"""What we promise."""
TRIES = 1


class Counted:
    """Credentials, and how often they were asked for: each is a try to connect."""

    def __init__(self, get: GetCredentials) -> None:
        self.times = 0
        self._get = get

    async def __call__(self) -> Credentials:
        self.times += 1
        return await self._get()


async def refused_from_now_on(bus: Bus, credentials: Counted, nats: NatsServer) -> None:
    seen = credentials.times
    await until(lambda: credentials.times > seen + TRIES)
    assert not bus.connected


async def test_a_retired_agent_is_cut_and_stays_out(nats: NatsServer) -> None:
    retired, kept = AgentId(new_id()), AgentId(new_id())
    seed = new_seed("user")
    # An agent that kept its last JWT: it does not ask for a new one, which it would not get.
    last = await nats.agent_credentials(retired, seed=seed)()

    async def same() -> Credentials:
        return last

    credentials = Counted(same)
    async with nats.agent_bus(retired, credentials) as bus, nats.agent_bus(kept, nats.agent_credentials(kept)) as other:
        await bus.ready(LIMIT_S)
        await other.ready(LIMIT_S)
        now = utcnow()
        revoked = {public_key(seed): int(now.timestamp())}
        await revoke(nats.url, nats.control.context(), nats.keys, revoked, now)
        await until(lambda: not bus.connected, CUT_S)
        await refused_from_now_on(bus, credentials, nats)
        assert other.connected

        await nats.restart()
        await other.ready(LIMIT_S)
        await refused_from_now_on(bus, credentials, nats)


async def test_two_can_be_retired_within_one_second(nats: NatsServer) -> None:
    seeds = [new_seed("user"), new_seed("user")]
    first, second = AgentId(new_id()), AgentId(new_id())
    async with (
        nats.agent_bus(first, nats.agent_credentials(first, seed=seeds[0])) as one,
        nats.agent_bus(second, nats.agent_credentials(second, seed=seeds[1])) as two,
    ):
        await one.ready(LIMIT_S)
        await two.ready(LIMIT_S)
        now = utcnow()
        at = int(now.timestamp())
        revoked = {public_key(seeds[0]): at}
        await revoke(nats.url, nats.control.context(), nats.keys, revoked, now)
        revoked[public_key(seeds[1])] = at
        await revoke(nats.url, nats.control.context(), nats.keys, revoked, now)
        await until(lambda: not two.connected, CUT_S)


async def test_revoking_without_a_server_says_so(nats: NatsServer) -> None:
    await nats.stop()
    with pytest.raises(BusDown, match="not connected"):
        await revoke(nats.url, nats.control.context(), nats.keys, {}, utcnow(), ready_s=0.3)
