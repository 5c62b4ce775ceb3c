"""Holes: what is needed no more leaves the disk, blocks across seams included, and nothing else does."""

import os
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest

from agent.holes import Holes, Run, can_punch, runs_of
from wire.bencode import Encodable, encode
from wire.metainfo import Info, parse_info
from wire.units import KIB, MIB

PIECE = 100 * KIB
"""No multiple of a block's size together with the first file's."""


def info_of(sizes: list[int]) -> Info:
    files: list[Encodable] = [{b"length": size, b"path": [str(index).encode()]} for index, size in enumerate(sizes)]
    pieces = bytes(20 * -(-sum(sizes) // PIECE))
    return parse_info(encode({b"name": b"n", b"piece length": PIECE, b"pieces": pieces, b"files": files}))


def written(folder: Path, sizes: list[int]) -> bytes:
    """The torrent's bytes, as the engine would leave them."""
    whole = b""
    for index, size in enumerate(sizes):
        body = Random(index).randbytes(size)
        (folder / str(index)).write_bytes(body)
        whole += body
    return whole


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir(), key=lambda path: int(path.name)))


def blocks(folder: Path) -> int:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def needless(pieces: Iterable[int], needed: bytearray) -> list[Run]:
    for piece in pieces:
        needed[piece] = 0
    return runs_of(pieces, needed, PIECE)


@pytest.mark.parametrize("sizes", [[3 * MIB], [70_001, 2 * MIB, 5, 33_333, MIB], [1] * 400 + [MIB]])
def test_pieces_leave_one_by_one_until_nothing_is_on_the_disk(tmp_path: Path, sizes: list[int]) -> None:
    whole, holes = written(tmp_path, sizes), Holes(tmp_path, info_of(sizes))
    count = -(-len(whole) // PIECE)
    needed, kept = bytearray(b"\1" * count), bytearray(whole)
    order = list(range(count))
    Random(1).shuffle(order)
    for piece in order:
        holes.punch(needless([piece], needed))
        kept[piece * PIECE : (piece + 1) * PIECE] = bytes(len(kept[piece * PIECE : (piece + 1) * PIECE]))
        assert on_disk(tmp_path) == kept
    assert blocks(tmp_path) == 0


def test_what_was_written_late_goes_with_the_next_piece(tmp_path: Path) -> None:
    written(tmp_path, [MIB])
    holes, needed = Holes(tmp_path, info_of([MIB])), bytearray(b"\1" * 11)
    holes.punch(needless([0, 1], needed))
    with (tmp_path / "0").open("r+b") as file:
        file.write(b"late")
    holes.punch(needless([2], needed))
    assert on_disk(tmp_path)[: 3 * PIECE] == bytes(3 * PIECE)


def test_files_that_were_never_written_are_no_trouble(tmp_path: Path) -> None:
    Holes(tmp_path, info_of([MIB])).punch([Run(0, MIB, 0, MIB)])
    assert list(tmp_path.iterdir()) == []


def test_neighbours_make_one_run_as_far_as_nothing_beside_it_is_needed() -> None:
    assert runs_of([3, 2, 7], bytearray([1, 0, 0, 0, 1, 1, 0, 0]), 10) == [Run(20, 40, 10, 40), Run(70, 80, 60, 80)]


def test_a_filesystem_without_holes_is_found_out(tmp_path: Path) -> None:
    assert can_punch(tmp_path)
    assert not can_punch(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
