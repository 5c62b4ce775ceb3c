"""Vouchers: secrets that are good once and for a while. One by mail proves an address, one in a browser joins two
steps.

Whoever uses one holds the person's row first: of two at once the second waits, and finds it used or void.
"""

import datetime as dt
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from control.accounts import sessions, tokens
from control.accounts.model import Voucher
from control.db import Asker, Tx, name_asker
from control.errors import BadInput
from wire.ids import PersonId, new_id
from wire.units import DAY_S, MINUTE_S


class Kind(StrEnum):
    VERIFY = "verify"
    RESET = "reset"
    EMAIL = "email"
    CODE = "code"
    """Between the password and the second factor."""
    PASSKEY_NEW = "passkey_new"
    PASSKEY = "passkey"
    LINK = "link"
    """Another provider's word, until the person confirms it."""


LASTS_S = {
    Kind.VERIFY: DAY_S,
    Kind.RESET: 30 * MINUTE_S,
    Kind.EMAIL: DAY_S,
    Kind.CODE: 5 * MINUTE_S,
    Kind.PASSKEY_NEW: 5 * MINUTE_S,
    Kind.PASSKEY: 5 * MINUTE_S,
    Kind.LINK: 15 * MINUTE_S,
}
TOKEN_CHARS_MAX = 100
MAIL_EVERY_S = 2 * MINUTE_S
"""One person gets at most one mail of a kind in this time, however often others ask; what came before stays good."""


async def give(tx: Tx, kind: Kind, person: PersonId | None, now: dt.datetime, **detail: Any) -> str:
    token = tokens.new_session_token()
    row = Voucher(
        id=new_id(),
        kind=kind,
        person_id=person,
        token_hash=tokens.digest(token),
        detail=detail,
        tries=0,
        created_at=now,
        expires_at=now + dt.timedelta(seconds=LASTS_S[kind]),
        used_at=None,
    )
    if person is None:
        await name_asker(tx, Asker(secret_hash=row.token_hash))
    tx.add(row)
    await tx.flush()
    return token


async def given_lately(tx: Tx, kind: Kind, person: PersonId, now: dt.datetime) -> bool:
    """The caller holds the person's row, so two at once count one another."""
    lately = now - dt.timedelta(seconds=MAIL_EVERY_S)
    found = select(func.count()).where(
        Voucher.person_id == person, Voucher.kind == kind, Voucher.created_at > lately, Voucher.used_at.is_(None)
    )
    return bool(await tx.scalar(found))


async def redeem(tx: Tx, kind: Kind, token: str, now: dt.datetime) -> Voucher:
    """Good this once. From here on the transaction acts for the person whose it is."""
    voucher = await _take(tx, kind, token, now, used_at=now)
    if voucher is None:
        raise BadInput("This link or step is over: it was used, is too old, or was replaced.", code="bad_voucher")
    return voucher


async def attempt(tx: Tx, kind: Kind, token: str, tries_max: int, now: dt.datetime) -> Voucher | None:
    """One of a few tries; `void` it once one succeeds."""
    return await _take(tx, kind, token, now, tries_max=tries_max)


async def _take(
    tx: Tx, kind: Kind, token: str, now: dt.datetime, *, used_at: dt.datetime | None = None, tries_max: int = 1
) -> Voucher | None:
    token_hash = tokens.digest(token[:TOKEN_CHARS_MAX])
    await name_asker(tx, Asker(secret_hash=token_hash))
    person = await whose(tx, token_hash)
    if person is not None:
        await name_asker(tx, Asker(person=person, secret_hash=token_hash))
        await sessions.hold(tx, person)
    taken: Voucher | None = await tx.scalar(
        update(Voucher)
        .where(
            Voucher.token_hash == token_hash,
            Voucher.kind == kind,
            Voucher.used_at.is_(None),
            Voucher.expires_at > now,
            Voucher.tries < tries_max,
        )
        .values(tries=Voucher.tries + 1, used_at=used_at)
        .returning(Voucher)
    )
    return taken


async def whose(tx: Tx, token_hash: bytes) -> PersonId | None:
    found = await tx.scalar(select(Voucher.person_id).where(Voucher.token_hash == token_hash))
    return PersonId(found) if found else None


async def void(tx: Tx, person: UUID, now: dt.datetime, *kinds: Kind) -> None:
    """All of these kinds, or all there are."""
    of_them = Voucher.kind.in_(kinds or list(Kind))
    await tx.execute(
        update(Voucher).where(Voucher.person_id == person, of_them, Voucher.used_at.is_(None)).values(used_at=now)
    )
