"""Progress on its way to whoever watches: core NATS, no id, no outbox. What nobody hears is no loss.

    light:  every report ──► progress.<org>.<job> ──► live streams
    heavy:  somebody looks closely ──► ask.<agent> ──► its next report ──► detail.<org>.<job> ──► whoever looks
Neither is written down: whoever looks after a restart asks again, and the agent is the one who knows.
"""

import asyncio
import datetime as dt
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from bus.errors import BusDown
from bus.message import Message
from control.plane import Plane
from control.transfers.record import Told
from wire import subjects
from wire.events import Picture, Progress
from wire.ids import AgentId, JobId, OrgId, TransferId
from wire.messages import Ask

ANSWERED_S = 2.0
"""An agent answers with its next sync, at once: longer and it is away, or has it no more."""


async def tell(plane: Plane, told: Iterable[Told], now: dt.datetime) -> None:
    with suppress(BusDown):
        for each in told:
            body = msgspec.json.encode(Progress(each.job, each.rates, now))
            await plane.app_bus.publish(subjects.progress(each.org, each.job), body)
            if each.detail is not None:
                picture = msgspec.json.encode(Picture(each.rates, each.detail, now))
                await plane.app_bus.publish(subjects.detail(each.org, each.job), picture)


async def ask(plane: Plane, org: OrgId, job: JobId, transfer: TransferId, agent: AgentId) -> Picture | None:
    """What the agent says now; None if it says nothing soon."""
    answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def hear(message: Message) -> None:
        if not answer.done():
            answer.set_result(message.data)

    if not (plane.app_bus.connected and plane.fleet_bus.connected):
        return None
    heard = await plane.app_bus.subscribe(subjects.detail(org, job), hear)
    try:
        async with asyncio.timeout(ANSWERED_S):
            await plane.fleet_bus.publish(subjects.ask_agent(agent), msgspec.json.encode(Ask(transfer)))
            return msgspec.json.decode(await answer, type=Picture)
    except (TimeoutError, BusDown):
        return None
    finally:
        await plane.app_bus.unsubscribe(heard)
