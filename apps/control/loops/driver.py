"""What turns a loop: a nudge, a tick, or a new connection to the bus. A step takes no input and reads everything again.

┌──► step ──┬── there may be more ──► at once ──────────────────────────────┐
│           ├── nothing to do ──► nudged, or the tick; and a gap since ─────┤
│           └── failed ──► logged; a growing pause ─────────────────────────┤
└───────────────────────────────────────────────────────────────────────────┘
"""

import asyncio
import random
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from prometheus_client import Counter, Histogram
from sqlalchemy import text

from bus.errors import BusDown
from bus.message import Message
from control import db
from control.db import Tx
from control.plane import Plane
from control.storage.errors import StoreDown
from telemetry import logs
from telemetry.metrics import FAST_S
from wire.clock import utcnow
from wire.subjects import nudge_loop

log = logs.get(__name__)

GAP_S = 0.1
"""From one step's beginning to the next one's: who is nudged a hundred times a second reads it all ten times."""
JITTER = 0.1
"""Of a tick: processes that started together should not ask together for ever."""
FAILED_PAUSE_S = 0.2
FAILED_PAUSE_MAX_S = 5.0
"""A server that is back is noticed within this."""
LOCKS = 7_305_110_900
"""Advisory locks of loops are numbered from here on."""

_SECONDS = Histogram("control_loop_seconds", "How long a loop's step took.", ["loop"], buckets=FAST_S)
_FAILURES = Counter("control_loop_failures_total", "Steps that failed, and what one passed over.", ["loop"])

Step = Callable[[Plane, datetime], Awaitable[bool]]
"""True: there may be more to do at once."""


class Loop(Struct, frozen=True):
    name: str
    step: Step
    tick_s: float
    """How long it may hear nothing."""


async def run(plane: Plane, loops: Iterable[Loop]) -> None:
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(turn(plane, loop), name=f"loop:{loop.name}")


async def turn(plane: Plane, loop: Loop) -> None:
    wake = asyncio.Event()

    async def nudged(_: Message) -> None:
        wake.set()

    await plane.app_bus.subscribe(nudge_loop(loop.name), nudged)
    plane.app_bus.on_connected(wake.set)
    plane.fleet_bus.on_connected(wake.set)
    failures = 0
    while True:
        wake.clear()
        began = time.monotonic()
        again, failed = await _step(plane, loop)
        failures = failures + 1 if failed else 0
        if failed:
            await asyncio.sleep(_pause_s(failures))
        elif not again:
            with suppress(TimeoutError):
                async with asyncio.timeout(plane.settings.wait(loop.tick_s) * random.uniform(1 - JITTER, 1 + JITTER)):
                    await wake.wait()
            await asyncio.sleep(began + plane.settings.wait(GAP_S) - time.monotonic())


async def alone(tx: Tx, loop: str) -> bool:
    """Whether no other process is in this loop's step; held until the transaction ends."""
    key = LOCKS + zlib.crc32(loop.encode())
    return bool(await tx.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}))


def passed_over(loop: str, what: UUID) -> None:
    """In the handler of a bug that one row brings to light: it is told, and keeps no other row from its turn."""
    _FAILURES.labels(loop).inc()
    log.exception("loop.passed_over", loop=loop, what=str(what))


async def _step(plane: Plane, loop: Loop) -> tuple[bool, bool]:
    """Whether there may be more, and whether it failed."""
    try:
        with _SECONDS.labels(loop.name).time():
            return await loop.step(plane, utcnow()), False
    except Exception as failure:
        # The driver: whatever is away or broken, the loop is turned again and finds the world as it is then.
        _FAILURES.labels(loop.name).inc()
        is_away = db.is_away(failure) or isinstance(failure, StoreDown | BusDown)
        log.warning("loop.failed", loop=loop.name, reason=repr(failure), exc_info=not is_away)
        return False, True


def _pause_s(failures: int) -> float:
    return min(FAILED_PAUSE_MAX_S, FAILED_PAUSE_S * 2.0 ** min(failures - 1, 8)) * random.uniform(0.5, 1.0)
