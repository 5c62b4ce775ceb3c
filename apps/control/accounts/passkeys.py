"""Passkeys (WebAuthn): a key pair on somebody's device instead of a password. Registered by who is signed in and has
proved it, good for signing in alone: the device has asked for a finger, a face or a PIN.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from msgspec import Struct
from sqlalchemy import delete, select, update
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json_dict
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from control.accounts import sessions, sign_in, tokens, vouchers
from control.accounts.model import Passkey, Person
from control.accounts.service import clean_label
from control.accounts.sessions import Browser
from control.accounts.sign_in import SignedIn
from control.accounts.vouchers import Kind
from control.audit import service as audit
from control.audit.service import Actor
from control.config import Settings
from control.db import Asker, Tx, name_asker
from control.errors import BadInput, Conflict, NotFound
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from wire.ids import PersonId, new_id

PASSKEYS_MAX = 20
"""Of one person: more are forgotten devices."""
ID_BYTES_MAX = 1023
"""WebAuthn's."""


class Begun(Struct, frozen=True):
    token: str
    """Send it back with what the device answers, within five minutes."""
    options: dict[str, Any]
    """For `navigator.credentials`: WebAuthn's own words."""


class Unproved(Struct, frozen=True):
    """The signature is not right, or the passkey is nobody's."""

    owner: PersonId | None
    """Of the passkey that was named."""


async def begin(tx: Tx, settings: Settings, person: PersonId, email: str, actor: Actor, now: dt.datetime) -> Begun:
    mine = await listed(tx, person)
    if len(mine) >= PASSKEYS_MAX:
        raise Conflict(f"An account has at most {PASSKEYS_MAX} passkeys: remove one.", code="too_many_passkeys")
    options = webauthn.generate_registration_options(
        rp_id=_host(settings),
        rp_name="Seedlift",
        user_name=email,
        user_id=person.bytes,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=each.credential_id) for each in mine],
    )
    challenge = bytes_to_base64url(options.challenge)
    token = await vouchers.give(tx, Kind.PASSKEY_NEW, person, now, challenge=challenge)
    await audit.record(tx, actor, "passkey.offered", f"person:{person}", now)
    return Begun(token, options_to_json_dict(options))


async def add(
    tx: Tx,
    settings: Settings,
    asker: Asker,
    token: str,
    name: str,
    credential: Mapping[str, Any],
    actor: Actor,
    now: dt.datetime,
) -> Passkey:
    label = clean_label(name, "A passkey's name")
    voucher = await vouchers.redeem(tx, Kind.PASSKEY_NEW, token, now)
    if voucher.person_id is None or voucher.person_id != asker.person:
        raise BadInput("This step was begun by somebody else.", code="bad_voucher")
    await name_asker(tx, asker)
    try:
        verified = webauthn.verify_registration_response(
            credential=dict(credential),
            expected_challenge=base64url_to_bytes(voucher.detail["challenge"]),
            expected_rp_id=_host(settings),
            expected_origin=_origin(settings),
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError) as wrong:
        raise _refused(wrong) from None
    known = select(Passkey.id).where(Passkey.credential_hash == tokens.digest(_id(verified.credential_id)))
    if await tx.scalar(known) is not None:
        raise Conflict("This passkey is registered already.", code="passkey_known")
    passkey = Passkey(
        id=new_id(),
        person_id=voucher.person_id,
        credential_hash=tokens.digest(_id(verified.credential_id)),
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        name=label,
        created_at=now,
        last_used_at=None,
    )
    tx.add(passkey)
    await tx.flush()
    await _tell(tx, settings, asker, f"A passkey was added to your account: {label}.", now)
    await audit.record(tx, actor, "passkey.added", f"passkey:{passkey.id}", now, name=label)
    return passkey


async def listed(tx: Tx, person: PersonId) -> Sequence[Passkey]:
    return (await tx.scalars(select(Passkey).where(Passkey.person_id == person).order_by(Passkey.id))).all()


async def rename(tx: Tx, person: PersonId, passkey: UUID, name: str, actor: Actor, now: dt.datetime) -> Passkey:
    label = clean_label(name, "A passkey's name")
    mine = update(Passkey).where(Passkey.id == passkey, Passkey.person_id == person)
    found: Passkey | None = await tx.scalar(mine.values(name=label).returning(Passkey))
    if found is None:
        raise NotFound("There is no such passkey.")
    await audit.record(tx, actor, "passkey.renamed", f"passkey:{passkey}", now, name=label)
    return found


