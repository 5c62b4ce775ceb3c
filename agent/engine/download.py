"""One file of a web server, on its way to the disk: several ranges at once, or all of it from its beginning.

    take a run of pieces ──► GET its range ──► still the same file? ──► written as it comes ──► each piece is there
        └── cut, silent, busy: later again; what came stays
Where a server gives no ranges it is read from the beginning every time, and what is there already is thrown away. There
nothing is read ahead of what is asked for: while nobody asks, the connection waits, and after a while it is closed.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from agent.engine.api import Broke, EngineEvent, Figures, NotThere, PieceVerified, TrackerSaid, disk_code
from agent.engine.remote import Changed, Lies, check_same, only_if_same, part_of
from agent.engine.runs import Pieces, Run
from fetch.client import Answer, Client
from fetch.errors import Away, FetchError, NotAllowed
from wire.ids import TransferId
from wire.remote import Remote
from wire.trackers import word
from wire.units import MIB

LANES = 4
"""Ranges at once: many servers give each connection a share, few like more than these."""
WRITE_BYTES = MIB
MISSES_MAX = 6
"""Cuts in a row without a piece between them, all lanes together: about half a minute."""
BACKOFF_S, BACKOFF_MAX_S = 1.0, 10.0
HOLD_S = 20.0
"""So long a connection without ranges waits until more is asked for."""
BURST_S = 0.25


class Short(Away):
    """It ended early, as if that were all: cut off, where nobody said how long it is."""


class Idle(Exception):
    """Nothing is asked for."""


class Place(Struct, frozen=True):
    """Where a file comes from and goes to, and who hears of it."""

    transfer: TransferId
    url: str
    path: Path
    heard: Callable[[EngineEvent], None]


class Pace:
    """Bytes a second, over all lanes; 0 is no limit."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        if not self.rate:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - BURST_S) + count / self.rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


class Meter:
    """What came, and how fast, as `tick` sees it."""

    def __init__(self) -> None:
        self.bytes = 0
        self.open = 0
        """Answers that are being read."""
        self._rate = 0.0
        self._seen = (0.0, 0)

    def figures(self, transfer: TransferId) -> Figures:
        now = asyncio.get_running_loop().time()
        before, counted = self._seen
        if before and now > before:
            self._rate = (self._rate + (self.bytes - counted) / (now - before)) / 2
        self._seen = (now, self.bytes)
        return Figures(transfer, int(self._rate), 0, peers=self.open, seeds=self.open, fetched_bytes=self.bytes)


