"""Room on the disk: waited for when others have it, and refused where it can never be."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.budget import Kept
from agent.disk import Disk
from agent.parts import Book
from agent.room import DiskRoom, NoRoom
from tests.support.until import until
from tests.unit.agent.test_parts import layout_of
from wire.ids import TransferId, new_id
from wire.units import MIB

BUDGET = 30 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    yield disk
    disk.close()


def room_on(disk: Disk) -> DiskRoom:
    return DiskRoom(disk.budget(BUDGET), disk, dict)


def some_id() -> TransferId:
    return TransferId(new_id())


async def test_who_finds_the_disk_taken_waits_until_it_is_swept(disk: Disk) -> None:
    room, first = room_on(disk), some_id()
    assert await room.admit(first, Book(layout_of([25 * MIB], MIB))) is Kept.PLAIN
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        second = group.create_task(room.admit(some_id(), Book(layout_of([20 * MIB], MIB))))
        number = room.discard(first, 0)
        room.leave(first)  # something changed, and there is no room yet
        await asyncio.sleep(0.1)
        assert not second.done()
        await room.sweep(number)
    assert second.result() is Kept.PLAIN


async def test_who_waits_too_long_may_find_room_elsewhere(disk: Disk) -> None:
    room, late = room_on(disk), some_id()
    await room.admit(some_id(), Book(layout_of([25 * MIB], MIB)))
    with pytest.raises(NoRoom, match="other transfers"):
        await room.admit(late, Book(layout_of([20 * MIB], MIB)), wait_s=0.01)
    assert not room.refuses(late)


async def test_what_fits_through_no_window_is_refused_and_remembered(disk: Disk) -> None:
    room, large = room_on(disk), some_id()
    with pytest.raises(NoRoom, match="needs"):
        await room.admit(large, Book(layout_of([100 * MIB], 16 * MIB)))
    assert room.refuses(large)


async def test_what_is_stored_already_needs_no_room(disk: Disk) -> None:
    room = room_on(disk)
    book = Book(layout_of([64 * MIB], MIB))
    book.already_stored([(0, part) for part in range(1, 7)], [])
    assert await room.admit(some_id(), book) is Kept.PLAIN


async def test_the_disk_is_short_when_somebody_waits_or_nobody_new_may_come(disk: Disk) -> None:
    room, first = DiskRoom(disk.budget(64 * MIB), disk, dict), some_id()
    assert not room.is_short()
    await room.admit(first, Book(layout_of([30 * MIB], MIB)))
    assert not room.is_short()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waits = group.create_task(room.admit(some_id(), Book(layout_of([60 * MIB], 16 * MIB))))
        await until(room.is_short)
        room.leave(first)
    assert waits.result() is Kept.PLAIN
    assert room.is_short()
