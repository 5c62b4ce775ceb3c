"""When an agent asks for more work: while it has room, and again as soon as something has gone."""

import asyncio

from agent.claims import Room


async def test_who_is_full_asks_again_when_something_has_gone() -> None:
    held = 2
    room = Room(2, lambda: held)
    assert room.load() == 1.0
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(room.wait())
        await asyncio.sleep(0)
        room.changed.set()  # something changed, and there is no room yet
        await asyncio.sleep(0)
        assert not waiting.done()
        held = 1
        room.changed.set()
    assert room.load() == 0.5


async def test_who_is_cordoned_asks_for_nothing_until_it_is_not() -> None:
    wanted = False
    room = Room(2, lambda: 0, lambda: wanted)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(room.wait())
        room.changed.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        wanted = True
        room.changed.set()


async def test_who_has_room_does_not_wait() -> None:
    async with asyncio.timeout(5):
        await Room(1, lambda: 0).wait()


async def test_who_has_no_disk_left_does_not_ask_and_says_how_full_it_is() -> None:
    full = True
    room = Room(10, lambda: 1, lambda: not full, lambda: 0.9)
    assert room.load() == 0.9
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(room.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        full = False
        room.changed.set()
