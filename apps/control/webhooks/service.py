"""Verbs of members on webhooks: add, list, change, turn the secret, test, remove; and on their calls: list, replay."""

import datetime as dt
import os
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import func, select, update

from control.accounts import organisations
from control.audit import service as audit
from control.audit.service import Actor
from control.config import Settings
from control.db import Tx
from control.errors import BadInput, Conflict, NotFound
from control.webhooks import sending, signing
from control.webhooks.model import Call, CallState, Disabled, Webhook
from control.webhooks.secrets import purpose
from wire.ids import OrgId, new_id
from wire.units import DAY_S

WEBHOOKS_MAX = 10
"""Of one organisation: everything that happens is written down for each."""
OVERLAP_S = DAY_S
"""So long the secret before signs as well: receivers learn the new one in their own time."""
REPLAYED_MAX = 1_000
"""At once: one statement of some 50 ms."""
TEST = "webhook.test"


class Wanted(Struct, frozen=True):
    url: str
    types: Sequence[str]
    description: str


async def add(
    tx: Tx, org: OrgId, wanted: Wanted, settings: Settings, actor: Actor, now: dt.datetime
) -> tuple[Webhook, str]:
    """And its secret, which nobody sees again."""
    _check_url(wanted.url, settings)
    await organisations.lock(tx, org)
    if int(await tx.scalar(select(func.count()).where(Webhook.org_id == org)) or 0) >= WEBHOOKS_MAX:
        raise Conflict(f"There are {WEBHOOKS_MAX} webhooks: remove one first.", code="too_many_webhooks")
    webhook, secret = new_id(), os.urandom(signing.SECRET_BYTES)
    row = Webhook(
        id=webhook,
        org_id=org,
        url=wanted.url,
        description=wanted.description,
        types=list(dict.fromkeys(wanted.types)),
        secret=settings.vault.put(secret, purpose(webhook)),
        created_at=now,
    )
    tx.add(row)
    await audit.record(tx, actor, "webhook.added", f"webhook:{webhook}", now, url=wanted.url, types=row.types)
    await tx.flush()
    return row, signing.text_of(secret)


async def listed(tx: Tx, org: OrgId) -> list[Webhook]:
    return list(await tx.scalars(select(Webhook).where(Webhook.org_id == org).order_by(Webhook.id)))


async def get(tx: Tx, org: OrgId, webhook: UUID) -> Webhook:
    return await _one(tx, org, webhook, lock=False)


async def edit(
    tx: Tx, org: OrgId, webhook: UUID, changes: dict[str, object], settings: Settings, actor: Actor, now: dt.datetime
) -> Webhook:
    """`changes` are columns of ours by name, and `enabled`."""
    row = await _one(tx, org, webhook, lock=True)
    if isinstance(url := changes.get("url"), str):
        _check_url(url, settings)
    enabled = changes.pop("enabled", None)
    before = {name: getattr(row, name) for name in changes} | {"enabled": row.disabled_at is None}
    for name, value in changes.items():
        setattr(row, name, value)
    if enabled is True:
        row.disabled_at = row.disabled_why = row.failing_since = row.not_before = None
        row.failures = 0
    elif enabled is False and row.disabled_at is None:
        await disable(tx, row, Disabled.BY_HAND, now)
    after = {name: getattr(row, name) for name in changes} | {"enabled": row.disabled_at is None}
    await audit.record(tx, actor, "webhook.changed", f"webhook:{webhook}", now, before=before, after=after)
    await tx.flush()
    return row


async def disable(tx: Tx, webhook: Webhook, why: Disabled, now: dt.datetime) -> None:
    """It is told nothing from now on; what waits for it is given up, and may be replayed when it is back."""
    webhook.disabled_at, webhook.disabled_why = now, why
    waiting = update(Call).where(Call.webhook_id == webhook.id, Call.state == CallState.QUEUED)
    given_up = waiting.values(state=CallState.FAILED, taken_until=None, ended_at=now)
    await tx.execute(given_up.execution_options(synchronize_session=False))


async def turn_secret(
    tx: Tx, org: OrgId, webhook: UUID, settings: Settings, actor: Actor, now: dt.datetime
) -> tuple[Webhook, str]:
    """A new one, and the one before for a while."""
    row, secret = await _one(tx, org, webhook, lock=True), os.urandom(signing.SECRET_BYTES)
    row.previous_secret, row.previous_until = row.secret, now + dt.timedelta(seconds=OVERLAP_S)
    row.secret = settings.vault.put(secret, purpose(webhook))
    await audit.record(tx, actor, "webhook.secret_turned", f"webhook:{webhook}", now)
    await tx.flush()
    return row, signing.text_of(secret)


