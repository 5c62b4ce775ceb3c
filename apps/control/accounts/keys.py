"""Verbs on API keys: make, list, revoke. A key belongs to one organisation, and to the person who made it."""

import datetime as dt
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, func, select, update

from control.accounts import organisations, tokens
from control.accounts.known import Known
from control.accounts.model import ApiKey
from control.accounts.permissions import Permission, is_scope, may_hand_on
from control.accounts.service import clean_label
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, Conflict, Denied, NotFound
from wire.ids import KeyId, OrgId, new_id

KEYS_MAX = 50
"""Of one organisation: more are forgotten ones."""
SCOPES_MAX = 50
"""There are not that many."""
DAYS_MAX = 3650
"""Who wants a key for ever does not say when it ends."""


class Wanted(Struct, frozen=True):
    name: str
    scopes: list[str]
    days: int | None
    """None: until it is revoked."""


async def create(tx: Tx, who: Known, org: OrgId, wanted: Wanted, actor: Actor, now: dt.datetime) -> tuple[ApiKey, str]:
    """The row, and the secret that nobody will see again."""
    label, scopes = clean_label(wanted.name, "A key's name"), clean_scopes(wanted.scopes, who)
    if wanted.days is not None and not 1 <= wanted.days <= DAYS_MAX:
        raise BadInput(f"A key is good for 1 to {DAYS_MAX} days, or until it is revoked.", code="bad_expiry")
    await organisations.lock(tx, org)
    if int(await tx.scalar(select(func.count()).where(*_good(org, now))) or 0) >= KEYS_MAX:
        raise Conflict(f"An organisation has at most {KEYS_MAX} keys: revoke one.", code="too_many_keys")
    new = tokens.new_key()
    key = ApiKey(
        id=KeyId(new_id()),
        org_id=org,
        person_id=who.person,
        name=label,
        prefix=new.prefix,
        token_hash=tokens.digest(new.secret),
        scopes=scopes,
        created_at=now,
        expires_at=now + dt.timedelta(days=wanted.days) if wanted.days else None,
        last_used_at=None,
        revoked_at=None,
    )
    tx.add(key)
    await audit.record(tx, actor, "key.created", f"key:{key.id}", now, name=label, scopes=scopes)
    return key, new.secret


def clean_scopes(asked: list[str], who: Known) -> list[str]:
    """Known ones that the asker has: nobody makes a key (or token) that may more than he."""
    if not 0 < len(asked) <= SCOPES_MAX:
        raise BadInput("Say what it may: permissions, or `read-only` or `full`.", code="bad_scope")
    for scope in asked:
        if not is_scope(scope):
            raise BadInput(f"There is no permission or preset {scope[:100]!r}.", code="bad_scope")
        if not may_hand_on(scope, who.permissions, who.scopes):
            raise Denied(scope, "nobody hands on what he does not have.")
    return sorted(set(asked))


def _good(org: OrgId, now: dt.datetime) -> list[ColumnElement[bool]]:
    """Not revoked; what has expired is shown no more either."""
    return [
        ApiKey.org_id == org,
        ApiKey.revoked_at.is_(None),
        (ApiKey.expires_at.is_(None)) | (ApiKey.expires_at > now),
    ]


async def listed(tx: Tx, who: Known, org: OrgId, now: dt.datetime) -> list[ApiKey]:
    """One's own; everybody's for who manages them."""
    found = select(ApiKey).where(*_good(org, now), *_within(who)).order_by(ApiKey.id)
    return list(await tx.scalars(found))


async def revoke(tx: Tx, who: Known, org: OrgId, key: UUID, actor: Actor, now: dt.datetime) -> None:
    mine = (ApiKey.id == key, ApiKey.org_id == org, ApiKey.revoked_at.is_(None), *_within(who))
    found = await tx.scalar(update(ApiKey).where(*mine).values(revoked_at=now).returning(ApiKey.name))
    if found is None:
        raise NotFound("There is no such key.")
    await audit.record(tx, actor, "key.revoked", f"key:{key}", now, before={"name": found})


def _within(who: Known) -> list[ColumnElement[bool]]:
    return [] if Permission.KEYS_MANAGE in who.permissions else [ApiKey.person_id == who.person]
