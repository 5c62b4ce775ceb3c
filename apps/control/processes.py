"""The control plane's two processes, from their settings to the signal that ends them."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal

import uvloop

from control import work as loops
from control.config import Settings
from control.fleet import listener
from control.plane import open_plane
from control.serve import CannotListen, bound, public
from telemetry import logs, metrics
from wire import settings as wire_settings
from wire.version import VERSION

SETTLED_S = 10.0
"""After it all is there that stays: routes, statements, pools."""
GARBAGE = (20_000, 20, 50)
"""Of Python's collector: a request makes thousands of objects, and next to no cycles."""

log = logs.get(__name__)


def run(name: Literal["api", "work"]) -> int:
    """Until it is signalled to end."""
    settings = wire_settings.read(Settings, os.environ)
    logs.configure(name, "console" if settings.log_format == "console" else "json", settings.log_level)
    metrics.say_build(name, VERSION)
    code = 0
    try:
        uvloop.run(_until_signalled(settings, api if name == "api" else work))
    except* CannotListen as refused:  # what a task group was told of comes as a group
        print(*_each(refused), sep="\n", file=sys.stderr)
        code = 2
    return code


def _each(group: ExceptionGroup[CannotListen]) -> Iterator[CannotListen]:
    for each in group.exceptions:
        yield from _each(each) if isinstance(each, ExceptionGroup) else [each]


async def _until_signalled(settings: Settings, serve: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    gc.set_threshold(*GARBAGE)
    loop.call_later(SETTLED_S, gc.freeze)
    await serve(settings, stop)


async def api(settings: Settings, stop: asyncio.Event) -> None:
    async with open_plane(settings) as plane, asyncio.TaskGroup() as group:
        with bound(settings.host, settings.port) as listening:
            fleet = group.create_task(listener.serve(plane))
            log.info("api.listening", host=settings.host, port=settings.port)
            await public(plane, listening, stop)
            fleet.cancel()


async def work(settings: Settings, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(loops.run(settings))
        await stop.wait()
        running.cancel()
