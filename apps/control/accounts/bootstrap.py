"""The first admin and the operator's key, made once; `python -m control bootstrap` says it again without harm."""

import datetime as dt

from msgspec import Struct
from sqlalchemy import select

from control.accounts import organisations, passwords, tokens
from control.accounts import service as accounts
from control.accounts.model import ApiKey, Member, Person
from control.accounts.permissions import FULL, PlatformRole
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Database, Tx
from control.errors import BadInput
from control.plans import service as plans
from wire.ids import OrgId, PersonId, new_id

ORGANISATION = "Operations"
KEY_NAME = "operator"


class Bootstrap(Struct, frozen=True, forbid_unknown_fields=True):
    admin_email: str
    admin_password: str | None = None
    """Only where there is no such admin yet; one who is there keeps the password."""
    operator_key: str | None = None


class Bootstrapped(Struct, frozen=True):
    admin_created: bool


async def bootstrap(db: Database, asked: Bootstrap, now: dt.datetime) -> Bootstrapped:
    email = accounts.clean_email(asked.admin_email)
    if asked.operator_key is not None and not tokens.is_key(asked.operator_key):
        raise BadInput("operator_key is not a key: slk_, 8 hexadecimal digits, _, 43 of base64url.")
    async with db.working() as tx:
        admin = await tx.scalar(select(Person).where(Person.email == email))
        created = admin is None
        if admin is None:
            if asked.admin_password is None:
                raise BadInput(f"There is no {email} yet, and no password to make one with.")
            person, org = await _create(tx, email, asked.admin_password, now)
        else:
            person = PersonId(admin.id)
            admin.platform_role = PlatformRole.SUPERADMIN
            admin.email_verified_at = admin.email_verified_at or now
            org = await _first_place(tx, person, now)
        if asked.operator_key is not None:
            await _keep_key(tx, asked.operator_key, person, org, now)
    return Bootstrapped(admin_created=created)


async def _create(tx: Tx, email: str, password: str, now: dt.datetime) -> tuple[PersonId, OrgId]:
    passwords.check(password, [email])
    person, org = PersonId(new_id()), OrgId(new_id())
    password_hash, role = await passwords.hashed(password), PlatformRole.SUPERADMIN
    await accounts.create(tx, person, org, email, password_hash, ORGANISATION, now, role, verified_at=now)
    await plans.assign(tx, org, plans.HOUSE, "They run this place.", Actor(name="bootstrap"), now)
    await audit.record(tx, Actor(name="bootstrap", org=org), "person.registered", f"person:{person}", now)
    return person, org


async def _first_place(tx: Tx, person: PersonId, now: dt.datetime) -> OrgId:
    """Who has deleted theirs gets another: without it the operator's key would open nothing."""
    mine = select(Member.org_id).where(Member.person_id == person).order_by(Member.joined_at).limit(1)
    if (place := await tx.scalar(mine)) is not None:
        return OrgId(place)
    actor = Actor(name="bootstrap")
    org = await organisations.create(tx, person, ORGANISATION, actor, now)
    await plans.assign(tx, org, plans.HOUSE, "They run this place.", actor, now)
    return org


async def _keep_key(tx: Tx, secret: str, person: PersonId, org: OrgId, now: dt.datetime) -> None:
    known = await tx.scalar(select(ApiKey).where(ApiKey.token_hash == tokens.digest(secret)))
    if known is not None:
        known.org_id, known.person_id, known.revoked_at = org, person, None
        return
    key = ApiKey(
        id=new_id(),
        org_id=org,
        person_id=person,
        name=KEY_NAME,
        prefix=tokens.key_prefix(secret),
        token_hash=tokens.digest(secret),
        scopes=[FULL],
        created_at=now,
        expires_at=None,
        last_used_at=None,
        revoked_at=None,
    )
    tx.add(key)
    await audit.record(tx, Actor(name="bootstrap", org=org), "key.created", f"key:{key.id}", now, name=KEY_NAME)
