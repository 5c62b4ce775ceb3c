"""The second factor: codes of an authenticator app, and recovery codes for who has lost it.

none ──begin──► offered (a secret) ──a right code──► on (ten recovery codes, shown once) ──end──► none
"""

import base64
import datetime as dt
import re
import secrets

from msgspec import Struct
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from control.accounts import tokens, totp
from control.accounts.model import RecoveryCode, Totp
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, Conflict
from control.mail import letters
from control.mail import service as mails
from control.vault import CannotOpen, Vault
from telemetry import logs
from wire.ids import PersonId

log = logs.get(__name__)

RECOVERY_CODES = 10
RECOVERY_BYTES = 10
"""80 random bits: a plain hash is enough to keep."""
_TOTP = re.compile(rf"\d{{{totp.DIGITS}}}")


class Offer(Struct, frozen=True):
    """Shown once, to be typed or scanned into an app."""

    secret: str
    uri: str


class Standing(Struct, frozen=True):
    on_since: dt.datetime | None
    recovery_codes_left: int


async def standing(tx: Tx, person: PersonId) -> Standing:
    on_since = await tx.scalar(select(Totp.confirmed_at).where(Totp.person_id == person))
    left = select(func.count()).where(RecoveryCode.person_id == person, RecoveryCode.used_at.is_(None))
    return Standing(on_since, await tx.scalar(left) or 0)


async def is_on(tx: Tx, person: PersonId) -> bool:
    return await tx.scalar(select(Totp.confirmed_at).where(Totp.person_id == person)) is not None


async def offer(tx: Tx, vault: Vault, person: PersonId, email: str, actor: Actor, now: dt.datetime) -> Offer:
    """A new secret; an earlier one that was never confirmed is forgotten."""
    secret = secrets.token_bytes(totp.SECRET_BYTES)
    row = {
        "person_id": person, "secret": vault.put(secret, _purpose(person)), "last_step": 0, "created_at": now,
        "confirmed_at": None,
    }  # fmt: skip
    put = insert(Totp).values(row).on_conflict_do_update(
        index_elements=[Totp.person_id], set_=row, where=Totp.confirmed_at.is_(None)
    )  # fmt: skip
    if await tx.scalar(put.returning(Totp.person_id)) is None:
        raise Conflict("There is a second factor already: end it first.", code="second_factor_on")
    await audit.record(tx, actor, "second_factor.offered", f"person:{person}", now)
    return Offer(totp.base32(secret), totp.uri(secret, email))


async def confirm(tx: Tx, vault: Vault, person: PersonId, code: str, actor: Actor, now: dt.datetime) -> list[str]:
    """On from here; gives the recovery codes."""
    row = await tx.scalar(select(Totp).where(Totp.person_id == person, Totp.confirmed_at.is_(None)).with_for_update())
    if row is None:
        raise Conflict("There is nothing to confirm: begin with a secret.", code="second_factor_not_begun")
    step = _step(vault, row, code, now)
    if step is None:
        raise BadInput("This is not the code that the app shows now; check its clock.", code="bad_code")
    row.confirmed_at, row.last_step = now, step
    await audit.record(tx, actor, "second_factor.on", f"person:{person}", now)
    return await renew_codes(tx, person, actor, now)


async def renew_codes(tx: Tx, person: PersonId, actor: Actor, now: dt.datetime) -> list[str]:
    """All earlier ones are void."""
    await tx.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person))
    codes = [_new_code() for _ in range(RECOVERY_CODES)]
    tx.add_all(
        RecoveryCode(person_id=person, code_hash=tokens.digest(_plain(code)), created_at=now, used_at=None)
        for code in codes
    )
    await tx.flush()
    await audit.record(tx, actor, "recovery_codes.made", f"person:{person}", now)
    return codes


async def accepts(tx: Tx, vault: Vault, person: PersonId, code: str, actor: Actor, now: dt.datetime) -> bool:
    """Whether it is right; it is never right again. Of the same code twice at once, one finds it used."""
    if _TOTP.fullmatch(_digits(code)):
        row = await tx.scalar(select(Totp).where(Totp.person_id == person, Totp.confirmed_at.is_not(None)))
        step = _step(vault, row, code, now) if row else None
        if step is None:
            return False
        newer = update(Totp).where(Totp.person_id == person, Totp.last_step < step).values(last_step=step)
        return await tx.scalar(newer.returning(Totp.person_id)) is not None
    used = await tx.scalar(
        update(RecoveryCode)
        .where(
            RecoveryCode.person_id == person,
            RecoveryCode.code_hash == tokens.digest(_plain(code)),
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCode.person_id)
    )
    if used is not None:
        await audit.record(tx, actor, "recovery_code.used", f"person:{person}", now)
    return used is not None


async def end(tx: Tx, vault: Vault, person: PersonId, email: str, actor: Actor, now: dt.datetime) -> None:
    await tx.execute(delete(Totp).where(Totp.person_id == person))
    await tx.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person))
    told = letters.notice("Signing in to your account needs no code any more: the second factor was ended.")
    await mails.queue(tx, vault, email, told, person, now)
    await audit.record(tx, actor, "second_factor.off", f"person:{person}", now)


def _step(vault: Vault, row: Totp, code: str, now: dt.datetime) -> int | None:
    """Where the vault's key is gone no code is right; recovery codes still are."""
    try:
        secret = vault.open(row.secret, _purpose(PersonId(row.person_id)))
    except CannotOpen as failure:
        log.error("vault.closed", person=str(row.person_id), reason=str(failure))
        return None
    return totp.step_of(secret, _digits(code), now.timestamp())


def _purpose(person: PersonId) -> str:
    return f"totp:{person}"


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _plain(code: str) -> str:
    """As it is hashed: people type dashes, spaces and capitals as they like."""
    return re.sub(r"[\s-]", "", code[:100]).lower()


def _digits(code: str) -> str:
    return re.sub(r"\s", "", code[:100])