class Download:
    def __init__(
        self,
        place: Place,
        known: Remote,
        priorities: Sequence[int],
        client: Client,
        pace: Pace,
        meter: Meter,
        have: bytes,
    ) -> None:
        self.pieces = Pieces(priorities, known.piece_bytes, have)
        self._pace = pace
        self._meter = meter
        self._place = place
        self._known = known
        self._client = client
        self._ranges = known.ranges
        self._misses = 0
        self._more = asyncio.Event()
        """Something is to be asked for, perhaps."""

    async def run(self) -> None:
        """Until it is cancelled, or has said that it broke."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(LANES if self._ranges else 1):
                    group.create_task(self._lane(is_first=number == 0))
        except* (FetchError, Changed, Lies, OSError) as failures:
            self._place.heard(broke(self._place, failures.exceptions[0]))

    def ask(self, changes: Sequence[tuple[int, int]]) -> None:
        self.pieces.ask(changes)
        self._more.set()

    async def read(self, piece: int) -> bytes:
        if not self.pieces.have[piece]:
            raise NotThere("this piece has not come yet")
        begins, ends = self._bounds(piece)
        data = await asyncio.to_thread(_read, self._place.path, begins, ends - begins)
        if len(data) != ends - begins:
            raise NotThere("this piece has left the disk")
        return data

    def _bounds(self, piece: int) -> tuple[int, int]:
        size = self._known.piece_bytes
        return piece * size, min((piece + 1) * size, self._known.size_bytes)

    async def _lane(self, *, is_first: bool) -> None:
        while is_first or self._ranges:
            run = self.pieces.take() if self._ranges else self._rest()
            if run is None:
                self._more.clear()
                await self._more.wait()
                continue
            try:
                await self._fetch(run, is_first=is_first)
            except Idle:
                pass
            except Away as away:
                await self._missed(away)
            finally:
                self.pieces.give_back(run)
                self._more.set()

    def _rest(self) -> Run | None:
        return Run(0, len(self.pieces.have) - 1) if self.pieces.asked_from(0) else None

    async def _missed(self, away: Away) -> None:
        self._misses += 1
        said = word(str(away), self._place.url)
        self._place.heard(TrackerSaid(self._place.transfer, self._place.url, "away", said))
        if self._misses >= MISSES_MAX:
            raise Lies(str(away)) if isinstance(away, Short) else away
        await asyncio.sleep(min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (self._misses - 1)))

    async def _fetch(self, run: Run, *, is_first: bool) -> None:
        """Raises what `run` ends with, and Away, Idle."""
        ranged = self._ranges
        begins, ends = self._bounds(run.first)[0], self._bounds(run.last)[1]
        headers = {"Range": f"bytes={begins}-{ends - 1}", **only_if_same(self._known)} if ranged else {}
        async with self._client.get(self._place.url, headers) as answer:
            if answer.status == 416:
                raise Changed("it is shorter than it was")
            part = part_of(answer)
            check_same(answer, part, self._known)
            if ranged and answer.status == 200:  # one of several servers, perhaps; from here on all are asked alike
                self._ranges = ranged = False
                self.pieces.give_back(run)
                if not is_first:
                    raise Idle
            if part.first != (begins if ranged else 0):
                raise Lies("another part than was asked for")
            self._meter.open += 1
            try:
                await self._take(answer, part.first, ends if ranged else self._known.size_bytes, ranged=ranged)
            finally:
                self._meter.open -= 1

    async def _take(self, answer: Answer, at: int, ends: int, *, ranged: bool) -> None:
        """Bytes of the file from `at` on, as they come."""
        kept = bytearray()
        piece = at // self._known.piece_bytes
        needed = await self._needs(piece, ranged=ranged)
        async for chunk in answer.chunks:
            self._meter.bytes += len(chunk)
            await self._pace.take(len(chunk))
            while chunk:
                if at >= ends:
                    raise Lies("more than was said")
                rest, chunk = chunk, chunk[self._bounds(piece)[1] - at :]
                fresh = rest[: len(rest) - len(chunk)]
                at += len(fresh)
                if needed:
                    kept += fresh
                is_whole = at == self._bounds(piece)[1]
                if kept and (is_whole or len(kept) >= WRITE_BYTES):
                    await asyncio.to_thread(write, self._place.path, at - len(kept), bytes(kept))
                    kept.clear()
                if is_whole:
                    if needed:
                        self._arrived(piece)
                    piece += 1
                    needed = at < ends and await self._needs(piece, ranged=ranged)
        if at < ends:
            raise Short(f"it ended after {at} of {self._known.size_bytes} bytes")

    async def _needs(self, piece: int, *, ranged: bool) -> bool:
        """Whether to keep what comes of a piece. Raises Idle when nothing more is asked for from there on."""
        if ranged:
            if not self.pieces.is_asked(piece):
                raise Idle  # others were chosen meanwhile
            return True
        try:
            async with asyncio.timeout(HOLD_S):
                while not self.pieces.asked_from(piece):
                    if self.pieces.asked_from(0):
                        raise Idle  # what is asked for lies before it
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise Idle from None
        return bool(self.pieces.todo[piece])

    def _arrived(self, piece: int) -> None:
        self._misses = 0
        self.pieces.arrived(piece)
        self._place.heard(PieceVerified(self._place.transfer, piece))


def broke(place: Place, failure: Exception) -> Broke:
    """As its owner is told."""
    said = word(str(failure), place.url)
    match failure:
        case Changed():
            code = "url_changed"
        case Lies():
            code = "url_lies"
        case NotAllowed():
            code = "url_not_allowed"
        case Away():
            code = "url_away"
        case OSError():
            return Broke(place.transfer, disk_code(failure.errno), said)
        case _:
            code = "url_refused"
    return Broke(place.transfer, code, said)


def write(path: Path, offset: int, data: bytes) -> None:
    """For a thread. The file is opened each time: what is still written after its transfer has gone must not find the
    number of a closed file taken by another."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while data:
            written = os.pwrite(fd, data, offset)
            data, offset = data[written:], offset + written
    finally:
        os.close(fd)


def _read(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            return os.pread(file.fileno(), length, offset)
    except OSError as broken:
        raise NotThere(str(broken)) from None
