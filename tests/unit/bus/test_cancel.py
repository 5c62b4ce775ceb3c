"""A cancellation is heeded even where a library forgets it."""

import asyncio

import pytest

from bus.link import heeding_cancellation


async def test_a_cancellation_that_a_library_swallows_is_raised_again() -> None:
    went_on = False

    async def swallows() -> None:
        nonlocal went_on
        with heeding_cancellation():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ConnectionResetError from None
        went_on = True

    async with asyncio.TaskGroup() as group:
        task = group.create_task(swallows())
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert not went_on


async def test_a_task_already_being_cancelled_can_still_clean_up() -> None:
    said: list[str] = []

    async def cleans_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with heeding_cancellation():
                said.append("goodbye")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(cleans_up())
        await asyncio.sleep(0)
        task.cancel()
    assert said == ["goodbye"]
    with pytest.raises(asyncio.CancelledError):
        task.result()