async def remove(tx: Tx, org: OrgId, webhook: UUID, actor: Actor, now: dt.datetime) -> None:
    row = await _one(tx, org, webhook, lock=True)
    await tx.delete(row)
    await audit.record(tx, actor, "webhook.removed", f"webhook:{webhook}", now, before={"url": row.url})


async def test(tx: Tx, org: OrgId, webhook: UUID, actor: Actor, now: dt.datetime) -> Call:
    """A call like every other, told to this one alone."""
    row = await _one(tx, org, webhook, lock=True)
    _check_enabled(row)
    body = {"type": TEST, "timestamp": now, "data": {"webhook": row.id}}
    call = Call(
        id=new_id(),
        org_id=org,
        webhook_id=row.id,
        seq=None,
        type=TEST,
        body=msgspec.json.encode(body),
        state=CallState.QUEUED,
        tries=0,
        not_before=now,
        attempts=[],
        created_at=now,
    )
    row.not_before = None  # somebody wants to see it now
    tx.add(call)
    await audit.record(tx, actor, "webhook.tested", f"webhook:{webhook}", now, call=str(call.id))
    await tx.flush()
    return call


async def calls(
    tx: Tx, org: OrgId, webhook: UUID, state: CallState | None, before: UUID | None, limit: int
) -> list[Call]:
    """Newest first."""
    await get(tx, org, webhook)
    found = select(Call).where(Call.webhook_id == webhook, Call.org_id == org)
    if state is not None:
        found = found.where(Call.state == state)
    if before is not None:
        found = found.where(Call.id < before)
    return list(await tx.scalars(found.order_by(Call.id.desc()).limit(limit)))


async def call(tx: Tx, org: OrgId, webhook: UUID, call_id: UUID) -> Call:
    row = await tx.scalar(select(Call).where(Call.id == call_id, Call.webhook_id == webhook, Call.org_id == org))
    if row is None:
        raise NotFound("There is no such call.")
    return row


async def replay(tx: Tx, org: OrgId, webhook: UUID, call_id: UUID, actor: Actor, now: dt.datetime) -> Call:
    """Delivered or failed, it is told once more, under the same id: receivers that have it drop it."""
    _check_enabled(await _one(tx, org, webhook, lock=True))
    row = await call(tx, org, webhook, call_id)
    if row.state is CallState.QUEUED:
        raise Conflict("This call is under way.", code="call_queued")
    row.state, row.tries, row.not_before, row.ended_at = CallState.QUEUED, 0, now, None
    await audit.record(tx, actor, "webhook.replayed", f"webhook:{webhook}", now, call=str(call_id))
    await tx.flush()
    return row


async def replay_failed(
    tx: Tx, org: OrgId, webhook: UUID, since: dt.datetime, actor: Actor, now: dt.datetime
) -> tuple[int, int]:
    """How many are told once more, the oldest first, and how many are left."""
    _check_enabled(await _one(tx, org, webhook, lock=True))
    failed = (Call.webhook_id == webhook, Call.state == CallState.FAILED, Call.created_at >= since)
    total = int(await tx.scalar(select(func.count()).where(*failed)) or 0)
    some = select(Call.id).where(*failed).order_by(Call.id).limit(REPLAYED_MAX)
    again = {"state": CallState.QUEUED, "tries": 0, "not_before": now, "ended_at": None}
    await tx.execute(update(Call).where(Call.id.in_(some)).values(again).execution_options(synchronize_session=False))
    replayed = min(total, REPLAYED_MAX)
    await audit.record(tx, actor, "webhook.replayed", f"webhook:{webhook}", now, since=since, calls=replayed)
    return replayed, total - replayed


async def _one(tx: Tx, org: OrgId, webhook: UUID, *, lock: bool) -> Webhook:
    found = select(Webhook).where(Webhook.id == webhook, Webhook.org_id == org)
    row = await tx.scalar(found.with_for_update(key_share=True) if lock else found)
    if row is None:
        raise NotFound("There is no such webhook.")
    return row


def _check_url(url: str, settings: Settings) -> None:
    if wrong := sending.why_not(url, settings.webhook_ranges):
        raise BadInput(wrong, code="bad_webhook_url")


def _check_enabled(webhook: Webhook) -> None:
    if webhook.disabled_at is not None:
        raise Conflict("This webhook is disabled: enable it first.", code="webhook_disabled")
