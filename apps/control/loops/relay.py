"""Loop `relay`: what transactions said goes out, in the order of their ids, and is deleted once the broker has it.

One relay at a time: the lock lives in the transaction that reads and deletes, so here alone a bus call stands inside
one, within PUBLISH_S. What was said and not deleted is said again, under the same id, and the broker drops it.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from prometheus_client import Counter, Gauge
from sqlalchemy import delete, func, select

from bus.connect import Bus
from bus.errors import BusDown, BusRefused, NoStream
from bus.jetstream import publish_stored
from control.loops import driver
from control.outbox import Message
from control.plane import Plane
from telemetry import logs
from telemetry.correlation import BUS_HEADER
from wire.subjects import WORK_SUBJECTS

log = logs.get(__name__)

BATCH = 500
ABREAST = 64
"""Subjects said at once; within one, each waits for the one before."""
PUBLISH_S = 10.0
"""Well within PostgreSQL's patience for an idle transaction."""

_RELAYED = Counter("control_outbox_relayed_total", "Messages that left the outbox.")
_WAITING = Gauge("control_outbox_messages", "Messages that wait in the outbox.")
_WORK = WORK_SUBJECTS.removesuffix("*")


class _Sent(Struct):
    ids: list[int]
    lost_stream: bool = False
    bus_down: bool = False


async def step(plane: Plane, now: datetime) -> bool:
    sent = _Sent([])
    async with plane.db.working() as tx:
        if not await driver.alone(tx, "relay"):
            return False
        rows = (await tx.scalars(select(Message).order_by(Message.id).limit(BATCH))).all()
        if rows:
            await _publish(plane, rows, sent)
            await tx.execute(delete(Message).where(Message.id.in_(sent.ids)))
        left = await tx.scalar(select(func.count()).select_from(Message)) if len(rows) == BATCH else 0
    _RELAYED.inc(len(sent.ids))
    _WAITING.set(max(left or 0, len(rows) - len(sent.ids)))
    if sent.lost_stream:
        log.warning("relay.no_stream")
        await plane.nudge("ensure")  # which nudges us in turn
    elif sent.bus_down:
        log.info("relay.bus_down", waiting=len(rows) - len(sent.ids))
    return len(sent.ids) == BATCH


async def _publish(plane: Plane, rows: Sequence[Message], sent: _Sent) -> None:
    by_subject: dict[str, list[Message]] = {}
    for row in rows:
        by_subject.setdefault(row.subject, []).append(row)
    abreast = asyncio.Semaphore(ABREAST)
    try:
        async with asyncio.timeout(PUBLISH_S), asyncio.TaskGroup() as group:
            for subject, messages in by_subject.items():
                bus = plane.fleet_bus if subject.startswith(_WORK) else plane.app_bus
                group.create_task(_say(bus, messages, abreast, sent))
    except TimeoutError:
        sent.bus_down = True


async def _say(bus: Bus, messages: Sequence[Message], abreast: asyncio.Semaphore, sent: _Sent) -> None:
    """Of one subject, in order; the first that does not get through holds back the rest."""
    async with abreast:
        for message in messages:
            headers = {BUS_HEADER: message.correlation_id} if message.correlation_id else {}
            try:
                await publish_stored(bus, message.subject, message.payload, msg_id=message.message_id, headers=headers)
            except NoStream:
                sent.lost_stream = True
                return
            except BusDown:
                sent.bus_down = True
                return
            except BusRefused as refused:
                log.error("relay.refused", subject=message.subject, reason=str(refused))
                return
            sent.ids.append(message.id)
