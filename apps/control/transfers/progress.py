"""Progress on its way to whoever watches: core NATS, no id, no outbox. What nobody hears is no loss."""

import datetime as dt
from collections.abc import Iterable

import msgspec

from bus.errors import BusDown
from control.plane import Plane
from control.transfers.record import Told
from wire.messages import Progress
from wire.subjects import progress


async def tell(plane: Plane, told: Iterable[Told], now: dt.datetime) -> None:
    try:
        for each in told:
            body = msgspec.json.encode(Progress(each.job, each.rates, now))
            await plane.app_bus.publish(progress(each.org, each.job), body)
    except BusDown:
        return
