"""The client outlives whatever happens to the server and to its own JWT."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from bus import link
from bus.accounts import CONTROL_INBOX
from bus.connect import Bus, open_bus
from bus.credentials import Credentials, control_credentials
from bus.errors import BusDown
from bus.jetstream import publish_stored
from bus.message import Message
from bus.pull import pull
from bus.streams import ensure_fleet
from stack.listen import listening
from telemetry.correlation import correlated, correlation_id
from tests.support.nats import NatsServer, running_nats
from tests.support.until import LIMIT_S, until
from wire.ids import AgentId, new_id
from wire.subjects import nudge_agent, work

AGENT = AgentId(new_id())
SHORT_JWT_S = 2
TRIES = 2


@pytest.fixture
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    """One for each test: they kill it."""
    async with running_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


class Ear:
    """Counts what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        self.heard.append(message.data)


async def until_heard(ear: Ear, bus: Bus, subject: str) -> None:
    """Says it until it is heard: a nudge may be lost, the next is not."""
    before = len(ear.heard)
    async with asyncio.timeout(LIMIT_S):
        while len(ear.heard) == before:
            if bus.connected:
                await bus.publish(subject, b"look")
            await asyncio.sleep(0.05)


async def test_subscriptions_and_streams_are_there_after_the_server_was_killed(server: NatsServer) -> None:
    async with (
        server.control_bus("FLEET") as fleet,
        server.agent_bus(AGENT, server.agent_credentials(AGENT)) as agent,
    ):
        ear, connections = Ear(), 0

        def counted() -> None:
            nonlocal connections
            connections += 1

        agent.on_connected(counted)
        await agent.subscribe(nudge_agent(AGENT), ear)
        await fleet.ready(LIMIT_S)
        await agent.ready(LIMIT_S)
        await ensure_fleet(fleet, ["default"])
        await publish_stored(fleet, work("default"), b"before the kill", msg_id="1")
        await until_heard(ear, fleet, nudge_agent(AGENT))

        await server.kill()
        await until(lambda: not agent.connected and not fleet.connected)
        with pytest.raises(BusDown):
            await fleet.publish(nudge_agent(AGENT))
        await server.start()
        await agent.ready(LIMIT_S)
        await fleet.ready(LIMIT_S)

        await until_heard(ear, fleet, nudge_agent(AGENT))
        delivery = await pull(agent, "default", 0)
        assert delivery is not None
        assert delivery.data == b"before the kill"
        assert connections == 2


async def test_a_pull_that_waits_goes_on_when_the_server_is_back(server: NatsServer) -> None:
    async with (
        server.control_bus("FLEET") as fleet,
        server.agent_bus(AGENT, server.agent_credentials(AGENT)) as agent,
        asyncio.TaskGroup() as group,
    ):
        await fleet.ready(LIMIT_S)
        await agent.ready(LIMIT_S)
        await ensure_fleet(fleet, ["default"])

        async def until_work() -> bytes:
            while True:
                if (delivery := await pull(agent, "default", 0)) is not None:
                    return delivery.data

        waiting = group.create_task(until_work())
        await server.kill()
        await until(lambda: not fleet.connected)
        await server.start()
        await fleet.ready(LIMIT_S)
        await publish_stored(fleet, work("default"), b"after", msg_id="2")
        async with asyncio.timeout(LIMIT_S):
            assert await waiting == b"after"


async def test_it_opens_without_a_server_and_finds_it_later(server: NatsServer) -> None:
    await server.stop()
    async with server.control_bus("FLEET") as bus:
        ear = Ear()
        await bus.subscribe("nudge.x", ear)
        with pytest.raises(BusDown, match="not connected within"):
            await bus.ready(0.3)
        assert not bus.connected
        await server.start()
        await bus.ready(LIMIT_S)
        await until_heard(ear, bus, "nudge.x")


