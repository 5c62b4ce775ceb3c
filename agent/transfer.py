"""One transfer as this agent carries it: its book, its journal, what is not yet acknowledged, the work under way."""

import asyncio
from collections.abc import Iterator

from msgspec import Struct

from agent.engine.api import Steering
from agent.eta import Eta, step
from agent.holes import Holes
from agent.journal import Held, Journal, Stored
from agent.parts import Book
from agent.running import Looked
from wire.messages import FileStored, PartStored, Report, Spec
from wire.metainfo import Listing
from wire.shares import tightest

UNACKED_MANY = 250
"""Half a report: small files come faster than syncs, so this many ask for one at once."""
UNACKED_SHARE = 8
"""So does this part of a window: only what is acknowledged leaves the disk."""


class Unacked:
    """Stored, and not yet acknowledged by the control plane; in the order in which it was stored."""

    def __init__(self) -> None:
        self.parts: dict[tuple[int, int], PartStored] = {}
        self.files: dict[int, FileStored] = {}

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts.values()) + sum(f.size_bytes for f in self.files.values())

    def __len__(self) -> int:
        return len(self.parts) + len(self.files)

    def add(self, stored: PartStored | FileStored) -> None:
        if isinstance(stored, PartStored):
            self.parts[(stored.file, stored.part)] = stored
        else:
            self.files[stored.file] = stored

    def acknowledged(self, report: Report) -> None:
        """Only what the report carried: a part put again meanwhile has another ETag."""
        for part in report.parts:
            if self.parts.get((part.file, part.part)) == part:
                del self.parts[(part.file, part.part)]
        for file in report.files:
            if self.files.get(file.file) == file:
                del self.files[file.file]

    def forget_parts(self, file: int, keep: set[int]) -> None:
        for key in [key for key in self.parts if key[0] == file and key[1] not in keep]:
            del self.parts[key]


class Upload(Struct, frozen=True):
    """The multipart upload that a file's parts go to."""

    name: str
    turn: int
    """When it was named: of two names, the one that was granted later is the open one."""


class Transfer:
    def __init__(self, spec: Spec, journal: Journal) -> None:
        self.spec = spec
        self.journal = journal
        self.raw_info: bytes | None = None
        self.raw_layers: bytes | None = None
        self.info: Listing | None = None
        self.book: Book | None = None
        self.holes: Holes | None = None
        """Of a windowed transfer: what is stored leaves the disk."""
        self.unacked = Unacked()
        self.tasks: set[asyncio.Task[None]] = set()
        self.store_rate = 0
        self.eta: Eta | None = None
        self.let_go_at: float | None = None
        """It cannot stay here: parts on their way to the store are waited for until then."""
        self.unreadable = 0
        """Reads in a row that gave nothing."""
        self._rated: tuple[float, int] | None = None
        self._uploads: dict[int, Upload] = {}
        self._by_upload: dict[str, set[int]] = {}

    @property
    def steering(self) -> Steering:
        """What its people want, within what their organisation's limit leaves to it."""
        steer, pace = self.spec.steer, self.spec.pace
        down_max, up_max = tightest(steer.down_max, pace.down_max), tightest(steer.up_max, pace.up_max)
        return Steering(steer.sequential, down_max, up_max)

    def gives_way(self, *, short: bool) -> bool:
        """Of what is stored and only given to peers: whether others want its disk, or there is nothing to be given."""
        return short or self.holes is not None

    def held(self) -> None:
        if self.journal.epoch != self.spec.epoch:
            self.journal.append([Held(self.spec.transfer, self.spec.epoch)])

    def remembered(self) -> Iterator[Stored]:
        """Parts that an earlier life stored and the control plane does not know of; their upload may be gone."""
        known = {(part.file, part.part) for part in self.spec.parts}
        whole = set(self.spec.files)
        for key, stored in self.journal.stored.items():
            if key not in known and key[0] not in whole:
                yield stored

    def confirmed(self, index: int, stored: Stored) -> None:
        """An earlier life stored it, and its upload is still the open one."""
        assert self.book is not None
        self._belongs(stored.part, Upload(stored.upload, turn=0))
        self.book.stored(index)
        self.unacked.add(stored.part)

    def is_replaced(self, file: int, upload: Upload) -> bool:
        """What was put into it is lost."""
        known = self._uploads.get(file)
        return known is not None and known.name != upload.name and known.turn > upload.turn

    def note(self, index: int, upload: Upload, stored: PartStored | FileStored) -> bool:
        """The store has acknowledged a unit. True: its upload is a new one, and what was in the old one is lost."""
        assert self.book is not None
        lost = False
        if isinstance(stored, PartStored):
            lost = self._belongs(stored, upload)
            self.journal.append([Stored(upload.name, stored)])
        self.book.stored(index)
        self.unacked.add(stored)
        return lost

    def _belongs(self, stored: PartStored, upload: Upload) -> bool:
        parts = self._by_upload.setdefault(upload.name, set())
        parts.add(stored.part)
        before = self._uploads.get(stored.file, upload)
        self._uploads[stored.file] = Upload(upload.name, max(upload.turn, before.turn))
        if before.name == upload.name:
            return False
        assert self.book is not None
        self.book.forget_file(stored.file, keep=parts)
        self.unacked.forget_parts(stored.file, keep=parts)
        return True

    def sync_is_due(self) -> bool:
        """Too much waits for the usual one."""
        if self.holes is not None and self.book is not None:
            return self.unacked.size_bytes * UNACKED_SHARE >= self.book.held_bytes
        return len(self.unacked) == UNACKED_MANY

    def acknowledged(self, report: Report) -> list[int]:
        """The control plane has recorded a report; the pieces of a window that nobody here needs any more."""
        self.unacked.acknowledged(report)
        if self.book is None or self.holes is None:
            return []  # nothing leaves the disk
        units = [(part.file, part.part) for part in report.parts] + [(file.file, 0) for file in report.files]
        indices = [self.book.index_of(file, part) for file, part in units]
        return [piece for index in indices if index is not None for piece in self.book.is_safe(index)]

    def looked(self, now_s: float, *, store_word: str, heard: bool, paused: bool) -> Looked:
        """How things stand, once a second."""
        book = self.book
        there, stored = (book.there_bytes, book.stored_bytes) if book else (0, 0)
        if paused:
            self.eta = None
        elif book is not None:
            before = self.eta or Eta(now_s, there, stored)
            self.eta = step(before, now_s, there, stored, book.total_bytes)
        return Looked(
            self.spec.transfer,
            now_s=now_s,
            there_bytes=there,
            stored_bytes=stored,
            putting=book is not None and book.is_putting(),
            shut=book is not None and book.is_shut,
            store_word=store_word,
            heard=heard,
        )

    def counts_anew(self) -> None:
        """Other files are wanted: what was measured says nothing of them."""
        self.eta = self._rated = None

    @property
    def eta_s(self) -> int | None:
        return int(self.eta.left_s) if self.eta and self.eta.left_s is not None else None

    def rate(self, now_s: float) -> int:
        """Bytes a second into the store, over about the last seconds."""
        stored = self.book.stored_bytes if self.book else 0
        if self._rated is None or now_s - self._rated[0] > 1:
            if self._rated is not None:
                fresh = max(0, stored - self._rated[1]) / (now_s - self._rated[0])
                self.store_rate = int(fresh if not self.store_rate else (fresh + self.store_rate) / 2)
            self._rated = (now_s, stored)
        return self.store_rate
