"""Waiting for a condition, with a limit, instead of sleeping."""

import asyncio
from collections.abc import Callable

LIMIT_S = 15.0


async def until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.02)
