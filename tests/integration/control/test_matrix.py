"""Every operation of the OpenAPI document × whoever may ask: the verdict is the table's, and another organisation's
things are not there. Nothing is listed here that could be forgotten: an operation that is new is in the matrix."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from msgspec import Struct
from sqlalchemy import func, select, update

from control.accounts.model import Identity, Organisation, Passkey, Person, Terms
from control.accounts.permissions import (
    ANYBODY,
    BY_SESSION,
    FULL,
    IN_ORGANISATION,
    ON_PLATFORM,
    READ_ONLY,
    Kind,
    OrgRole,
    Permission,
    PlatformRole,
    granted,
)
from tests.support.control import torrent_file
from tests.support.people import Headers, People, Someone, forget_terms
from wire.clock import utcnow
from wire.ids import new_id

METHODS = ("get", "post", "put", "patch", "delete")
BASE = "/api/v1"
ABREAST = 4
"""Of those who ask. With more, a busy machine opens so many connections at once that some are given up."""


class Axis(Struct, frozen=True):
    """Somebody who asks. A new kind of somebody is one more line of AXES."""

    name: str
    role: OrgRole | None = OrgRole.VIEWER
    platform_role: PlatformRole = PlatformRole.USER
    kind: Kind | None = "session"
    """None: nobody is signed in."""
    scopes: tuple[str, ...] = ()
    kept_out: str | None = None
    """By which code, from what is beyond one's own account."""

    def verdict(self, needed: str) -> str:
        if needed == ANYBODY:
            return "let in"
        if self.kind is None:
            return "unknown"
        own = self.kind == "session" and needed in BY_SESSION
        match self.kept_out:
            case "suspended":
                return "suspended"
            case "terms_not_accepted" if not own:
                return "terms_not_accepted"
            case "organisation_suspended" if self.kind != "session" or needed in IN_ORGANISATION:
                return "organisation_suspended"
        scopes = None if self.kind == "session" else self.scopes
        may = granted(self.role, self.platform_role, self.kind, scopes)
        return "let in" if needed in may else f"denied {needed}"


TOP = (OrgRole.OWNER, PlatformRole.SUPERADMIN)
AXES = [
    Axis("anonymous", kind=None),
    Axis("in no organisation", role=None),
    *(Axis(f"{role}", role=role) for role in OrgRole),
    *(Axis(f"platform {role}", platform_role=role) for role in PlatformRole),
    Axis("key without scopes", *TOP, kind="key"),
    Axis("key to read", *TOP, kind="key", scopes=(READ_ONLY,)),
    Axis("key for one thing", *TOP, kind="key", scopes=(Permission.JOBS_WRITE,)),
    Axis("key with all scopes, of a viewer", kind="key", scopes=("full",)),
    Axis("token to read", *TOP, kind="token", scopes=(READ_ONLY,)),
    Axis("suspended", *TOP, kept_out="suspended"),
    Axis("suspended, by key", *TOP, kind="key", scopes=(FULL,), kept_out="suspended"),
    Axis("organisation suspended", *TOP, kept_out="organisation_suspended"),
    Axis("organisation suspended, by key", *TOP, kind="key", scopes=(FULL,), kept_out="organisation_suspended"),
    Axis("organisation suspended, by token", *TOP, kind="token", scopes=(FULL,), kept_out="organisation_suspended"),
    Axis("AUP not accepted", *TOP, kept_out="terms_not_accepted"),
    Axis("AUP not accepted, by key", *TOP, kind="key", scopes=(FULL,), kept_out="terms_not_accepted"),
]
KEPT_OUT = ("suspended", "organisation_suspended", "terms_not_accepted")


class Operation(Struct, frozen=True):
    method: str
    path: str
    needed: str
    names: tuple[str, ...]
    """Of the parameters in its path."""

    def at(self, **places: object) -> str:
        return self.path.format_map(places).removeprefix(BASE)


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            (first, *_) = item[method]["security"]
            needed = first["bearer"][0] if first else ANYBODY
            names = tuple(part[1:-1] for part in path.split("/") if part.startswith("{"))
            yield Operation(method.upper(), path, needed, names)


@pytest.fixture(scope="module")
async def operations(people: People) -> list[Operation]:
    document = (await people.http.get(people.plane.settings.public_url + "/api/schema")).json()
    found = [each for each in _operations(document) if each.path.startswith(BASE)]
    return sorted(found, key=lambda each: each.path.endswith("/logout"))  # it ends the session that the others use


async def _credentials(people: People, axis: Axis, terms: int) -> Headers:
    who = await people.join(await people.organisation(), axis.role, axis.platform_role)
    await _keep_out(people, axis, who, terms)
    match axis.kind:
        case None:
            return {}
        case "session":
            return await people.session(who)
        case "key":
            return (await people.key(who, *axis.scopes))[1]
        case "token":
            return await people.token(who, *axis.scopes)


def _said(answer: httpx.Response) -> str:
    if answer.is_success or answer.status_code not in (401, 403):
        return "let in" if answer.status_code < 500 else f"broken {answer.status_code}"
    problem = answer.json()
    match problem["code"]:
        case "not_signed_in":
            return "unknown"
        case "permission_denied":
            return f"denied {problem['detail'].removeprefix('This needs the permission ').partition(':')[0]}"
        case code if code in KEPT_OUT:
            return str(code)
        case _:
            return "let in"


