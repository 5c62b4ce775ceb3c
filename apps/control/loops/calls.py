"""Loop `calls`: what webhooks are to be told goes to them, or is tried again, or given up.

A step lasts while anything is under way, so that a receiver that lets us wait holds nobody else up.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from prometheus_client import Counter

from control.flags import service as flags
from control.flags.service import Flag
from control.outward import trusted
from control.plane import Plane
from control.webhooks import calls, sending, signing
from control.webhooks.calls import Due
from control.webhooks.model import CallState
from control.webhooks.sending import Outcome
from telemetry import logs
from wire.clock import utcnow

log = logs.get(__name__)

ABREAST = 32
"""Of all webhooks together: each is a connection and a few kilobytes."""
LOOK_S = 0.5
"""While some are under way: what has become due meanwhile."""
NO_KEY = Outcome(0, failure="Its secret cannot be decrypted: the key of the vault is gone. Turn the secret.")

_CALLS = Counter("control_webhook_calls_total", "Tries to tell a webhook something, by how they went.", ["outcome"])


async def step(plane: Plane, now: datetime) -> bool:
    under_way, ended = set[UUID](), asyncio.Event()

    async def one(due: Due) -> None:
        await _tell(plane, due)
        under_way.discard(due.id)
        ended.set()

    async with asyncio.TaskGroup() as group:
        while True:
            ended.clear()
            if room := ABREAST - len(under_way):
                async with plane.working() as tx:
                    is_on = await flags.is_on(tx, Flag.WEBHOOKS)
                    taken = await calls.take(tx, plane.settings, utcnow(), room) if is_on else []
                for due in taken:
                    under_way.add(due.id)
                    group.create_task(one(due))
            if not under_way:
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await ended.wait()


async def _tell(plane: Plane, due: Due) -> None:
    outcome = NO_KEY
    if due.secrets:
        headers = signing.headers(due.secrets, f"msg_{due.id}", utcnow(), due.body)
        allow = plane.settings.webhook_ranges
        outcome = await sending.post(due.url, {**headers, **sending.HEADERS}, due.body, allow, trusted())
    async with plane.working() as tx:
        state = await calls.settle(tx, due, outcome, plane.settings, utcnow())
    word = "again" if state is CallState.QUEUED else state or "overtaken"
    _CALLS.labels(word).inc()
    log.info(
        "webhook.told", webhook=str(due.webhook), call=str(due.id), tries=due.tries, outcome=word,
        status=outcome.status, reason=outcome.failure, ms=outcome.took_ms,
    )  # fmt: skip
    if state is CallState.FAILED:
        await plane.nudge("mail")  # it may have been the last straw
