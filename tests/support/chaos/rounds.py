"""Playing a round: members ask and think it over, blows fall, all comes to its end, is looked at, and removed."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any

import asyncpg
import nats.errors
from minio.error import MinioException
from msgspec import Struct
from urllib3.exceptions import HTTPError

from bus.errors import BusError
from tests.support import control_bus
from tests.support.chaos import checker, world
from tests.support.chaos.checker import Wrong
from tests.support.chaos.schedule import Ask, Blow, Ending, Round
from tests.support.chaos.world import Asked, World
from wire.units import MIB

SETTLE_S = 90.0
"""For all waits of a round's end together: leases, tries and sweeps take seconds, a busy machine more."""
LOOK_AGAIN_S = 0.5
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, HTTPError, MinioException)
"""Whoever looks while a server is being started once more."""
SLOW_RATE = MIB
AGENT = "agent-"
ENDED: dict[str, Ending] = {"completed": "completed", "cancelled": "cancelled"}


class Played(Struct, frozen=True):
    round: Round
    wrong: list[Wrong]
    took_s: float


async def play(w: World, drawn: Round) -> Played:
    began = time.monotonic()
    w.server_errors.clear()
    jobs = await asked(w, drawn)
    wrong = await settled(w, jobs)
    await removed(w, jobs)
    wrong += await settled(w, [])
    return Played(drawn, wrong, time.monotonic() - began)


async def asked(w: World, drawn: Round) -> list[Asked]:
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(_member(w, ask, f"{drawn.number}-{n}")) for n, ask in enumerate(drawn.asks)]
        for blow in drawn.blows:
            group.create_task(_fall(w, blow))
    return [task.result() for task in asking]


async def settled(w: World, jobs: list[Asked]) -> list[Wrong]:
    """Looked at until nothing is wrong, then into every object as well; or until that took too long."""
    until = time.monotonic() + SETTLE_S
    while True:
        try:
            wrong = checker.wrong(await world.picture(w, jobs, digests=False))
            if not wrong:
                wrong = checker.wrong(await world.picture(w, jobs, digests=True))
            if not wrong or time.monotonic() > until:
                return wrong
        except AWAY:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(LOOK_AGAIN_S)


async def removed(w: World, jobs: list[Asked]) -> None:
    """The next round may ask for the same torrents again."""
    for job in jobs:
        if job.ending == "paused":
            await w.asked(job.org, "POST", f"/{job.id}/cancel")
        await w.asked(job.org, "DELETE", f"/{job.id}")


async def _member(w: World, ask: Ask, key: str) -> Asked:
    """What he is told last is what he then wants: who cancels too late has a completed job."""
    began = time.monotonic()
    source = w.sources[ask.content]
    await asyncio.sleep(ask.at_s)
    content: dict[str, Any] = {"json": {"magnet": source.magnet}}
    if ask.by == "torrent":
        content = {"files": {"torrent": ("t.torrent", source.torrent, "application/x-bittorrent")}}
    added = await w.asked(ask.org, "POST", "", headers={"Idempotency-Key": f"{key}-{began}"}, **content)
    assert added.status_code in (HTTPStatus.OK, HTTPStatus.CREATED), added.text
    job, ending = str(added.json()["id"]), ask.ending
    for step in ask.steps:
        await asyncio.sleep(max(0.0, began + step.at_s - time.monotonic()))
        answer = await w.asked(ask.org, "POST", f"/{job}/{step.verb}")
        if answer.status_code == HTTPStatus.CONFLICT:
            now = await w.asked(ask.org, "GET", f"/{job}")
            ending = ENDED.get(now.json()["state"], ending)
        else:
            assert answer.status_code == HTTPStatus.OK, answer.text
    return Asked(job, ask.org, ask.content, ending)


async def _fall(w: World, blow: Blow) -> None:
    await asyncio.sleep(blow.at_s)
    match blow.kind:
        case "kill":
            for pid in _pids(w, blow.target):
                os.kill(pid, signal.SIGKILL)
        case "freeze":
            with held_still(_pids(w, blow.target)):
                await asyncio.sleep(blow.for_s)
        case "slow":
            w.proxy.up.rate = SLOW_RATE
            await asyncio.sleep(blow.for_s)
            w.proxy.up.rate = None
        case "cut":
            w.proxy.cut()
        case "streams":
            with suppress(BusError, nats.errors.Error, OSError, TimeoutError):  # somebody killed NATS: enough for once
                await control_bus.delete_streams(w.stack)


@contextmanager
def held_still(pids: list[int]) -> Iterator[None]:
    """With their children: PostgreSQL is many processes. One that is killed meanwhile needs nothing."""
    _each(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _each(pids, signal.SIGCONT)


def _pids(w: World, target: str) -> list[int]:
    """None while it is being started again."""
    if target.startswith(AGENT):
        return w.stack.pids("agent")[int(target.removeprefix(AGENT)) - 1 :][:1]
    return w.stack.pids(target)


def _each(pids: list[int], what: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.killpg(pid, what)
