"""Verbs of loops on calls: write them down for what happened, take what is due, say how it went.

A call is made twice rather than never: it is sent between two transactions, and whoever dies in between has it for a
minute. Its id is the same each time.
"""

import datetime as dt
import random
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import exists, insert, or_, select, update

from control.accounts.model import Member, Person
from control.accounts.permissions import IN_ORGANISATION, Permission
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.config import Settings
from control.db import Tx
from control.feed.model import FeedRow
from control.feed.views import view
from control.mail import letters
from control.mail import service as mails
from control.vault import CannotOpen
from control.webhooks import secrets, service
from control.webhooks.model import Call, CallState, Disabled, Webhook
from control.webhooks.schemas import Attempt
from control.webhooks.sending import Outcome
from wire.ids import new_id
from wire.units import DAY_S, HOUR_S, MINUTE_S

PAUSES_S = (5, 5 * MINUTE_S, 30 * MINUTE_S, 2 * HOUR_S, 5 * HOUR_S, 10 * HOUR_S, 14 * HOUR_S, 20 * HOUR_S, DAY_S)
"""After each failure, as the standard says; the tenth ends it, three days after the first."""
TRIES_MAX = len(PAUSES_S) + 1
JITTER = 0.1
LEFT_ALONE_S = 5
LEFT_ALONE_MAX_S = 15 * MINUTE_S
"""A receiver in trouble: after each failure twice as long, whatever waits for it."""
RETRY_AFTER_MAX_S = HOUR_S
"""Of what a receiver may ask for."""
FAILING_S = 5 * DAY_S
FAILING_TRIES = 10
"""So long, and so often without one success: nobody is there any more."""
TAKEN_S = MINUTE_S
"""Four times the longest try."""
OF_ONE = 4
"""Told to one webhook at once."""
ATTEMPTS_KEPT = 20
WHO = "loop:calls"
GONE = 410
"""The standard's word for: never again."""


class Payload(Struct, frozen=True):
    """What is sent, as the standard has it."""

    type: str
    timestamp: dt.datetime
    data: object


class Due(Struct, frozen=True):
    """A call as it is sent."""

    id: UUID
    tries: int
    """How often it was taken, this time included: whoever took it before has no more say."""
    webhook: UUID
    url: str
    secrets: list[bytes]
    """None: they cannot be decrypted any more."""
    body: bytes


async def write(tx: Tx, rows: Sequence[FeedRow], now: dt.datetime) -> int:
    """One for each webhook that wants it, in the transaction that numbers the rows."""
    enabled = Webhook.org_id.in_({row.org_id for row in rows}) & Webhook.disabled_at.is_(None)
    wanting: dict[UUID, list[Webhook]] = {}
    for webhook in await tx.scalars(select(Webhook).where(enabled)):
        wanting.setdefault(webhook.org_id, []).append(webhook)
    calls: list[dict[str, object]] = [
        {
            "id": new_id(), "org_id": row.org_id, "webhook_id": webhook.id, "seq": row.seq, "type": row.type,
            "body": msgspec.json.encode(Payload(row.type, row.at, view(row))),
            "state": CallState.QUEUED, "tries": 0, "not_before": now, "attempts": [], "created_at": now,
        }
        for row in rows
        for webhook in wanting.get(row.org_id, ())
        if not webhook.types or row.type in webhook.types
    ]  # fmt: skip
    if calls:
        await tx.execute(insert(Call), calls)
    return len(calls)


async def take(tx: Tx, settings: Settings, now: dt.datetime, room: int) -> list[Due]:
    """The oldest of each webhook, a few at a time and only when all its last ones are done: a receiver that is slow
    slows itself. One that is failing is tried with a single call."""
    under_way = exists().where(Call.webhook_id == Webhook.id, Call.state == CallState.QUEUED, Call.taken_until > now)
    ready = Webhook.disabled_at.is_(None) & or_(Webhook.not_before.is_(None), Webhook.not_before <= now)
    oldest = (
        select(Call.id, Call.not_before)
        .where(Call.webhook_id == Webhook.id, Call.state == CallState.QUEUED, Call.not_before <= now)
        .order_by(Call.not_before, Call.id)
        .limit(OF_ONE)
        .with_for_update(skip_locked=True)
        .lateral()
    )
    found = select(Webhook, oldest.c.id).where(ready, ~under_way).order_by(oldest.c.not_before, oldest.c.id)
    chosen: dict[UUID, Webhook] = {}
    tried: set[UUID] = set()
    for webhook, call_id in await tx.execute(found.limit(room)):
        if webhook.failing_since is None or webhook.id not in tried:
            chosen[call_id] = webhook
            tried.add(webhook.id)
    taken = update(Call).where(Call.id.in_(chosen)).values(
        tries=Call.tries + 1, taken_until=now + dt.timedelta(seconds=TAKEN_S)
    )  # fmt: skip
    calls = await tx.scalars(taken.returning(Call).execution_options(synchronize_session=False))
    return [_due(call, chosen[call.id], settings, now) for call in calls]


