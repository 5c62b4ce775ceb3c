"""Loop `feed`: numbers what was written into the feed, and writes down a call for each webhook that wants to be told.

Number and calls become visible by one commit: who is to be told of something is so for good, whatever dies now.
"""

from datetime import datetime

from prometheus_client import Counter

from control.feed import service as feed
from control.loops import driver
from control.plane import Plane
from control.webhooks import calls

BATCH = 500
"""Some 30 ms; what is left waits for the next step, at once."""

_EVENTS = Counter("control_feed_events_total", "Events that were numbered and can be read.")


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "feed"):
            return False
        rows = await feed.number(tx, BATCH)
        told = await calls.write(tx, rows, now) if rows else 0
    _EVENTS.inc(len(rows))
    if told:
        await plane.nudge("calls")
    return len(rows) == BATCH
