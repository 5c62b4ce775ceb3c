"""An agent's user can say and hear nothing but its own."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from uuid import UUID

import nkeys
import pytest
from msgspec import Struct
from nats.aio.client import Client

from bus.connect import Bus
from bus.errors import BusError
from bus.jetstream import call, publish_stored
from bus.message import Message
from bus.nudge import nudge
from bus.pull import pull
from bus.streams import ensure_fleet
from tests.support.nats import NatsServer
from tests.support.until import LIMIT_S, until
from wire.ids import AgentId
from wire.subjects import nudge_agent, work

PULL = "$JS.API.CONSUMER.MSG.NEXT.WORK.default"
ME, OTHER = AgentId(UUID(int=1)), AgentId(UUID(int=2))


class Consumer(Struct):
    num_ack_pending: int


class State(Struct):
    messages: int


class Stream(Struct):
    state: State


@pytest.fixture(scope="module")
async def fleet(nats: NatsServer) -> AsyncIterator[Bus]:
    async with nats.control_bus("FLEET") as bus:
        await bus.ready(LIMIT_S)
        await ensure_fleet(bus, ["default", "other"])
        yield bus


@pytest.fixture(scope="module")
async def me(nats: NatsServer, fleet: Bus) -> AsyncIterator[Bus]:
    async with nats.agent_bus(ME, nats.agent_credentials(ME)) as bus:
        await bus.ready(LIMIT_S)
        yield bus


async def ignore(message: Message) -> None:
    raise AssertionError(f"heard {message.subject}")


async def test_an_agent_hears_its_own_nudge_and_no_other(me: Bus, fleet: Bus) -> None:
    heard: list[str] = []

    async def hear(message: Message) -> None:
        heard.append(message.subject)

    own = await me.subscribe(nudge_agent(ME), hear)
    foreign = await me.subscribe(nudge_agent(OTHER), hear)
    await nudge(fleet, nudge_agent(OTHER))
    await nudge(fleet, nudge_agent(ME))
    await until(lambda: bool(heard))
    assert heard == [nudge_agent(ME)]
    await me.unsubscribe(own)
    await me.unsubscribe(foreign)


@pytest.mark.parametrize(
    "subject",
    [
        nudge_agent(OTHER),
        "nudge.*",
        ">",
        "*",
        "work.default",
        "work.>",
        "_INBOX.>",
        "_INBOX_control.>",
        f"_INBOX_{OTHER}.>",
        "$JS.API.>",
        "$JS.EVENT.>",
        "$SYS.>",
        "events.>",
    ],
)
async def test_an_agent_may_not_hear(me: Bus, nats: NatsServer, subject: str) -> None:
    subscription = await me.subscribe(subject, ignore)
    await until(lambda: f'Subscription Violation - Subject "{subject}"' in nats.log())
    await me.unsubscribe(subscription)
    assert me.connected


@pytest.mark.parametrize(
    "subject",
    [
        "work.default",
        nudge_agent(ME),
        nudge_agent(OTHER),
        "$JS.API.CONSUMER.MSG.NEXT.WORK.other",
        "$JS.API.CONSUMER.INFO.WORK.default",
        "$JS.API.CONSUMER.CREATE.WORK",
        "$JS.API.CONSUMER.DELETE.WORK.default",
        "$JS.API.STREAM.INFO.WORK",
        "$JS.API.STREAM.CREATE.MINE",
        "$JS.API.STREAM.DELETE.WORK",
        "$JS.API.STREAM.PURGE.WORK",
        "$JS.API.STREAM.MSG.GET.WORK",
        "$JS.API.DIRECT.GET.WORK",
        "$JS.ACK.WORK.other.1.1.1.1.0",
        "$SYS.REQ.CLAIMS.UPDATE",
        "$SYS.REQ.SERVER.PING",
        f"_INBOX_{OTHER}.x",
        "events.a.b",
    ],
)
async def test_an_agent_may_not_say(me: Bus, nats: NatsServer, subject: str) -> None:
    await me.publish(subject, b"{}")
    await until(lambda: f'Publish Violation - Subject "{subject}"' in nats.log())
    assert me.connected


async def test_an_agent_may_not_ask_for_another_pools_work(me: Bus, fleet: Bus, nats: NatsServer) -> None:
    await publish_stored(fleet, work("other"), b"theirs", msg_id="theirs")
    assert await pull(me, "other", 0, expires_s=0.3) is None


async def test_an_agent_cannot_connect_to_a_word_of_app(me: Bus, nats: NatsServer) -> None:
    """Accounts are walls: the same subject in another account is another subject."""
    async with nats.control_bus("APP") as app:
        await app.ready(LIMIT_S)
        await app.subscribe("events.>", ignore)
        await me.publish("events.a.b", b"forged")
        await until(lambda: 'Subject "events.a.b"' in nats.log())


async def test_the_control_planes_system_user_cannot_look_around(nats: NatsServer) -> None:
    async with nats.control_bus("SYSTEM") as system:
        await system.ready(LIMIT_S)
        with pytest.raises(BusError):
            await system.request("$SYS.REQ.SERVER.PING", timeout=0.5)


@pytest.mark.parametrize(("verb", "body"), [("DELETE", b""), ("PURGE", b"{}")])
async def test_an_offer_cannot_be_steered_into_the_brokers_own_api(
    fleet: Bus, nats: NatsServer, verb: str, body: bytes
) -> None:
    """A pull's reply subject is the agent's to choose, and the broker delivers there: it must not be a lever."""
    await publish_stored(fleet, work("default"), body, msg_id=verb)
    before = (await call(fleet, "STREAM.INFO.WORK", None, Stream)).state.messages
    agent = await raw_agent(nats)
    try:
        await agent.publish(PULL, b'{"batch":1,"group":"slots","priority":0}', reply=f"$JS.API.STREAM.{verb}.WORK")
        async with asyncio.timeout(LIMIT_S):
            while not (await call(fleet, "CONSUMER.INFO.WORK.default", None, Consumer)).num_ack_pending:
                await asyncio.sleep(0.01)
        assert (await call(fleet, "STREAM.INFO.WORK", None, Stream)).state.messages == before
    finally:
        await agent.close()
        await fleet.request("$JS.API.CONSUMER.DELETE.WORK.default", timeout=LIMIT_S)
        await ensure_fleet(fleet, ["default"])


async def raw_agent(nats: NatsServer) -> Client:
    """nats-py itself: our own client does not let a caller choose where an answer goes."""
    credentials = await nats.agent_credentials(ME)()
    signed = nats.authority.client(f"spiffe://test/agent/{ME}")
    client = Client()
    await client.connect(
        nats.url,
        tls=signed.context(),
        tls_handshake_first=True,
        user_jwt_cb=credentials.jwt.encode,
        signature_cb=lambda nonce: b64encode(nkeys.from_seed(credentials.seed.encode()).sign(nonce.encode())),
    )
    return client