def _due(call: Call, webhook: Webhook, settings: Settings, now: dt.datetime) -> Due:
    try:
        good = secrets.good(settings.vault, webhook, now)
    except CannotOpen:
        good = []
    return Due(call.id, call.tries, webhook.id, webhook.url, good, call.body)


async def settle(tx: Tx, due: Due, outcome: Outcome, settings: Settings, now: dt.datetime) -> CallState | None:
    """How it went. None: the call was taken by somebody else meanwhile, or is gone."""
    webhook = await tx.scalar(select(Webhook).where(Webhook.id == due.webhook).with_for_update(key_share=True))
    call = await tx.scalar(select(Call).where(Call.id == due.id, Call.tries == due.tries).with_for_update())
    if webhook is None or call is None or call.state is not CallState.QUEUED:
        return None
    attempt = Attempt(now, outcome.took_ms, outcome.status, outcome.failure, outcome.answer)
    call.attempts = [*call.attempts, msgspec.to_builtins(attempt)][-ATTEMPTS_KEPT:]
    call.taken_until = None
    if outcome.failure is None:
        call.state, call.ended_at = CallState.DELIVERED, now
        webhook.failures, webhook.failing_since, webhook.not_before = 0, None, None
        return call.state
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    asked_s = min(outcome.retry_after_s or 0, RETRY_AFTER_MAX_S)
    webhook.not_before = now + dt.timedelta(seconds=max(left_alone_s(webhook.failures), asked_s))
    if call.tries >= TRIES_MAX:
        call.state, call.ended_at = CallState.FAILED, now
    else:
        call.not_before = now + dt.timedelta(seconds=max(_pause_s(call.tries), asked_s))
    if why := _hopeless(webhook, outcome, now):
        await tx.flush()
        await _give_up(tx, webhook, why, settings, now)
        return CallState.FAILED
    return call.state


def left_alone_s(failures: int) -> float:
    return min(LEFT_ALONE_MAX_S, LEFT_ALONE_S * 2.0 ** min(failures - 1, 16))


def _pause_s(tries: int) -> float:
    return PAUSES_S[tries - 1] * random.uniform(1, 1 + JITTER)


def _hopeless(webhook: Webhook, outcome: Outcome, now: dt.datetime) -> Disabled | None:
    if outcome.status == GONE:
        return Disabled.GONE
    assert webhook.failing_since is not None  # since just now at the latest
    is_long = webhook.failing_since <= now - dt.timedelta(seconds=FAILING_S)
    return Disabled.FAILING if is_long and webhook.failures >= FAILING_TRIES else None


async def _give_up(tx: Tx, webhook: Webhook, why: Disabled, settings: Settings, now: dt.datetime) -> None:
    """Who could do something about it hears of it."""
    await service.disable(tx, webhook, why, now)
    actor, target = Actor(name=WHO, org=webhook.org_id), f"webhook:{webhook.id}"
    await audit.record_as(tx, Severity.NOTICE, actor, "webhook.disabled", target, now, why=why, url=webhook.url)
    roles = IN_ORGANISATION[Permission.WEBHOOKS_WRITE]
    minders = select(Person.id, Person.email).join(Member, Member.person_id == Person.id)
    for person, email in await tx.execute(minders.where(Member.org_id == webhook.org_id, Member.role.in_(roles))):
        letter = letters.webhook_disabled(webhook.url, _SENTENCES[why])
        await mails.queue(tx, settings.vault, email, letter, person, now)


_SENTENCES = {
    Disabled.GONE: "it answered 410, which means: never again",
    Disabled.FAILING: "for five days every try to tell it something has failed",
}