@pytest.fixture
async def terms(people: People) -> AsyncIterator[int]:
    """In force while the test runs, which is alone in its database then."""
    now = utcnow()
    async with people.plane.working() as tx:
        version = 1 + (await tx.scalar(select(func.max(Terms.version))) or 0)
        tx.add(Terms(version=version, text="Be kind.", published_by="tests", published_at=now, effective_at=now))
    yield version
    await forget_terms(people.databases)


async def _keep_out(people: People, axis: Axis, who: Someone, terms: int) -> None:
    person, org = update(Person).where(Person.id == who.person), update(Organisation).where(Organisation.id == who.org)
    async with people.plane.working() as tx:
        if axis.kept_out != "terms_not_accepted":
            await tx.execute(person.values(accepted_terms=terms))
        if axis.kept_out == "suspended":
            await tx.execute(person.values(suspended_at=utcnow()))
        if axis.kept_out == "organisation_suspended":
            await tx.execute(org.values(suspended_at=utcnow()))


async def test_every_operation_lets_in_whom_the_table_says_and_nobody_else(
    people: People, operations: list[Operation], terms: int
) -> None:
    abreast = asyncio.Semaphore(ABREAST)

    async def wrong(axis: Axis) -> list[str]:
        headers, found = await _credentials(people, axis, terms), []
        for each in operations:
            url = each.at(**dict.fromkeys(each.names, new_id()) | {"index": 0})
            answer = await people.http.request(each.method, url, headers=headers)
            if _said(answer) != axis.verdict(each.needed):
                found.append(f"{axis.name}: {each.method} {each.path}: {_said(answer)}, {answer.text[:200]}")
        return found

    async def in_turn(axis: Axis) -> list[str]:
        async with abreast:
            return await wrong(axis)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(in_turn(axis)) for axis in AXES]
    assert [each for task in asked for each in task.result()] == []
    needed = {each.needed for each in operations}
    assert needed == {ANYBODY, *Permission} - {Permission.KEYS_MANAGE}  # which says whose keys, not whether


BODIES: dict[str, Any] = {
    "PATCH /organisation/members/": {"role": "viewer"},
    "PATCH /auth/passkeys/": {"name": "mine"},
    "PATCH /jobs/": {"name": "mine"},
    "PATCH /webhooks/": {"description": "mine"},
    "POST /webhooks/": {"since": "2026-01-01T00:00:00Z"},
}
"""What an operation must be sent to look for its thing at all."""


async def _things(people: People, home: Someone) -> dict[str, str]:
    """One of each, in an organisation at home."""
    headers = await people.session(home)
    made = await people.http.post("/jobs", files={"torrent": ("a", torrent_file("at home"))}, headers=headers)
    invited = await people.http.post("/organisation/invitations", json={"email": "a@example.org"}, headers=headers)
    key, _ = await people.key(home, READ_ONLY)
    sessions = (await people.http.get("/auth/sessions", headers=headers)).json()["items"]
    hook = await people.http.post("/webhooks", json={"url": "https://example.org/"}, headers=headers)
    webhook = hook.json()["webhook"]["id"]
    called = await people.http.post(f"/webhooks/{webhook}/test", headers=headers)
    passkey, identity, mine = new_id(), new_id(), {"person_id": home.person, "created_at": utcnow()}
    async with people.plane.working() as tx:
        secret = {"credential_hash": passkey.bytes, "credential_id": passkey.bytes, "public_key": b""}
        tx.add(Passkey(id=passkey, name="at home", sign_count=0, **mine, **secret))
        elsewhere = {"provider": "x", "issuer": "x", "subject": "x", "email": home.email}
        tx.add(Identity(id=identity, subject_hash=identity.bytes, **mine, **elsewhere))
    return {
        "session": sessions[0]["id"],
        "passkey": str(passkey),
        "identity": str(identity),
        "webhook_id": webhook,
        "call_id": called.json()["id"],
        "job_id": made.json()["id"],
        "index": "0",
        "key_id": str(key),
        "invitation_id": invited.json()["id"],
        "person_id": str(home.person),
        "org_id": str(home.org),
    }


async def test_another_organisations_things_are_not_there(people: People, operations: list[Operation]) -> None:
    home, stranger = await people.owner(), await people.owner()
    things, headers = await _things(people, home), await people.session(stranger)
    for each in operations:
        if each.needed in ON_PLATFORM or each.needed == ANYBODY:
            continue
        assert set(each.names) <= things.keys(), f"{each.path} names something that this test does not know"
        if each.names:
            said = f"{each.method} {each.at(**things)}"
            body = next((body for start, body in BODIES.items() if said.startswith(start)), None)
            answer = await people.http.request(each.method, each.at(**things), headers=headers, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), f"{each.method} {each.path}"
        elif each.method == "GET":
            answer = await people.http.get(each.at(), headers=headers)
            assert not [thing for thing in things.values() if len(thing) > 1 and thing in answer.text], each.path
    kept = await people.http.get(f"/jobs/{things['job_id']}", headers=await people.session(home))
    assert kept.json()["state"] == "submitted"
