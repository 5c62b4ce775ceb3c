"""Holes: bytes that are in the store leave the disk, without the files that they lay in becoming any shorter.

A run of bytes is punched as far as nothing beside it is needed either: the kernel frees whole blocks only, so what
lies across the seam of two runs goes with the second of them; and so does a block that libtorrent wrote late.
"""

import ctypes
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from wire.filelist import FileKind
from wire.metainfo import Listing

KEEP_SIZE, PUNCH_HOLE = 1, 2
"""Of fallocate(2)."""
BLOCK_BYTES = 65_536
"""No common filesystem has larger blocks: punched beyond a file's end, so that its last block goes too."""

_libc = ctypes.CDLL(None, use_errno=True)


class Run(Struct, frozen=True):
    """Bytes of a torrent that have just become needless, and how far those around them are needless too."""

    first: int
    last: int
    low: int
    high: int


class Holes:
    """Of one torrent's files, named by their index as the engine does."""

    def __init__(self, folder: Path, info: Listing) -> None:
        self._folder = folder
        self._files = [file for file in info.files if file.kind is FileKind.FILE and file.size_bytes]
        self._offsets = [file.offset for file in self._files]

    def punch(self, runs: Iterable[Run]) -> None:
        """For a thread. Raises OSError."""
        for run in runs:
            for index, begins, ends in self._parts(run):
                with suppress(FileNotFoundError):  # nothing of it was ever written, or all is thrown away already
                    fd = os.open(self._folder / str(index), os.O_WRONLY | os.O_CLOEXEC)
                    try:
                        punch(fd, begins, ends - begins)
                    finally:
                        os.close(fd)

    def _parts(self, run: Run) -> Iterator[tuple[int, int, int]]:
        """Only files that have fresh bytes, however many have been emptied before."""
        at = max(0, bisect_right(self._offsets, run.first) - 1)
        for file in self._files[at : bisect_left(self._offsets, run.last)]:
            ends_at = file.offset + file.size_bytes
            if ends_at > run.first:
                beyond = BLOCK_BYTES if ends_at <= run.high else 0
                yield file.index, max(run.low - file.offset, 0), min(run.high, ends_at) - file.offset + beyond


def punch(fd: int, offset: int, length: int) -> None:
    fallocate = _libc.fallocate
    done = fallocate(fd, KEEP_SIZE | PUNCH_HOLE, ctypes.c_int64(offset), ctypes.c_int64(length))
    if done != 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))


def can_punch(folder: Path) -> bool:
    """Whether the filesystem there has holes; some network and foreign ones do not."""
    probe = folder / "probe"
    try:
        with probe.open("wb") as file:
            file.write(bytes(BLOCK_BYTES))
            file.flush()
            punch(file.fileno(), 0, BLOCK_BYTES)
    except (OSError, AttributeError):  # AttributeError: a libc without fallocate
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def runs_of(pieces: Iterable[int], needed: bytearray, piece_bytes: int) -> list[Run]:
    """Of pieces that have just become needless; neighbours among them make one run."""
    runs: list[Run] = []
    for piece in sorted(pieces):
        if runs and runs[-1].last == piece * piece_bytes:
            runs[-1] = replace(runs[-1], last=(piece + 1) * piece_bytes)
            continue
        after = needed.find(1, piece)
        low, high = needed.rfind(1, 0, piece) + 1, after if after >= 0 else len(needed)
        runs.append(Run(piece * piece_bytes, (piece + 1) * piece_bytes, low * piece_bytes, high * piece_bytes))
    return runs
