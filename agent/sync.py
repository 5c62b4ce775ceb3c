"""Sync: the agent says what is, and hears what should be. It is also its lease.

What the store has acknowledged stays in a report until the control plane has acknowledged it in turn.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from msgspec import Struct
from prometheus_client import Histogram

from agent.config import Settings
from agent.fleet import Refusal, Unreachable, backoff
from telemetry import logs
from telemetry.metrics import FAST_S
from wire.messages import Sync, Synced

log = logs.get(__name__)

GAP_S = 0.05
"""Between two syncs, however much happens."""
SILENT_MAX_S = 5.0
"""A quarter of a lease: whatever `next_s` says, we are heard of so often."""

_SECONDS = Histogram("agent_sync_seconds", "One sync, asked and answered.", buckets=FAST_S)


class Voice(Struct, frozen=True):
    """What a sync needs of the rest of the agent."""

    build: Callable[[], Sync]
    ask: Callable[[Sync], Awaitable[Synced]]
    heard: Callable[[Sync, Synced], None]
    wake: asyncio.Event
    turn: asyncio.Lock
    """Held from building a sync to hearing its answer, and during a claim: a sync built before a claim and heard after
    it would say that we do not hold what we were just given."""


async def once(voice: Voice) -> float:
    """One sync; says in how many seconds the next one is due."""
    async with voice.turn:
        voice.wake.clear()
        sync = voice.build()
        with _SECONDS.time():
            synced = await voice.ask(sync)
        voice.heard(sync, synced)
    return synced.next_s


async def run(settings: Settings, voice: Voice) -> None:
    """Until cancelled: on time, when woken, and again and again when nobody answers."""
    failed = 0
    while True:
        try:
            next_s = min(await once(voice), settings.wait(SILENT_MAX_S))
            failed = 0
        except (Unreachable, Refusal) as failure:
            failed += 1
            if failed == 1 or isinstance(failure, Refusal):
                log.warning("sync.failed", detail=str(failure))
            await asyncio.sleep(settings.wait(backoff(failed)))
            continue
        await asyncio.sleep(GAP_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(next_s):
                await voice.wake.wait()