async def remove(tx: Tx, settings: Settings, asker: Asker, passkey: UUID, actor: Actor, now: dt.datetime) -> None:
    assert asker.person is not None
    await sessions.hold(tx, asker.person)
    mine = delete(Passkey).where(Passkey.id == passkey, Passkey.person_id == asker.person)
    name = await tx.scalar(mine.returning(Passkey.name))
    if name is None:
        raise NotFound("There is no such passkey.")
    if not await sign_in.has_a_way(tx, asker.person):
        raise Conflict("Nothing else would let you in: set a password first.", code="last_way_in")
    await _tell(tx, settings, asker, f"A passkey was removed from your account: {name}.", now)
    await audit.record(tx, actor, "passkey.removed", f"passkey:{passkey}", now)


async def begin_sign_in(tx: Tx, settings: Settings, now: dt.datetime) -> Begun:
    """For whoever: the device itself knows whose it is."""
    options = webauthn.generate_authentication_options(
        rp_id=_host(settings), user_verification=UserVerificationRequirement.REQUIRED
    )
    challenge = bytes_to_base64url(options.challenge)
    token = await vouchers.give(tx, Kind.PASSKEY, None, now, challenge=challenge)
    return Begun(token, options_to_json_dict(options))


async def finish_sign_in(
    plane: Plane, token: str, credential: Mapping[str, Any], browser: Browser, actor: Actor, now: dt.datetime
) -> SignedIn | Unproved:
    async with plane.asking(Asker()) as tx:
        voucher = await vouchers.redeem(tx, Kind.PASSKEY, token, now)
        passkey = await _find(tx, credential)
        if passkey is None or not await _signs(
            tx, plane.settings, passkey, voucher.detail["challenge"], credential, now
        ):
            return Unproved(PersonId(passkey.person_id) if passkey else None)
        return await sign_in.begin(tx, PersonId(passkey.person_id), browser, actor, now)


async def _find(tx: Tx, credential: Mapping[str, Any]) -> Passkey | None:
    given = credential.get("id")
    if not isinstance(given, str) or not given.isascii():
        return None
    credential_hash = tokens.digest(given[: 2 * ID_BYTES_MAX])
    await name_asker(tx, Asker(secret_hash=credential_hash))
    passkey: Passkey | None = await tx.scalar(select(Passkey).where(Passkey.credential_hash == credential_hash))
    if passkey is not None:
        await name_asker(tx, Asker(person=PersonId(passkey.person_id)))
        await sessions.hold(tx, PersonId(passkey.person_id))
        await tx.refresh(passkey)  # of two at once the second sees the first one's count
    return passkey


async def _signs(
    tx: Tx, settings: Settings, passkey: Passkey, challenge: str, credential: Mapping[str, Any], now: dt.datetime
) -> bool:
    """A count that does not grow, where the device counts at all, is a copy's."""
    try:
        verified = webauthn.verify_authentication_response(
            credential=dict(credential),
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=_host(settings),
            expected_origin=_origin(settings),
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError):
        return False
    used = {"sign_count": verified.new_sign_count, "last_used_at": now}
    await tx.execute(update(Passkey).where(Passkey.id == passkey.id).values(used))
    return True


async def _tell(tx: Tx, settings: Settings, asker: Asker, what: str, now: dt.datetime) -> None:
    email = (await tx.scalars(select(Person.email).where(Person.id == asker.person))).one()
    await mails.queue(tx, settings.vault, email, letters.notice(what), asker.person, now)


def _refused(wrong: Exception) -> BadInput:
    return BadInput(f"This passkey cannot be verified: {wrong}.", code="bad_passkey")


def _id(credential_id: bytes) -> str:
    """As browsers send it."""
    return bytes_to_base64url(credential_id)


def _host(settings: Settings) -> str:
    return urlsplit(settings.public_url).hostname or ""


def _origin(settings: Settings) -> str:
    parts = urlsplit(settings.public_url)
    return f"{parts.scheme}://{parts.netloc}"
