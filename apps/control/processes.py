"""A process of the control plane, from its settings to the signal that ends it; what it does meanwhile it is given."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import uvloop

from control.config import Settings
from telemetry import logs, metrics
from wire import settings as wire_settings
from wire.version import VERSION

SETTLED_S = 10.0
"""After it all is there that stays: routes, statements, pools."""
GARBAGE = (20_000, 20, 50)
"""Of Python's collector: a request makes thousands of objects, and next to no cycles."""

Serve: TypeAlias = Callable[[Settings, asyncio.Event], Awaitable[None]]
"""A process' work, until the event."""


class CannotListen(Exception):
    """The message names the address and what is in the way; the process ends with it."""


def run(name: str, serve: Serve) -> int:
    """Until it is signalled to end."""
    settings = wire_settings.read(Settings, os.environ)
    logs.configure(name, "console" if settings.log_format == "console" else "json", settings.log_level)
    metrics.say_build(name, VERSION)
    code = 0
    try:
        uvloop.run(_until_signalled(settings, serve))
    except* CannotListen as refused:  # what a task group was told of comes as a group
        print(*_each(refused), sep="\n", file=sys.stderr)
        code = 2
    return code


def _each(group: ExceptionGroup[CannotListen]) -> Iterator[CannotListen]:
    for each in group.exceptions:
        yield from _each(each) if isinstance(each, ExceptionGroup) else [each]


async def _until_signalled(settings: Settings, serve: Serve) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    gc.set_threshold(*GARBAGE)
    loop.call_later(SETTLED_S, gc.freeze)
    await serve(settings, stop)
