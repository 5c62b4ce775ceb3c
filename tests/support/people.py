"""People, roles and credentials for tests, made as rows; and the public application, called in process."""

import datetime as dt
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
from msgspec import Struct

from control.accounts import passwords, tokens
from control.accounts.model import ApiKey, Member, Organisation, Person, Session
from control.accounts.permissions import FULL, OrgRole, PlatformRole
from control.app import create_app
from control.plane import Plane
from control.stream import Hub
from tests.support.control import PASSWORD, unhurried
from tests.support.servers import Databases
from wire.clock import utcnow
from wire.ids import KeyId, OrgId, PersonId, SessionId, new_id

Headers = dict[str, str]


class Someone(Struct, frozen=True):
    person: PersonId
    email: str
    org: OrgId
    """Where the first membership is, if there is one."""


class People(Struct, frozen=True):
    plane: Plane
    http: httpx.AsyncClient
    databases: Databases

    async def organisation(self, name: str = "Ours") -> OrgId:
        org = OrgId(new_id())
        async with self.plane.working() as tx:
            tx.add(Organisation(id=org, name=name, created_at=utcnow(), deleted_at=None))
        return org

    async def join(self, org: OrgId, role: OrgRole | None, platform_role: PlatformRole = PlatformRole.USER) -> Someone:
        """Somebody new; with `role` None in no organisation."""
        person, email, now = PersonId(new_id()), f"{secrets.token_hex(6)}@example.org", utcnow()
        async with self.plane.working() as tx:
            row = {"id": person, "email": email, "platform_role": platform_role, "email_verified_at": now}
            tx.add(Person(**row, password_hash="-", created_at=now))
            await tx.flush()
            if role is not None:
                tx.add(Member(org_id=org, person_id=person, role=role, joined_at=now))
        return Someone(person, email, org)

    async def without_password(self, *who: Someone) -> None:
        """Nobody is asked for one then: the sign-in of just now is proof enough."""
        async with self.plane.working() as tx:
            for each in who:
                (await tx.get_one(Person, each.person)).password_hash = None

    async def with_password(self, who: Someone) -> None:
        """The one of tests."""
        password_hash = await passwords.hashed(PASSWORD)
        async with self.plane.working() as tx:
            (await tx.get_one(Person, who.person)).password_hash = password_hash

    async def owner(self) -> Someone:
        """Of an organisation of his own."""
        return await self.join(await self.organisation(), OrgRole.OWNER)

    async def session(self, who: Someone) -> Headers:
        token, session = tokens.new_session_token(), SessionId(new_id())
        row = Session(
            id=session,
            person_id=who.person,
            org_id=who.org,
            token_hash=tokens.digest(token),
            user_agent=None,
            network=None,
            seen_at=utcnow(),
            created_at=utcnow(),
            expires_at=utcnow() + dt.timedelta(days=1),
        )
        async with self.plane.working() as tx:
            tx.add(row)
        return {"Cookie": f"session={token}", "X-CSRF-Token": tokens.csrf(self.plane.settings.secrets[0], session)}

    async def key(self, who: Someone, *scopes: str) -> tuple[KeyId, Headers]:
        new, key = tokens.new_key(), KeyId(new_id())
        row = ApiKey(
            id=key,
            org_id=who.org,
            person_id=who.person,
            name="x",
            prefix=new.prefix,
            token_hash=tokens.digest(new.secret),
            scopes=list(scopes),
            created_at=utcnow(),
            expires_at=None,
            last_used_at=None,
            revoked_at=None,
        )
        async with self.plane.working() as tx:
            tx.add(row)
        return key, {"Authorization": f"Bearer {new.secret}"}

    async def token(self, who: Someone, *scopes: str) -> Headers:
        key, _ = await self.key(who, FULL)
        claims = tokens.Claims(person=who.person, org=who.org, key=key, scopes=scopes)
        minted, _ = tokens.mint(self.plane.settings.secrets[0], claims, utcnow())
        return {"Authorization": f"Bearer {minted}"}

    async def role_of(self, org: OrgId, person: UUID) -> OrgRole | None:
        async with self.plane.working() as tx:
            member = await tx.get(Member, (org, person))
        return member.role if member else None


async def forget_terms(databases: Databases) -> None:
    """Else nothing would work in the tests that follow."""
    await databases.sql("DELETE FROM terms; UPDATE people SET accepted_terms = NULL")


@asynccontextmanager
async def called(plane: Plane, databases: Databases) -> AsyncIterator[People]:
    transport = httpx.ASGITransport(cast(Any, create_app(plane, Hub(plane))))  # two spellings of ASGI
    async with httpx.AsyncClient(transport=transport, base_url=f"{plane.settings.public_url}/api/v1") as http:
        http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # each request shows its own
        yield People(plane, http, databases)


@pytest.fixture(scope="session")
async def people(plane: Plane, migrated: Databases) -> AsyncIterator[People]:
    """Throttled by nobody, as those that ask `api`."""
    async with called(unhurried(plane), migrated) as made:
        yield made
