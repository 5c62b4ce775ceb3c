"""Verbs on accounts: make one, with the organisation of its own."""

import datetime as dt
import re

from control.accounts.model import Member, Organisation, Person
from control.accounts.permissions import OrgRole, PlatformRole
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput
from wire.ids import OrgId, PersonId

NAME_CHARS_MAX = 100
EMAIL_CHARS_MAX = 254
"""RFC 5321's."""

_EMAIL = re.compile(r"[!-?A-~]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?")


def clean_email(text: str) -> str:
    email = text.strip().lower()
    if len(email) > EMAIL_CHARS_MAX or not _EMAIL.fullmatch(email) or ".." in email:
        raise BadInput("This is not an e-mail address that we can write to.", code="bad_email")
    return email


def clean_label(text: str, what: str) -> str:
    label = " ".join(text.split())
    if not 0 < len(label) <= NAME_CHARS_MAX or not label.isprintable():
        raise BadInput(f"{what} has 1 to {NAME_CHARS_MAX} printable characters.", code="bad_name")
    return label


async def create(
    tx: Tx,
    person: PersonId,
    org: OrgId,
    email: str,
    password_hash: str | None,
    label: str,
    now: dt.datetime,
    platform_role: PlatformRole = PlatformRole.USER,
    *,
    verified_at: dt.datetime | None = None,
) -> None:
    """A person and the organisation of their own."""
    tx.add(Organisation(id=org, name=label, created_at=now))
    tx.add(
        Person(
            id=person,
            email=email,
            password_hash=password_hash,
            platform_role=platform_role,
            created_at=now,
            email_verified_at=verified_at,
        )
    )
    await tx.flush()
    tx.add(Member(org_id=org, person_id=person, role=OrgRole.OWNER, joined_at=now))
    await tx.flush()


def of(actor: Actor, person: PersonId, org: OrgId | None) -> Actor:
    """The same request, now that it is known whose it is."""
    return Actor(name=f"person:{person}", org=org, request_id=actor.request_id, ip=actor.ip)
