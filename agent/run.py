"""The agent's life: opens everything in order, works, and on SIGTERM hands over and closes in reverse.

identity, disk ──► engine, fleet, store ──► first sync (what was found is adopted or thrown away) ──► bus ──► claims
"""

import asyncio
import signal
from contextlib import AsyncExitStack, suppress
from importlib.metadata import PackageNotFoundError, version

import msgspec

from agent import claims, sync
from agent.config import Settings
from agent.disk import Disk
from agent.driver import Driver
from agent.engine.session import Session
from agent.fleet import Fleet, FleetError
from agent.identity import Identity, load
from agent.store import Store
from agent.sync import Voice
from agent.upload import SMALL_AT_ONCE, Uploads
from bus.accounts import agent_inbox
from bus.connect import Bus, Message, open_bus
from bus.credentials import Credentials
from telemetry import logs, metrics
from wire.ids import BootId, new_id
from wire.messages import Ask
from wire.subjects import ask_agent, nudge_agent

log = logs.get(__name__)

GRACE_S = 8.0
"""For parts on their way to the store, at SIGTERM."""
GOODBYE_S = 8.0
"""For the last sync; with the engine's own eight seconds we are gone well within 30."""


async def run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    identity = load(settings.agent_dir)
    with metrics.serve(settings.metrics_port):
        await live(settings, identity, stop)
    log.info("agent.stopped", agent=identity.agent)


async def live(settings: Settings, identity: Identity, stop: asyncio.Event) -> None:
    """Until `stop`."""
    boot = BootId(new_id())
    async with AsyncExitStack() as opened:
        disk = Disk(settings.agent_dir)
        opened.callback(disk.close)
        engine = Session(settings)
        opened.push_async_callback(engine.aclose)
        fleet = await opened.enter_async_context(Fleet(identity, settings))
        store = await opened.enter_async_context(Store(settings.agent_uploads * SMALL_AT_ONCE))
        driver = Driver(
            settings, engine, fleet, Uploads(engine, fleet.grants_patiently, store), disk, boot, agent_version()
        )
        voice = Voice(driver.build, fleet.sync, driver.heard, driver.wake, asyncio.Lock())
        log.info("agent.started", agent=identity.agent, boot=boot, pool=identity.pool)
        async with asyncio.TaskGroup() as group:
            driving = group.create_task(driver.run())
            working = group.create_task(_work(settings, identity, fleet, driver, voice, boot))
            await stop.wait()
            working.cancel()
            await asyncio.wait({working})
            await driver.leave(settings.wait(GRACE_S))
            await _goodbye(settings, voice)
            driving.cancel()


async def _work(
    settings: Settings, identity: Identity, fleet: Fleet, driver: Driver, voice: Voice, boot: BootId
) -> None:
    await fleet.patiently(lambda: sync.once(voice))
    async with open_bus(
        "agent",
        identity.nats_url,
        identity.tls(),
        lambda: _credentials(identity, fleet),
        inbox_prefix=agent_inbox(identity.agent),
    ) as bus:
        await bus.subscribe(nudge_agent(identity.agent), lambda message: _nudged(driver, message))
        await bus.subscribe(ask_agent(identity.agent), lambda message: _asked(driver, message))
        async with asyncio.TaskGroup() as group:
            group.create_task(sync.run(settings, voice))
            group.create_task(_claim(settings, identity, bus, fleet, driver, voice, boot))


async def _claim(
    settings: Settings, identity: Identity, bus: Bus, fleet: Fleet, driver: Driver, voice: Voice, boot: BootId
) -> None:
    room = claims.Room(settings.agent_slots, driver.load)
    driver.changed = room.changed.set
    await claims.run(settings, bus, identity.pool, room, claims.Desk(fleet, boot, driver.take, voice.turn))


async def _goodbye(settings: Settings, voice: Voice) -> None:
    """Everything is handed over; if nobody hears it, the lease ends by itself."""
    with suppress(TimeoutError, FleetError):
        async with asyncio.timeout(settings.wait(GOODBYE_S)):
            await sync.once(voice)


async def _credentials(identity: Identity, fleet: Fleet) -> Credentials:
    fresh = await fleet.credentials()
    return Credentials(jwt=fresh.jwt, seed=identity.nats_seed, expires_at=fresh.expires_at)


async def _nudged(driver: Driver, message: Message) -> None:
    driver.wake.set()


async def _asked(driver: Driver, message: Message) -> None:
    try:
        driver.asked(msgspec.json.decode(message.data, type=Ask).transfer)
    except msgspec.DecodeError:
        log.warning("ask.unreadable")


def agent_version() -> str:
    try:
        return version("seedlift")
    except PackageNotFoundError:
        return "0"
