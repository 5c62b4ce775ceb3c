"""An answer that comes no sooner than it always does: what was found on the way does not show in its time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from control.plane import Plane

WRITE_S = 0.3
"""A lookup, two transactions and a mail take a tenth of it."""
HASH_S = 0.6
"""The same with a password to be hashed, and one before it in line."""


@asynccontextmanager
async def evenly(plane: Plane, takes_s: float) -> AsyncIterator[None]:
    """Refusals wait as well."""
    loop = asyncio.get_running_loop()
    until = loop.time() + plane.settings.wait(takes_s)
    try:
        yield
    finally:
        await asyncio.sleep(until - loop.time())
