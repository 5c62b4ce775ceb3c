"""The process `work`: every loop, in one group. Any number of it may run."""

import asyncio

from control.config import Settings
from control.loops import (
    blocked,
    calls,
    close,
    dispatch,
    driver,
    ensure,
    expire,
    feed,
    finish,
    gauges,
    lost,
    mail,
    paused,
    purge,
    relay,
    retention,
    revoke,
    seal,
    seeding,
    shares,
    suspended,
    sweep,
    uploads,
    warn,
)
from control.loops.driver import Loop
from control.plane import open_plane
from telemetry import logs, metrics
from wire.units import HOUR_S, MINUTE_S

log = logs.get(__name__)


def loops(settings: Settings) -> list[Loop]:
    """Ticks are for what nobody nudged about; the usual path is nudged, and takes milliseconds."""
    return [
        Loop("ensure", ensure.step, settings.tick_s),
        Loop("relay", relay.step, settings.tick_s / 5),
        Loop("dispatch", dispatch.step, settings.tick_s / 2),
        Loop("finish", finish.step, settings.tick_s),
        Loop("lost", lost.step, settings.lease_s / 10),
        Loop("paused", paused.step, 4 * settings.tick_s),
        Loop("shares", shares.step, settings.tick_s / 5),
        Loop("seeding", seeding.step, settings.tick_s),
        Loop("blocked", blocked.step, 4 * settings.tick_s),
        Loop("suspended", suspended.step, 4 * settings.tick_s),
        Loop("purge", purge.step, 4 * settings.tick_s),
        Loop("close", close.step, 4 * settings.tick_s),
        Loop("revoke", revoke.step, MINUTE_S),
        Loop("expire", expire.step, 12 * settings.tick_s),
        Loop("warn", warn.step, 4 * settings.tick_s),
        Loop("mail", mail.step, 2 * settings.tick_s),
        Loop("feed", feed.step, settings.tick_s / 5),
        Loop("calls", calls.step, settings.tick_s),
        Loop("retention", retention.step, 10 * MINUTE_S),
        Loop("sweep", sweep.step, 10 * MINUTE_S),
        Loop("uploads", uploads.step, HOUR_S),
        Loop("seal", seal.step, settings.tick_s),
        Loop("gauges", gauges.step, 3 * settings.tick_s),
    ]


async def run(settings: Settings) -> None:
    """Until cancelled: a step under way is rolled back, and the next process finds the world as it was."""
    with metrics.serve(settings.metrics_port):
        async with open_plane(settings) as plane:
            log.info("work.started", loops=[loop.name for loop in loops(settings)])
            await driver.run(plane, loops(settings))


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(run(settings))
        await stop.wait()
        running.cancel()
