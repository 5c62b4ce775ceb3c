"""From pieces to the store: one batch is a part, or some small files, that goes through one upload slot.

    read its pieces ──► CRC-32 ──► grants, for all of the batch at once ──► PUT each ──► stored

A store or a control plane that is away is waited for; bytes stay where they are, and the slot stays taken, so what
is in memory is bounded by the slots.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import cast
from zlib import crc32

from msgspec import Struct

from agent.engine.api import Engine
from agent.fleet import backoff
from agent.parts import Layout, Unit
from agent.pieces import Pieces
from agent.store import NO_SUCH_UPLOAD, Store, StoreAway, StoreRefused
from agent.transfer import Upload
from telemetry import logs
from telemetry.redact import clean_text
from wire.ids import TransferId
from wire.messages import FileStored, Grant, PartStored, Want
from wire.units import MIB

log = logs.get(__name__)

BATCH_BYTES = 8 * MIB
"""As much as one part: a slot of small files costs no more memory than a slot with a part."""
BATCH_FILES = 128
"""Asking for grants costs as much as some twenty PUTs; fewer than WANTS_MAX, so that all slots have some early."""
SMALL_AT_ONCE = 4
"""PUTs of one batch at a time: a small one is mostly waiting."""
KEPT_BYTES = 16 * MIB
"""A longer part is not kept in memory but read twice, for its CRC and for its PUT."""
REFUSED_MAX = 6
"""4xx answers for one unit, each with a fresh grant: about a quarter of a minute."""
GONE_MAX = 3
"""Of them that know nothing of the upload: a fresh grant names the open one, so waiting longer brings nothing."""


GetGrants = Callable[[TransferId, int, list[Want]], Awaitable[list[Grant]]]
"""Waits for an answer as long as it takes."""


class Task(Struct, frozen=True):
    """What one slot does: units of one transfer, by their index in its layout."""

    transfer: TransferId
    epoch: int
    layout: Layout
    indices: Sequence[int]


class Put(Struct, frozen=True):
    """One unit that the store has acknowledged. Nothing `stored`: the control plane knew, and gave no grant."""

    index: int
    upload: Upload
    stored: PartStored | FileStored | None


class GivenUp(Exception):
    """The store refuses a unit again and again."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Body:
    """The bytes of one unit; a short one is read once and kept."""

    def __init__(self, pieces: Pieces, task: Task, unit: Unit, kept_bytes: int) -> None:
        self._pieces = pieces
        self._task = task
        self.unit = unit
        self.crc32 = 0
        self._keep = unit.size_bytes <= kept_bytes
        self._kept: list[memoryview] = []

    async def check(self) -> None:
        """Finds the CRC."""
        async for view in self._read():
            self.crc32 = crc32(view, self.crc32)
            if self._keep:
                self._kept.append(_apart(view))

    async def chunks(self) -> AsyncIterator[memoryview]:
        if self._keep:
            for view in self._kept:
                yield view
            return
        async for view in self._read():
            yield view

    async def _read(self) -> AsyncIterator[memoryview]:
        unit, piece_bytes = self.unit, self._task.layout.piece_bytes
        for piece in self._task.layout.pieces_of(unit):
            begins, ends = piece * piece_bytes, (piece + 1) * piece_bytes
            is_shared = begins < unit.start or unit.end < ends
            data = await self._pieces.read(self._task.transfer, piece, is_shared=is_shared)
            yield memoryview(data)[max(unit.start, begins) - begins : min(unit.end, ends) - begins]


def _apart(view: memoryview) -> memoryview:
    """A small view would keep its whole piece in memory: then it is worth a copy."""
    return view if 2 * len(view) >= len(cast(bytes, view.obj)) else memoryview(bytes(view))


class Uploads:
    """Puts batches; what it needs to know of a transfer comes with the task."""

    def __init__(self, engine: Engine, grants: GetGrants, store: Store, kept_bytes: int = KEPT_BYTES) -> None:
        self._pieces = Pieces(engine)
        self._get_grants = grants
        self._store = store
        self._kept_bytes = kept_bytes
        self._turn = 0
        """Counts answers with grants."""
        self.trouble: dict[TransferId, str] = {}
        """What the store last did wrong to a transfer, until it takes something from it."""

    async def put(self, task: Task, stored: Callable[[Put], Awaitable[None]]) -> None:
        """Calls `stored` for every unit as it is done. Raises Refusal (not ours any more), NotThere, GivenUp."""
        bodies = [Body(self._pieces, task, task.layout.units[index], self._kept_bytes) for index in task.indices]
        for body in bodies:
            await body.check()
        grants = await self._grants(task, bodies)
        todo = iter(list(zip(task.indices, bodies, strict=True)))
        if len(bodies) == 1:
            await self._some(task, todo, grants, stored)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(SMALL_AT_ONCE, len(bodies))):
                    group.create_task(self._some(task, todo, grants, stored))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # they fail alike; one says it

    def forget(self, transfer: TransferId) -> None:
        """It is not ours any more: nothing of it stays in memory."""
        self._pieces.forget(transfer)

    async def _some(
        self,
        task: Task,
        todo: Iterator[tuple[int, Body]],
        grants: dict[tuple[int, int], Grant],
        stored: Callable[[Put], Awaitable[None]],
    ) -> None:
        for index, body in todo:
            await stored(await self._one(task, index, body, grants))

    async def _one(self, task: Task, index: int, body: Body, grants: dict[tuple[int, int], Grant]) -> Put:
        unit = body.unit
        grant = grants.get((unit.file, unit.part))
        turn = self._turn
        tries = refused = 0
        while True:
            if grant is None:
                grant = (await self._grants(task, [body])).get((unit.file, unit.part))
                turn = self._turn
            if grant is None:
                return Put(index, Upload("", turn), None)
            try:
                etag = await self._store.put(grant, body.chunks, unit.size_bytes)
                self.trouble.pop(task.transfer, None)
                return Put(index, Upload(grant.upload, turn), _stored(body, grant, etag))
            except StoreRefused as failure:
                self.trouble[task.transfer] = clean_text(str(failure))
                refused += 1
                log.warning("part.refused", file=unit.file, part=unit.part, status=failure.status, detail=str(failure))
                gone = failure.status == NO_SUCH_UPLOAD
                if refused >= (GONE_MAX if gone else REFUSED_MAX):
                    raise GivenUp("upload_gone" if gone else "store_refused", str(failure)) from None
            except StoreAway as failure:
                self.trouble[task.transfer] = clean_text(str(failure))
                log.info("store.away", file=unit.file, part=unit.part, detail=str(failure))
            grant = None  # it may have expired meanwhile, or its upload was replaced
            tries += 1
            await asyncio.sleep(backoff(tries))

    async def _grants(self, task: Task, bodies: Sequence[Body]) -> dict[tuple[int, int], Grant]:
        wants = [Want(b.unit.file, b.unit.part, b.unit.size_bytes, b.crc32) for b in bodies]
        grants = await self._get_grants(task.transfer, task.epoch, wants)
        self._turn += 1
        return {(grant.file, grant.part): grant for grant in grants}


def _stored(body: Body, grant: Grant, etag: str) -> PartStored | FileStored:
    unit = body.unit
    if unit.part:
        return PartStored(unit.file, unit.part, unit.size_bytes, body.crc32, etag)
    return FileStored(unit.file, unit.size_bytes, body.crc32, etag, grant.key)
