"""What the agent asks of a torrent engine, and what an engine says: one protocol and its frozen events."""

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from wire.ids import TransferId
from wire.messages import Pace

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk, a quota on it, or a limit of this process."""


class Steering(Struct, frozen=True):
    """How a torrent is to be brought; limits are bytes a second, 0 is none."""

    sequential: bool = False
    down_max: int = 0
    up_max: int = 0


class Add(Struct, frozen=True):
    """A torrent to bring. Without `info` only its metadata is fetched; with it, `priorities` says which pieces."""

    transfer: TransferId
    folder: Path
    """Files lie here, named by their index: names from the torrent never touch the disk."""
    v1: str | None
    v2: str | None
    trackers: Sequence[Sequence[str]]
    web_seeds: Sequence[str]
    peers: Sequence[tuple[str, int]]
    steering: Steering = Steering()
    info: bytes | None = None
    layers: bytes | None = None
    """Its `piece layers`, of version 2; without them peers are asked for them."""
    priorities: Sequence[int] = ()
    sizes: Sequence[tuple[int, int]] = ()
    """(index, size) of every file that is no padding and no symlink, as `wire` reads them: they must be what the engine
    reads."""
    url: str | None = None
    """Not from a swarm: `info` is what `wire.remote` says of the file there, and without it that is found out first."""
    gives: bool = True
    """Peers may be given what is there. Not of a windowed transfer: its pieces leave the disk, and who serves one that
    is gone is banned."""


class MetadataArrived(Struct, frozen=True):
    transfer: TransferId
    info: bytes
    """The raw info dict, whose hash the engine has checked."""


class Checked(Struct, frozen=True):
    """What was on disk has been looked at; later ones repeat it when single events were lost."""

    transfer: TransferId
    have: tuple[int, ...]


class PieceVerified(Struct, frozen=True):
    transfer: TransferId
    piece: int


class Figures(Struct, frozen=True):
    transfer: TransferId
    down_rate: int
    up_rate: int
    peers: int
    seeds: int
    fetched_bytes: int = 0
    """From peers since it was added; all of it, also what turned out to be wrong."""
    given_bytes: int = 0
    wrong_bytes: int = 0
    """Of pieces whose hash was wrong."""
    availability: float | None = None
    """How often the whole torrent is there among the peers; None: not asked this time."""


class TrackerSaid(Struct, frozen=True):
    """A tracker's last word. `ok`: it gave peers. `refused`: it answered no. `away`: it could not be asked."""

    transfer: TransferId
    url: str
    kind: Literal["ok", "refused", "away"]
    text: str
    """Safe to show."""
    peers: int = 0
    """Addresses that it named, the most in one of its answers: it is asked over IPv4 and IPv6, and for either version
    of a torrent. Our own may be among them."""


class Broke(Struct, frozen=True):
    """The engine cannot go on with this torrent."""

    transfer: TransferId
    code: str
    """One of `wire.failures`."""
    detail: str


EngineEvent = MetadataArrived | Checked | PieceVerified | Figures | TrackerSaid | Broke


class MetadataMismatch(Exception):
    """The engine sees other files in an info dict than `wire` does."""


class NotThere(Exception):
    """A piece cannot be read: it is not verified, its torrent is gone, or the disk failed."""


def disk_code(number: int | None) -> str:
    """What a transfer fails with when something of it cannot be written, by `errno`."""
    return "disk_full" if number in DISK_FULL else "disk_error"


class Engine(Protocol):
    """Torrents in sessions. All calls and all events happen in the loop's thread; no call waits for the network."""

    def listen(self, heard: Callable[[EngineEvent], None]) -> None: ...

    def allow(self, ranges: Sequence[str]) -> None:
        """Refused address space (CIDR) that may be talked to."""

    def add(self, add: Add) -> None: ...

    def remove(self, transfer: TransferId) -> None: ...

    def pause(self, transfer: TransferId) -> None:
        """Connections end, and nothing is fetched; what is there can still be read."""

    def resume(self, transfer: TransferId) -> None: ...

    def steer(self, transfer: TransferId, steering: Steering) -> None: ...

    def limit(self, pace: Pace) -> None:
        """Of all torrents together; they share it fairly."""

    def announce(self, transfer: TransferId, *, at_once: bool) -> None:
        """To all trackers; not `at_once`: to each as soon as it lets us."""

    def ask(self, transfer: TransferId, pieces: Sequence[tuple[int, int]]) -> None:
        """Changes priorities of pieces: 0 not wanted, 7 first."""

    def known_peers(self, transfer: TransferId) -> Sequence[tuple[str, int]]:
        """Peers that are worth connecting to again."""

    def tick(self, *, availability: bool) -> None:
        """Asks for `Figures` of every torrent that changed. Availability costs a look at every piece."""

    async def read(self, transfer: TransferId, piece: int) -> bytes: ...

    async def aclose(self) -> None: ...
