"""Verbs on mails: queue one with the change it tells of; take what is due; say how it went; show the outbox."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec import Struct
from sqlalchemy import insert, select, update

from control.db import Tx
from control.mail.letters import Letter
from control.mail.model import Mail, MailState
from control.vault import CannotOpen, Vault
from wire.ids import new_id
from wire.units import HOUR_S, MINUTE_S

TRIES_MAX = 10
"""With the pauses between them some four hours: a server that is greylisting or being repaired is back by then."""
PAUSE_S = 30
PAUSE_MAX_S = HOUR_S
TAKEN_S = 5 * MINUTE_S
"""Whoever took a mail and died has it no longer than this; sending a batch takes less (see `mail.smtp`)."""
BATCH = 10
LISTED_MAX = 200
FAILURE_CHARS_MAX = 500


class Body(Struct, frozen=True):
    text: str
    html: str


class Due(Struct, frozen=True):
    """A mail as it is handed to the server."""

    id: UUID
    tries: int
    """How often it was taken, this time included: whoever took it before has no more say."""
    recipient: str
    subject: str
    body: Body
    created_at: dt.datetime


class Shown(Struct, frozen=True):
    mail: Mail
    body: Body | None


async def queue(tx: Tx, vault: Vault, recipient: str, letter: Letter, person: UUID | None, now: dt.datetime) -> None:
    """In the transaction of what it tells of. Without RETURNING: the api's role reads no mail of others."""
    mail = new_id()
    body = vault.put(msgspec.json.encode(Body(letter.text, letter.html)), _purpose(mail))
    row = {
        "id": mail, "person_id": person, "recipient": recipient, "kind": letter.kind, "subject": letter.subject,
        "body": body, "state": MailState.QUEUED, "tries": 0, "not_before": now, "created_at": now,
    }  # fmt: skip
    await tx.execute(insert(Mail).values(row).inline())


async def take(tx: Tx, vault: Vault, now: dt.datetime) -> list[Due]:
    """What is due, and nobody else's for a while: a mail is sent between two transactions, never inside one."""
    due = (
        select(Mail.id)
        .where(Mail.state == MailState.QUEUED, Mail.not_before <= now)
        .order_by(Mail.not_before)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    taken = await tx.scalars(
        update(Mail)
        .where(Mail.id.in_(due.scalar_subquery()))
        .values(tries=Mail.tries + 1, not_before=now + dt.timedelta(seconds=TAKEN_S))
        .returning(Mail)
    )
    found = []
    for mail in sorted(taken.all(), key=lambda mail: mail.id):
        body = opened(vault, mail)
        if body is None:
            await _set(tx, mail.id, mail.tries, MailState.FAILED, "Its text cannot be decrypted: the key is gone.", now)
        else:
            found.append(Due(mail.id, mail.tries, mail.recipient, mail.subject, body, mail.created_at))
    return found


async def sent(tx: Tx, mail: Due, now: dt.datetime) -> None:
    await _set(tx, mail.id, mail.tries, MailState.SENT, None, now)


async def not_sent(tx: Tx, mail: Due, failure: str, now: dt.datetime, *, for_good: bool) -> MailState:
    """Again later, unless the server said never or it was tried often enough."""
    if for_good or mail.tries >= TRIES_MAX:
        await _set(tx, mail.id, mail.tries, MailState.FAILED, failure, now)
        return MailState.FAILED
    await tx.execute(
        update(Mail)
        .where(Mail.id == mail.id, Mail.tries == mail.tries)
        .values(failure=failure[:FAILURE_CHARS_MAX], not_before=now + dt.timedelta(seconds=pause_s(mail.tries)))
    )
    return MailState.QUEUED


def pause_s(tries: int) -> float:
    return min(PAUSE_MAX_S, PAUSE_S * 2.0 ** (tries - 1))


async def _set(tx: Tx, mail: UUID, tries: int, state: MailState, failure: str | None, now: dt.datetime) -> None:
    ended = {"state": state, "failure": failure and failure[:FAILURE_CHARS_MAX], "ended_at": now, "body": None}
    await tx.execute(update(Mail).where(Mail.id == mail, Mail.tries == tries).values(ended))


async def listed(tx: Tx) -> Sequence[Mail]:
    """The newest."""
    return (await tx.scalars(select(Mail).order_by(Mail.created_at.desc(), Mail.id.desc()).limit(LISTED_MAX))).all()


def opened(vault: Vault, mail: Mail) -> Body | None:
    """Its text, while there is one."""
    if mail.body is None:
        return None
    try:
        return msgspec.json.decode(vault.open(mail.body, _purpose(mail.id)), type=Body)
    except CannotOpen:
        return None


def _purpose(mail: UUID) -> str:
    return f"mail:{mail}"
