"""Which bytes, which pieces: a torrent's files cut into units (parts and small files), and the book of what is there.

A unit is what one PUT carries: a part of a multipart upload, or a whole small file (part 0). Units stand in the order
of the torrent's bytes and never overlap, so the units of a piece are neighbours and a search in a sorted list finds
them: nothing here is kept per pair of piece and unit, and a torrent of 1 TiB or of 20,000 files costs little.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from operator import and_

from msgspec import Struct

from agent.window import LATER, Window
from wire.parts import is_small, part_count, part_range
from wire.units import MIB

EARLY_BYTES = 64 * MIB
"""Of media, ahead of all else, and then to the end of the file: enough to look into a few films, or to play one while
it arrives, and so little that the rest is hardly later."""


class Span(Struct, frozen=True):
    """Where a file lies in the torrent's bytes; pad files have none."""

    file: int
    offset: int
    size_bytes: int
    is_media: bool = False
    """Sound or pictures: what a player needs to begin is in its first part, or in its last."""


class Unit(Struct, frozen=True):
    file: int
    part: int
    """1-based; 0 is a whole small file."""
    start: int
    """In the torrent's bytes."""
    size_bytes: int

    @property
    def end(self) -> int:
        return self.start + self.size_bytes


class Layout(Struct, frozen=True):
    units: Sequence[Unit]
    starts: Sequence[int]
    piece_bytes: int
    pieces: int
    total_bytes: int
    media: Sequence[tuple[int, int]] = ()
    """First and last unit of each file that is played; one and the same of a small one."""

    def pieces_of(self, unit: Unit) -> range:
        if not unit.size_bytes:
            return range(0)
        return range(unit.start // self.piece_bytes, -(-unit.end // self.piece_bytes))

    def units_of(self, piece: int) -> Iterator[int]:
        """Indices of the units that share bytes with a piece."""
        low, high = piece * self.piece_bytes, (piece + 1) * self.piece_bytes
        first = max(0, bisect_right(self.starts, low) - 1)
        for index in range(first, bisect_left(self.starts, high)):
            if self.units[index].size_bytes and self.units[index].end > low:
                yield index


def lay_out(spans: Iterable[Span], piece_bytes: int, pieces: int) -> Layout:
    units: list[Unit] = []
    media: list[tuple[int, int]] = []
    for span in spans:
        first = len(units)
        units.extend(_units_of_file(span))
        if span.is_media:
            media.append((first, len(units) - 1))
    return Layout(
        units=units,
        starts=array("q", (unit.start for unit in units)),
        piece_bytes=piece_bytes,
        pieces=pieces,
        total_bytes=sum(unit.size_bytes for unit in units),
        media=media,
    )


def _units_of_file(span: Span) -> Iterator[Unit]:
    if is_small(span.size_bytes):
        yield Unit(file=span.file, part=0, start=span.offset, size_bytes=span.size_bytes)
        return
    for part in range(1, part_count(span.size_bytes) + 1):
        first, last = part_range(span.size_bytes, part)
        yield Unit(file=span.file, part=part, start=span.offset + first, size_bytes=last - first)


class Is(IntEnum):
    """What a unit is. WAITING: pieces are missing. READY: all are there. TAKEN: being put. STORED: the store has it."""

    WAITING = 0
    READY = 1
    TAKEN = 2
    STORED = 3


class Book:
    """What of one torrent is there, and what is stored. One owner changes it (the driver); it decides nothing.

    All units are known, and what they are; the counts and the line of ready ones are of the wanted alone.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.have = bytearray(layout.pieces)
        self.state = bytearray(len(layout.units))
        self.wanted = bytearray(b"\1" * len(layout.units))
        self.missing = array("l", (len(layout.pieces_of(unit)) for unit in layout.units))
        self.ready: deque[int] = deque()
        self.by_file: dict[int, list[int]] = {}
        for index, unit in enumerate(layout.units):
            self.by_file.setdefault(unit.file, []).append(index)
        self.total_bytes = self.stored_bytes = self.there_bytes = 0
        """Of `there`: units that are stored, or whose piece is verified."""
        self.unstored = self.unready = 0
        self.needed = bytearray(layout.pieces)
        """Pieces of which some wanted unit is not safe yet: stored, and the control plane knows it."""
        self._safe = bytearray(len(layout.units))
        self._gone = bytearray(layout.pieces)
        """Pieces that left the disk, or are about to: the engine would not ask for them again."""
        self._window: Window | None = None
        for index, unit in enumerate(layout.units):
            if not unit.size_bytes:
                self.state[index] = Is.READY
        self.choose(None)

    def choose(self, files: Iterable[int] | None) -> list[int]:
        """Only these files are wanted from now on; None: all. What is being put is put to its end. Says which pieces
        are there and needed no more."""
        if files is None:
            self.wanted = bytearray(b"\1" * len(self.wanted))
        else:
            self.wanted = bytearray(len(self.wanted))
            for file in files:
                for index in self.by_file.get(file, ()):
                    self.wanted[index] = 1
        wanted = [index for index, is_wanted in enumerate(self.wanted) if is_wanted]
        self.ready = deque(index for index in wanted if self.state[index] == Is.READY)
        self.unstored = sum(self.state[index] != Is.STORED for index in wanted)
        self.unready = sum(self.state[index] == Is.WAITING for index in wanted)
        self.total_bytes = sum(self.layout.units[index].size_bytes for index in wanted)
        stored = [index for index in wanted if self.state[index] == Is.STORED]
        self.stored_bytes = sum(self.layout.units[index].size_bytes for index in stored)
        self.there_bytes = self.stored_bytes
        if any(self.have):  # seldom: pieces are looked at one by one
            self.there_bytes += sum(self.there_of(index) for index in wanted if self.state[index] != Is.STORED)
        return self._need()

    def _need(self) -> list[int]:
        before, self.needed = self.needed, bytearray(self.layout.pieces)
        for index, unit in enumerate(self.layout.units):
            if self._is_needed(index):
                for piece in self.layout.pieces_of(unit):
                    self.needed[piece] = 1
        held = map(and_, before, self.have)
        return [piece for piece, was in enumerate(held) if was and not self.needed[piece]]

    def _is_needed(self, index: int) -> bool:
        return not self._safe[index] and bool(self.wanted[index] or self.state[index] == Is.TAKEN)

    @property
    def missing_bytes(self) -> int:
        return self.total_bytes - self.stored_bytes

    def already_stored(self, parts: Iterable[tuple[int, int]], files: Iterable[int]) -> None:
        """Before anything else: what earlier epochs stored is not wanted any more."""
        numbers = set(parts)
        whole = set(files)
        for file, indices in self.by_file.items():
            for index in indices:
                if file in whole or (file, self.layout.units[index].part) in numbers:
                    self.stored(index)
                    self.is_safe(index)

    def index_of(self, file: int, part: int) -> int | None:
        """The unit of a file's part; None if there is none such."""
        indices = self.by_file.get(file, [])
        at = max(0, part - 1)
        if at < len(indices) and self.layout.units[indices[at]].part == part:
            return indices[at]
        return None

    def verified(self, piece: int) -> int:
        """A piece is there; says how many units became ready by it."""
        if self.have[piece]:
            return 0
        self.have[piece] = 1
        if self._window:
            self._window.arrived(piece)
        low, high = piece * self.layout.piece_bytes, (piece + 1) * self.layout.piece_bytes
        became = 0
        for index in self.layout.units_of(piece):
            self.missing[index] -= 1
            if self.state[index] == Is.STORED:
                continue
            if not self.wanted[index]:
                if not self.missing[index]:
                    self.state[index] = Is.READY  # for when it is chosen
                continue
            unit = self.layout.units[index]
            self.there_bytes += min(unit.end, high) - max(unit.start, low)
            if not self.missing[index] and self.state[index] == Is.WAITING:
                self._becomes_ready(index)
                became += 1
        return became

    def take(self, bytes_max: int, units_max: int) -> list[int]:
        """The next units to put: one part, or as many small files as the limits allow."""
        taken: list[int] = []
        size = 0
        while self.ready and len(taken) < units_max:
            index = self.ready[0]
            if self.state[index] != Is.READY:
                self.ready.popleft()
                continue
            unit = self.layout.units[index]
            if taken and (unit.part or size + unit.size_bytes > bytes_max):
                break
            self.ready.popleft()
            self.state[index] = Is.TAKEN
            taken.append(index)
            size += unit.size_bytes
            if unit.part:
                break
        return taken

    def is_putting(self) -> bool:
        return self.state.find(Is.TAKEN) >= 0

    def give_back(self, index: int) -> list[int]:
        """It was taken and could not be put: it is ready again, or else its pieces are needed no more."""
        if self.state[index] != Is.TAKEN:
            return []
        self.state[index] = Is.READY
        if self.wanted[index]:
            self.ready.append(index)
            return []
        return self._needless(index)

    def stored(self, index: int) -> None:
        before = self.state[index]
        if before == Is.STORED:
            return
        unit = self.layout.units[index]
        self.state[index] = Is.STORED
        if not self.wanted[index]:
            return
        if before == Is.WAITING:
            self.unready -= 1
            self.there_bytes += unit.size_bytes - self.there_of(index)
        self.unstored -= 1
        self.stored_bytes += unit.size_bytes

    def forget_file(self, file: int, keep: set[int]) -> None:
        """Its upload is gone from the store: all its parts but those of the new upload must be put again."""
        for index in self.by_file.get(file, []):
            unit = self.layout.units[index]
            if self.state[index] != Is.STORED or unit.part in keep:
                continue
            self.state[index] = Is.WAITING if self.missing[index] else Is.READY
            if not self.wanted[index]:
                continue
            self.unstored += 1
            self.stored_bytes -= unit.size_bytes
            if self.missing[index]:
                self.unready += 1
                self.there_bytes -= unit.size_bytes - self.there_of(index)
            else:
                self.ready.append(index)

    def file_is_stored(self, file: int) -> bool:
        return all(self.state[index] == Is.STORED for index in self.by_file.get(file, ()))

    def is_safe(self, index: int) -> list[int]:
        """The control plane has acknowledged a stored unit; the pieces that nobody here needs any more."""
        if self._safe[index]:
            return []
        self._safe[index] = 1
        return self._needless(index)

    def _needless(self, index: int) -> list[int]:
        done = [
            piece
            for piece in self.layout.pieces_of(self.layout.units[index])
            if self.needed[piece] and not any(map(self._is_needed, self.layout.units_of(piece)))
        ]
        for piece in done:
            self.needed[piece] = 0
        return done

    def leaves(self, pieces: Iterable[int]) -> None:
        for piece in pieces:
            self._gone[piece] = 1

    def wants_back(self) -> bool:
        """Something was chosen that shares a piece with what has left the disk."""
        return any(map(and_, self.needed, self._gone))

    def left(self, pieces: Iterable[int]) -> None:
        """The disk: their room is free."""
        if self._window:
            for piece in pieces:
                self._window.left(piece)

    @property
    def is_shut(self) -> bool:
        """A bounded window waits for its room, not for the swarm."""
        return self._window is not None and self._window.is_shut

    @property
    def held_bytes(self) -> int:
        """What a bounded window has on disk or has asked for."""
        return self._window.held * self.layout.piece_bytes if self._window else 0

    def priorities(self, *, bounded: bool = False) -> list[int]:
        """For every piece, how much it is wanted; opens the window. For when a torrent is added, or more is wanted.
        `bounded`: nothing is, until `slide` is given room."""
        wanted = bytearray(self.layout.pieces)
        for index, unit in enumerate(self.layout.units):
            if self._lacks(index):
                for piece in self.layout.pieces_of(unit):
                    wanted[piece] = 1
        early = () if bounded else tuple(dict.fromkeys(self._early()))
        there = bytearray(map(and_, self.have, self.needed)) if bounded else None
        self._window = Window(wanted, self.have, self.layout.piece_bytes, there, early)
        asked = [0 if bounded else LATER * want for want in wanted]
        for piece, priority in self.slide().items():
            asked[piece] = priority
        return asked

    def _lacks(self, index: int) -> bool:
        return bool(self.wanted[index]) and self.state[index] == Is.WAITING

    def _early(self) -> Iterator[int]:
        """Pieces of the ends of media, part by part. Not for a bounded window: what such an end shares with its
        neighbour would take up room until the horizon is there."""
        room = EARLY_BYTES
        for ends in self.layout.media:
            if room <= 0:
                return
            for index in dict.fromkeys(ends):
                if self._lacks(index):
                    unit = self.layout.units[index]
                    room -= unit.size_bytes
                    yield from self.layout.pieces_of(unit)

    def slide(self, room_bytes: int = 0) -> dict[int, int]:
        """Moves the window on over pieces that arrived, and a bounded one's horizon into its room; the pieces whose
        priority changes."""
        return self._window.slide(room_bytes // self.layout.piece_bytes) if self._window else {}

    def _becomes_ready(self, index: int) -> None:
        self.state[index] = Is.READY
        self.ready.append(index)
        self.unready -= 1

    def there_of(self, index: int) -> int:
        """Bytes of one unit whose pieces are verified."""
        unit, piece_bytes = self.layout.units[index], self.layout.piece_bytes
        return sum(
            min(unit.end, (piece + 1) * piece_bytes) - max(unit.start, piece * piece_bytes)
            for piece in self.layout.pieces_of(unit)
            if self.have[piece]
        )
