"""The agent's life: opens everything in order, works, and on SIGTERM hands over and closes in reverse.

identity, disk ──► engine, fleet, store ──► first sync (what was found is adopted or thrown away) ──► bus ──► claims
"""

import asyncio
import resource
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

import msgspec

from agent import claims, renewal, sync
from agent.about import check
from agent.config import Settings
from agent.disk import Disk
from agent.driver import Driver
from agent.engine.api import Engine
from agent.engine.pair import Pair
from agent.engine.sim import Sim
from agent.engine.web import Web
from agent.fleet import Fleet, FleetError, Refusal
from agent.identity import Identity, NotEnrolled, load
from agent.store import Store
from agent.sync import Voice
from agent.upload import SMALL_AT_ONCE, Uploads
from bus.accounts import agent_inbox
from bus.connect import Bus, open_bus
from bus.credentials import Credentials
from bus.message import Message
from telemetry import logs, metrics
from wire.clock import utcnow
from wire.ids import BootId, new_id
from wire.messages import Ask, Sync, Synced
from wire.subjects import ask_agent, nudge_agent
from wire.version import VERSION

log = logs.get(__name__)

UNKNOWN = 401
"""We are not known, or not any more; the answer says what to do."""
GRACE_S = 8.0
"""For parts on their way to the store, at SIGTERM."""
GOODBYE_S = 8.0
"""For the last sync; with the engine's own eight seconds we are gone well within 30."""

OPEN_FILES = 4_096
"""Two sessions with 400 peers and 256 files each, a journal for each transfer, and the store's connections."""


async def run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    check(settings)
    identity = load(settings.agent_dir)
    _may_open_files()
    with metrics.serve(settings.metrics_port):
        try:
            await live(settings, identity, stop)
        except* NotEnrolled as refused:
            raise NotEnrolled(str(refused.exceptions[0])) from None
    log.info("agent.stopped", agent=identity.agent)


async def live(settings: Settings, identity: Identity, stop: asyncio.Event) -> None:
    """Until `stop`."""
    boot = BootId(new_id())
    async with AsyncExitStack() as opened:
        disk = Disk(settings.agent_dir)
        opened.callback(disk.close)
        engine = await _engine(settings, opened)
        opened.push_async_callback(engine.aclose)
        fleet = await opened.enter_async_context(Fleet(identity, settings))
        store = await opened.enter_async_context(Store(settings.agent_uploads * SMALL_AT_ONCE))
        driver = Driver(settings, engine, fleet, Uploads(engine, fleet.grants_patiently, store), disk, boot, VERSION)
        renew = asyncio.Event()
        voice = Voice(driver.build, fleet.sync, _hearing(driver, engine, renew), driver.wake, asyncio.Lock())
        log.info("agent.started", agent=identity.agent, boot=boot, pool=identity.pool)
        async with asyncio.TaskGroup() as group:
            driving = group.create_task(driver.run())
            working = group.create_task(_work(settings, identity, fleet, driver, voice, boot, renew))
            await stop.wait()
            working.cancel()
            await asyncio.wait({working})
            await driver.leave(settings.wait(GRACE_S))
            await _goodbye(settings, voice)
            driving.cancel()


async def _engine(settings: Settings, opened: AsyncExitStack) -> Engine:
    if settings.agent_sim:
        log.warning("engine.simulated", script=settings.agent_sim)
        return Sim(settings.agent_sim)
    fetching = await opened.enter_async_context(asyncio.TaskGroup())
    return Pair(settings, Web(settings, fetching))


async def _work(
    settings: Settings,
    identity: Identity,
    fleet: Fleet,
    driver: Driver,
    voice: Voice,
    boot: BootId,
    renew: asyncio.Event,
) -> None:
    try:
        await fleet.patiently(lambda: sync.once(voice))
    except Refusal as refusal:
        if refusal.status == UNKNOWN:
            raise NotEnrolled(f"the fleet refuses this agent. {refusal.detail}") from None
        raise
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
            group.create_task(renewal.run(settings, identity, fleet, bus, renew))
            group.create_task(_claim(settings, identity, bus, fleet, driver, voice, boot))


async def _claim(
    settings: Settings, identity: Identity, bus: Bus, fleet: Fleet, driver: Driver, voice: Voice, boot: BootId
) -> None:
    room = claims.Room(settings.agent_slots, driver.load, driver.may_claim, driver.room.budget.load)
    driver.changed = room.changed.set
    desk = claims.Desk(fleet, boot, driver.take, voice.turn, driver.room.refuses)
    await claims.run(settings, bus, identity.pool, room, desk)


def _hearing(driver: Driver, engine: Engine, renew: asyncio.Event) -> Callable[[Sync, Synced], None]:
    def heard(sync: Sync, synced: Synced) -> None:
        driver.heard(sync, synced)
        engine.limit(synced.pace)
        if synced.renew:
            renew.set()

    return heard


async def _goodbye(settings: Settings, voice: Voice) -> None:
    """Everything is handed over; if nobody hears it, the lease ends by itself."""
    with suppress(TimeoutError, FleetError):
        async with asyncio.timeout(settings.wait(GOODBYE_S)):
            await sync.once(voice)


async def _credentials(identity: Identity, fleet: Fleet) -> Credentials:
    """By our own clock: were it hours ahead of the control plane's, each connection would be replaced at once."""
    fresh = await fleet.credentials()
    return Credentials(fresh.jwt, identity.nats_seed, utcnow() + timedelta(seconds=fresh.lasts_s))


def _may_open_files() -> None:
    """Shells commonly give a process 1,024 and let it take more."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


async def _nudged(driver: Driver, message: Message) -> None:
    driver.wake.set()


async def _asked(driver: Driver, message: Message) -> None:
    try:
        driver.asked(msgspec.json.decode(message.data, type=Ask).transfer)
    except msgspec.DecodeError:
        log.warning("ask.unreadable")