@pytest.mark.parametrize("instead_of_pong", [b"", b"+OK\r\n"], ids=["nothing", "something else"])
async def test_a_server_that_dies_while_it_signs_us_on_is_left_for_another_try(
    server: NatsServer, instead_of_pong: bytes
) -> None:
    signed_on = 0

    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal signed_on
        writer.write(b'INFO {"server_id":"x","version":"2.12.0","max_payload":1048576,"nonce":"abc"}\r\n')
        await reader.readuntil(b"PING\r\n")
        signed_on += 1
        writer.write(instead_of_pong)
        if instead_of_pong:
            await reader.read()

    await server.stop()
    signed = server.authority.server()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=signed.ca)
    tls.load_cert_chain(signed.cert, signed.key)
    async with server.control_bus("FLEET") as bus:
        place = socket.create_server(("127.0.0.1", server.port))
        async with listening(dying, place, tls=tls):
            await until(lambda: signed_on > TRIES)
            assert not bus.connected
        await server.start()
        await bus.ready(LIMIT_S)


async def test_it_reconnects_before_its_jwt_expires(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With eight seconds of a JWT's ten left to a busy machine."""
    monkeypatch.setattr(link, "RENEW_AT", 0.2)
    connections = 0

    def counted() -> None:
        nonlocal connections
        connections += 1

    with capture_logs() as said:
        async with server.control_bus("FLEET", ttl_s=10) as bus:
            ear = Ear()
            await bus.subscribe("nudge.x", ear)
            bus.on_connected(counted)
            await until(lambda: connections >= 3)
            await until_heard(ear, bus, "nudge.x")
    assert "bus.cut" not in [line["event"] for line in said]


async def test_it_comes_back_after_its_jwt_has_expired(server: NatsServer) -> None:
    """The fleet listener was away when a new JWT was due."""
    get, asked, away = control_credentials(server.keys, "FLEET", SHORT_JWT_S), 0, True

    async def credentials() -> Credentials:
        nonlocal asked
        asked += 1
        if asked > 1 and away:
            raise ConnectionRefusedError("no fleet listener")
        return await get()

    context = server.control.context()
    async with open_bus("agent", server.url, context, credentials, inbox_prefix=CONTROL_INBOX) as bus:
        ear = Ear()
        await bus.subscribe("nudge.x", ear)
        await bus.ready(LIMIT_S)
        await until(lambda: not bus.connected)
        away = False
        await bus.ready(LIMIT_S)
        await until_heard(ear, bus, "nudge.x")


async def test_a_handler_that_fails_does_not_silence_the_next_message(server: NatsServer) -> None:
    heard: list[bytes] = []

    async def fails_once(message: Message) -> None:
        heard.append(message.data)
        if len(heard) == 1:
            raise ValueError("bad message")

    async with server.control_bus("FLEET") as bus:
        await bus.ready(LIMIT_S)
        await bus.subscribe("nudge.x", fails_once)
        await bus.publish("nudge.x", b"1")
        await bus.publish("nudge.x", b"2")
        await until(lambda: heard == [b"1", b"2"])


async def test_who_no_longer_listens_hears_nothing(server: NatsServer) -> None:
    async with server.control_bus("FLEET") as bus:
        await bus.ready(LIMIT_S)
        gone, stays = Ear(), Ear()
        subscription = await bus.subscribe("nudge.x", gone)
        await bus.subscribe("nudge.x", stays)
        await bus.unsubscribe(subscription)
        await until_heard(stays, bus, "nudge.x")
        assert gone.heard == []


async def test_a_correlation_id_goes_with_the_message(server: NatsServer) -> None:
    seen: list[str | None] = []

    async def look(_message: Message) -> None:
        seen.append(correlation_id())

    async with server.control_bus("FLEET") as bus:
        await bus.ready(LIMIT_S)
        await bus.subscribe("nudge.x", look)
        with correlated("request-1"):
            await bus.publish("nudge.x")
        await bus.publish("nudge.x")
        await until(lambda: seen == ["request-1", None])


async def test_what_the_block_raises_comes_out_as_itself(server: NatsServer) -> None:
    with pytest.raises(KeyError):
        async with server.control_bus("FLEET"):
            raise KeyError("mine")
