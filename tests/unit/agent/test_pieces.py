"""Pieces that units share are read once; what is kept of them is bounded, and forgotten with its transfer."""

import asyncio
from typing import cast

import pytest

from agent.engine.api import Engine, NotThere
from agent.pieces import SHARED_BYTES, Pieces
from wire.ids import TransferId, new_id
from wire.units import MIB

ONE, OTHER = TransferId(new_id()), TransferId(new_id())


class Reads:
    """An engine, as far as reading goes."""

    def __init__(self, piece_bytes: int = 4) -> None:
        self.asked: list[tuple[TransferId, int]] = []
        self.broken = False
        self._piece_bytes = piece_bytes

    async def read(self, transfer: TransferId, piece: int) -> bytes:
        self.asked.append((transfer, piece))
        await asyncio.sleep(0)
        if self.broken:
            raise NotThere("gone")
        return bytes([piece]) * self._piece_bytes


def pieces_of(reads: Reads) -> Pieces:
    return Pieces(cast(Engine, reads))


async def test_a_shared_piece_is_read_once_and_another_one_each_time() -> None:
    reads = Reads()
    pieces = pieces_of(reads)
    for _ in range(2):
        assert await pieces.read(ONE, 7, is_shared=True) == b"\7\7\7\7"
        assert await pieces.read(ONE, 8, is_shared=False) == b"\x08\x08\x08\x08"
        assert await pieces.read(OTHER, 7, is_shared=True) == b"\7\7\7\7"
    assert reads.asked == [(ONE, 7), (ONE, 8), (OTHER, 7), (ONE, 8)]


async def test_a_piece_that_could_not_be_read_is_asked_for_again() -> None:
    reads = Reads()
    reads.broken = True
    pieces = pieces_of(reads)
    with pytest.raises(NotThere):
        await pieces.read(ONE, 1, is_shared=True)
    reads.broken = False
    assert await pieces.read(ONE, 1, is_shared=True)


async def test_what_is_kept_is_bounded_and_the_least_used_goes_first() -> None:
    reads = Reads(piece_bytes=8 * MIB)
    pieces, last = pieces_of(reads), SHARED_BYTES // (8 * MIB)
    for piece in range(last):
        await pieces.read(ONE, piece, is_shared=True)
    await pieces.read(ONE, 0, is_shared=True)
    async with asyncio.TaskGroup() as both:
        for _ in range(2):
            both.create_task(pieces.read(ONE, last, is_shared=True))
    reads.asked.clear()
    for piece in (0, 2, last, 1):
        await pieces.read(ONE, piece, is_shared=True)
    assert reads.asked == [(ONE, 1)]


async def test_a_forgotten_transfers_pieces_are_read_anew() -> None:
    reads = Reads()
    pieces = pieces_of(reads)
    for transfer in (ONE, OTHER):
        await pieces.read(transfer, 1, is_shared=True)
    pieces.forget(ONE)
    reads.asked.clear()
    for transfer in (ONE, OTHER):
        await pieces.read(transfer, 1, is_shared=True)
    assert reads.asked == [(ONE, 1)]
