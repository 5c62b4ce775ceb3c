"""Identities: who somebody is at another provider.

A known one signs in. A new one with a verified address makes an account; if the address has one already, only its owner
connects the two, by signing in.
"""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from control.accounts import service as accounts
from control.accounts import sessions, sign_in, vouchers
from control.accounts.model import Identity, Person
from control.accounts.oidc import Claims
from control.accounts.sessions import Browser
from control.accounts.sign_in import HalfWay, SignedIn
from control.accounts.vouchers import Kind
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Asker, Tx, name_asker
from control.errors import BadInput, Conflict, NotFound
from control.flags import service as flags
from control.mail import letters
from control.mail import service as mails
from control.plane import Plane
from wire.ids import OrgId, PersonId, new_id


class Unverified(Exception):
    """The provider does not vouch for the address."""


class ToConnect(Struct, frozen=True):
    """There is an account with this address: its owner signs in and shows the token."""

    token: str


async def enter(
    plane: Plane, claims: Claims, browser: Browser, actor: Actor, now: dt.datetime
) -> SignedIn | HalfWay | ToConnect:
    async with plane.asking(Asker(secret_hash=claims.subject_hash)) as tx:
        known = update(Identity).where(Identity.subject_hash == claims.subject_hash).values(last_used_at=now)
        owner = await tx.scalar(select(Identity.person_id).where(Identity.subject_hash == claims.subject_hash))
        if owner is not None:
            await name_asker(tx, Asker(person=PersonId(owner)))
            await tx.execute(known)
            return await sign_in.admitted(tx, PersonId(owner), browser, actor, now)
    if claims.email is None or not claims.email_verified:
        raise Unverified
    email = accounts.clean_email(claims.email)
    try:
        offered = await _offered(plane, claims, email, actor, now)
        return offered or await _made(plane, claims, email, browser, actor, now)
    except IntegrityError:  # somebody made it meanwhile
        offered = await _offered(plane, claims, email, actor, now)
        if offered is None:
            raise
        return offered


async def _offered(plane: Plane, claims: Claims, email: str, actor: Actor, now: dt.datetime) -> ToConnect | None:
    """None: the address has no account."""
    async with plane.asking(Asker(email=email)) as tx:
        owner = await tx.scalar(select(Person.id).where(Person.email == email))
        if owner is None:
            return None
        await name_asker(tx, Asker(person=PersonId(owner)))
        detail = {"provider": claims.provider, "issuer": claims.issuer, "subject": claims.subject, "email": email}
        token = await vouchers.give(tx, Kind.LINK, PersonId(owner), now, **detail)
        await audit.record(tx, actor, "identity.offered", f"person:{owner}", now, provider=claims.provider)
        return ToConnect(token)


async def _made(plane: Plane, claims: Claims, email: str, browser: Browser, actor: Actor, now: dt.datetime) -> SignedIn:
    await flags.check_registration(plane)
    person, org = PersonId(new_id()), OrgId(new_id())
    async with plane.asking(Asker(org=org, person=person)) as tx:
        label = email.partition("@")[0]
        await accounts.create(tx, person, org, email, None, label, now, verified_at=now)
        who = accounts.of(actor, person, org)
        await audit.record(tx, who, "person.registered", f"person:{person}", now, provider=claims.provider)
        await _add(tx, person, claims, email, who, now)
        return await sign_in.begin(tx, person, browser, actor, now)


async def connect(plane: Plane, asker: Asker, token: str, actor: Actor, now: dt.datetime) -> Identity:
    """By the owner, who is signed in."""
    try:
        async with plane.asking(asker) as tx:
            voucher = await vouchers.redeem(tx, Kind.LINK, token, now)
            if voucher.person_id is None or voucher.person_id != asker.person:
                raise BadInput("This is for another account: sign in to that one.", code="bad_voucher")
            await name_asker(tx, asker)
            said = voucher.detail
            claims = Claims(said["provider"], said["issuer"], said["subject"], said["email"], email_verified=True)
            identity = await _add(tx, PersonId(voucher.person_id), claims, said["email"], actor, now)
            told = letters.notice(f"Signing in by way of {claims.provider} opens your account from now on.")
            email = (await tx.scalars(select(Person.email).where(Person.id == asker.person))).one()
            await mails.queue(tx, plane.settings.vault, email, told, asker.person, now)
    except IntegrityError:
        raise Conflict("This identity belongs to an account already.", code="identity_known") from None
    return identity


async def _add(tx: Tx, person: PersonId, claims: Claims, email: str, actor: Actor, now: dt.datetime) -> Identity:
    identity = Identity(
        id=new_id(),
        person_id=person,
        subject_hash=claims.subject_hash,
        provider=claims.provider,
        issuer=claims.issuer,
        subject=claims.subject,
        email=email,
        created_at=now,
        last_used_at=now,
    )
    tx.add(identity)
    await tx.flush()
    await audit.record(tx, actor, "identity.added", f"identity:{identity.id}", now, provider=claims.provider)
    return identity


async def listed(tx: Tx, person: PersonId) -> Sequence[Identity]:
    return (await tx.scalars(select(Identity).where(Identity.person_id == person).order_by(Identity.id))).all()


async def remove(tx: Tx, person: PersonId, identity: UUID, actor: Actor, now: dt.datetime) -> None:
    await sessions.hold(tx, person)
    mine = delete(Identity).where(Identity.id == identity, Identity.person_id == person)
    if await tx.scalar(mine.returning(Identity.id)) is None:
        raise NotFound("There is no such identity.")
    if not await sign_in.has_a_way(tx, person):
        raise Conflict("Nothing else would let you in: set a password first.", code="last_way_in")
    await audit.record(tx, actor, "identity.removed", f"identity:{identity}", now)
