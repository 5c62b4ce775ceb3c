"""Sync: the agent says what is, and hears what should be. It is also its lease.

What the store has acknowledged stays in a report until the control plane has acknowledged it in turn.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import islice

from msgspec import Struct
from prometheus_client import Histogram

from agent.config import Settings
from agent.fleet import Refusal, Unreachable, backoff
from agent.parts import Book
from agent.running import Run, done, phase
from agent.transfer import Unacked
from telemetry import logs
from telemetry.metrics import FAST_S
from wire.messages import PARTS_PER_REPORT, Detail, Rates, Report, Stuck, Sync, Synced

log = logs.get(__name__)

GAP_S = 0.05
"""Between two syncs, however much happens."""
SILENT_MAX_S = 5.0
"""A quarter of a lease: whatever `next_s` says, we are heard of so often."""

_SECONDS = Histogram("agent_sync_seconds", "One sync, asked and answered.", buckets=FAST_S)


class Told(Struct, frozen=True):
    """What a report is made of, beside the run."""

    rev: int
    store_rate: int
    handover: bool
    eta_s: int | None = None
    stuck: Stuck | None = None
    detail: Detail | None = None


def report(run: Run, book: Book | None, unacked: Unacked, told: Told) -> Report:
    parts = list(islice(unacked.parts.values(), PARTS_PER_REPORT))
    files = list(islice(unacked.files.values(), PARTS_PER_REPORT - len(parts)))
    return Report(
        transfer=run.transfer,
        epoch=run.epoch,
        rev=told.rev,
        phase=phase(run),
        rates=_rates(run, book, told),
        parts=parts,
        files=files,
        done=done(run) and len(unacked) == len(parts) + len(files),
        failure=run.failure,
        handover=told.handover,
        detail=told.detail,
        steer=run.steer,
    )


def _rates(run: Run, book: Book | None, told: Told) -> Rates:
    figures = run.figures
    return Rates(
        down_bytes=book.there_bytes if book else 0,
        stored_bytes=book.stored_bytes if book else 0,
        total_bytes=book.total_bytes if book else 0,
        down_rate=figures.down_rate if figures else 0,
        up_rate=figures.up_rate if figures else 0,
        store_rate=told.store_rate,
        peers=figures.peers if figures else 0,
        seeds=figures.seeds if figures else 0,
        availability=figures.availability if figures else None,
        ratio=round(figures.given_bytes / figures.fetched_bytes, 3) if figures and figures.fetched_bytes else None,
        given_bytes=figures.given_bytes if figures else 0,
        eta_s=told.eta_s,
        stuck=told.stuck,
    )


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
