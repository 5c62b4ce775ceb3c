"""What each operation that changes something writes into the log of audit, and calls that prove it: the database itself
notes which transaction changed which tables, and every one of them must hold a row of this very request."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
from msgspec import Struct
from sqlalchemy import select, text

from control.audit.model import Entry
from control.plane import Plane
from stack import postgres as pg
from tests.support.control import Api
from tests.support.servers import Databases
from wire.ids import new_id

SOMEBODY = "somebody"


class Untold(Struct, frozen=True):
    """Nothing is written, and why."""

    why: str
    changed: frozenset[str] = frozenset()
    """Tables, nevertheless."""


Room = Mapping[str, str | Untold]

PEOPLE: Room = {
    "POST /api/v1/auth/register": "person.registered",
    "POST /api/v1/auth/verify/send": "email.verification_sent",
    "POST /api/v1/auth/verify": "email.verified",
    "POST /api/v1/auth/login": "session.started",
    "POST /api/v1/auth/login/code": "session.started",
    "POST /api/v1/auth/login/passkey": "session.started",
    "POST /api/v1/auth/login/passkey/begin": Untold(
        "A challenge for whoever comes, which is swept: visitors who never sign in would fill the log. What comes of it"
        " is told.",
        frozenset({"vouchers"}),
    ),
    "POST /api/v1/auth/providers/{name}/begin": Untold("What it begins is kept by the browser alone."),
    "GET /api/v1/auth/providers/{name}/callback": "session.started",
    "POST /api/v1/auth/logout": "session.ended",
    "POST /api/v1/auth/keys": "key.created",
    "DELETE /api/v1/auth/keys/{key_id}": "key.revoked",
    "POST /api/v1/auth/token": Untold("A signed sentence of ten minutes."),
    "POST /api/v1/auth/password": "password.changed",
    "POST /api/v1/auth/password/forgotten": "password.forgotten",
    "POST /api/v1/auth/password/reset": "password.reset",
    "POST /api/v1/auth/email": "email.change_asked",
    "POST /api/v1/auth/email/confirm": "email.changed",
    "POST /api/v1/auth/passkeys/begin": "passkey.offered",
    "POST /api/v1/auth/passkeys": "passkey.added",
    "PATCH /api/v1/auth/passkeys/{passkey}": "passkey.renamed",
    "DELETE /api/v1/auth/passkeys/{passkey}": "passkey.removed",
    "POST /api/v1/auth/identities": "identity.added",
    "DELETE /api/v1/auth/identities/{identity}": "identity.removed",
    "POST /api/v1/auth/second-factor": "second_factor.offered",
    "POST /api/v1/auth/second-factor/confirm": "second_factor.on",
    "POST /api/v1/auth/second-factor/recovery-codes": "recovery_codes.made",
    "POST /api/v1/auth/second-factor/end": "second_factor.off",
    "POST /api/v1/auth/sessions/end-others": "session.all_ended",
    "DELETE /api/v1/auth/sessions/{session}": "session.ended",
    "GET /api/v1/auth/export": "person.exported",
    "POST /api/v1/auth/leave": "person.deleted",
    "POST /api/v1/terms/accept": "terms.accepted",
}
ORGANISATIONS: Room = {
    "POST /api/v1/organisations": "organisation.created",
    "POST /api/v1/organisations/{org_id}/enter": "session.entered",
    "POST /api/v1/organisations/{org_id}/leave": "member.left",
    "PATCH /api/v1/organisation": "organisation.renamed",
    "POST /api/v1/organisation/close": "organisation.deleted",
    "PATCH /api/v1/organisation/members/{person_id}": "member.changed",
    "DELETE /api/v1/organisation/members/{person_id}": "member.removed",
    "POST /api/v1/organisation/invitations": "invitation.sent",
    "POST /api/v1/organisation/invitations/{invitation_id}/resend": "invitation.sent_again",
    "DELETE /api/v1/organisation/invitations/{invitation_id}": "invitation.revoked",
    "POST /api/v1/invitations/look": Untold("Reads what a link invites to."),
    "POST /api/v1/invitations/accept": "member.joined",
    "GET /api/v1/audit.csv": "audit.exported",
    "GET /api/v1/audit.jsonl": "audit.exported",
    "PATCH /api/v1/organisation/speed": "organisation.limited",
}
WEBHOOKS: Room = {
    "POST /api/v1/webhooks": "webhook.added",
    "PATCH /api/v1/webhooks/{webhook_id}": "webhook.changed",
    "DELETE /api/v1/webhooks/{webhook_id}": "webhook.removed",
    "POST /api/v1/webhooks/{webhook_id}/secret": "webhook.secret_turned",
    "POST /api/v1/webhooks/{webhook_id}/test": "webhook.tested",
    "POST /api/v1/webhooks/{webhook_id}/replay": "webhook.replayed",
    "POST /api/v1/webhooks/{webhook_id}/calls/{call_id}/replay": "webhook.replayed",
}
JOBS: Room = {
    "POST /api/v1/torrents/inspect": Untold("Reads what was sent."),
    "POST /api/v1/jobs": "job.added",
    "PATCH /api/v1/jobs/{job_id}": "job.edited",
    "DELETE /api/v1/jobs/{job_id}": "job.removed",
    "POST /api/v1/jobs/{job_id}/pause": "job.paused",
    "POST /api/v1/jobs/{job_id}/resume": "job.resumed",
    "POST /api/v1/jobs/{job_id}/cancel": "job.cancelled",
    "POST /api/v1/jobs/{job_id}/retry": "job.retried",
    "POST /api/v1/jobs/{job_id}/reannounce": "job.reannounced",
    "POST /api/v1/jobs/{job_id}/files/{index}/link": "link.made",
}
PLATFORM: Room = {
    "PUT /api/v1/admin/roles": "person.role_given",
    "POST /api/v1/admin/dead-letters/replay": "dead_letter.replayed",
    "GET /api/v1/admin/audit.csv": "audit.exported",
    "GET /api/v1/admin/audit.jsonl": "audit.exported",
    "POST /api/v1/fleet/tokens": "fleet.token_made",
    "PATCH /api/v1/fleet/agents/{agent}": "fleet.renamed",
    "POST /api/v1/fleet/agents/{agent}/cordon": "fleet.cordoned",
    "POST /api/v1/fleet/agents/{agent}/uncordon": "fleet.uncordoned",
    "POST /api/v1/fleet/agents/{agent}/drain": "fleet.draining",
    "POST /api/v1/fleet/agents/{agent}/retire": "fleet.retired",
    "PUT /api/v1/fleet/pools/{pool}": "fleet.pool_described",
    "PATCH /api/v1/fleet/agents/{agent}/speed": "fleet.limited",
}
CONSOLE: Room = {
    "POST /api/v1/admin/announcements": "announcement.made",
    "DELETE /api/v1/admin/announcements/{announcement}": "announcement.taken_back",
    "POST /api/v1/admin/jobs/{job_id}/terminate": "job.terminated",
    "POST /api/v1/admin/people/{person_id}/sign-out": "person.signed_out",
    "PUT /api/v1/admin/flags/{flag}": "flag.switched",
    "PUT /api/v1/admin/plans/{plan}": "plan.described",
    "PUT /api/v1/admin/plans/{plan}/default": "plan.made_default",
    "POST /api/v1/admin/plans/{plan}/drop": "plan.dropped",
    "PUT /api/v1/admin/organisations/{org_id}/plan": "organisation.plan_changed",
    "PUT /api/v1/admin/organisations/{org_id}/limits": "organisation.limits_changed",
    "POST /api/v1/admin/storage/sweeps": "storage.sweep_asked",
}
ABUSE: Room = {
    "POST /api/v1/admin/blocklist": "torrent.blocked",
    "POST /api/v1/admin/blocklist/import": "torrent.blocked",
    "POST /api/v1/admin/blocklist/remove": "torrent.unblocked",
    "POST /api/v1/admin/people/{person_id}/suspend": "person.suspended",
    "POST /api/v1/admin/people/{person_id}/unsuspend": "person.unsuspended",
    "POST /api/v1/admin/organisations/{org_id}/suspend": "organisation.suspended",
    "POST /api/v1/admin/organisations/{org_id}/unsuspend": "organisation.unsuspended",
    "POST /api/v1/admin/terms": "terms.published",
    "POST /api/v1/takedowns": "case.received",
    "POST /api/v1/takedowns/{case_id}/counter-notice": "case.countered",
    "POST /api/v1/admin/cases/{case_id}/decide": "case.decided",
}
EVERYTHING = {**PEOPLE, **ORGANISATIONS, **WEBHOOKS, **JOBS, **PLATFORM, **CONSOLE, **ABUSE}

_SEEN = "'{seen_at,network,last_used_at,networks}'::text[]"
"""That a session or a key was seen is noted with whatever it asks for, and is no change of anybody's."""
_BESIDE = "'{answers,rates}'::text[]"
"""Tables that only remember that somebody asked."""
_WATCH = f"""
CREATE SCHEMA watched;
CREATE TABLE watched.changes (tx xid8 NOT NULL, changed text NOT NULL, request_id text);
GRANT USAGE ON SCHEMA watched TO {pg.WORK};
GRANT SELECT, DELETE ON watched.changes TO {pg.WORK};
CREATE FUNCTION watched.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - {_SEEN} = to_jsonb(NEW) - {_SEEN} THEN
    RETURN NULL;
  END IF;
  INSERT INTO watched.changes VALUES (pg_current_xact_id(), TG_TABLE_NAME,
    CASE WHEN TG_TABLE_NAME = 'audit' THEN to_jsonb(NEW) ->> 'request_id' END);
  RETURN NULL;
END $$;
DO $$ DECLARE each regclass; BEGIN
  FOR each IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    AND relname <> ALL ({_BESIDE}) LOOP
    EXECUTE format('CREATE TRIGGER watched AFTER INSERT OR UPDATE OR DELETE ON %s'
      ' FOR EACH ROW EXECUTE FUNCTION watched.note()', each);
  END LOOP;
END $$;
"""
_UNWATCH = "DROP SCHEMA watched CASCADE"
_CHANGES = text("SELECT tx::text, changed, request_id FROM watched.changes")


class Seen(Struct, frozen=True):
    """What one request did."""

    rows: list[Entry]
    """Of the log, with its request id."""
    changed: frozenset[str]
    """Tables."""
    untold: dict[str, set[str]]
    """Tables by transaction, of those that changed something and hold no row of this request."""


class Someone(Struct, frozen=True):
    http: httpx.AsyncClient
    id: str
    email: str
    org: str

    @property
    def name(self) -> str:
        return f"person:{self.id}"


@asynccontextmanager
async def somebody(own: Api) -> AsyncIterator[Someone]:
    """New, in an organisation of their own."""
    async with own.member() as http:
        me = (await http.get("/api/v1/auth/me")).json()
        yield Someone(http, me["id"], me["email"], me["organisation"]["id"])


class Told:
    """Makes the calls of one room, and looks."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.done: set[str] = set()

    async def call(
        self,
        http: httpx.AsyncClient,
        operation: str,
        body: Mapping[str, Any] | None = None,
        *,
        by: str = SOMEBODY,
        says: str | None = None,
        files: Mapping[str, Any] | None = None,
        lines: str | None = None,
        query: Mapping[str, str] | None = None,
        **places: str,
    ) -> httpx.Response:
        """`by`: how the actor's name begins. `says`: an action other than the table's, where there are several."""
        method, _, path = operation.partition(" ")
        request_id = f"told-{new_id()}"
        await self._forget()
        answer = await http.request(
            method,
            path.format(**places),
            json=body,
            files=files,
            content=lines,
            params=query,
            headers={"X-Request-Id": request_id} | ({"Content-Type": "text/csv"} if lines else {}),
        )
        assert answer.status_code < 400, f"{operation}: {answer.text}"
        seen = await self._seen(request_id)
        expected = EVERYTHING[operation]
        if isinstance(expected, Untold):
            assert seen.rows == [], operation
            assert seen.changed == expected.changed, operation
        else:
            assert (says or expected) in [row.action for row in seen.rows], operation
            assert {(row.actor[: len(by)], row.ip) for row in seen.rows} == {(by, "127.0.0.1")}, operation
            assert seen.untold == {}, operation
            assert method == "GET" or seen.changed > {"audit"}, f"{operation} has changed nothing"
        self.done.add(operation)
        return answer

    async def changed(self, http: httpx.AsyncClient, path: str) -> frozenset[str]:
        """Tables, by whatever GET this is."""
        await self._forget()
        answer = await http.get(path)
        assert answer.status_code == 200, answer.text
        return (await self._seen("-")).changed

    async def _forget(self) -> None:
        """What tests arrange between two calls."""
        async with self.plane.working() as tx:
            await tx.execute(text("DELETE FROM watched.changes"))

    async def _seen(self, request_id: str) -> Seen:
        async with self.plane.working() as tx:
            rows = list(await tx.scalars(select(Entry).where(Entry.request_id == request_id).order_by(Entry.id)))
            noted = (await tx.execute(_CHANGES)).all()
        told = {number for number, _, said_by in noted if said_by == request_id}
        untold: dict[str, set[str]] = {}
        for number, changed, _ in noted:
            if number not in told:
                untold.setdefault(number, set()).add(changed)
        return Seen(rows, frozenset(changed for _, changed, _ in noted), untold)


@asynccontextmanager
async def telling(plane: Plane, databases: Databases) -> AsyncIterator[Told]:
    """While it lasts the database notes every row that changes; only what its own tests call may be running."""
    await databases.sql(_WATCH)
    try:
        yield Told(plane)
    finally:
        await databases.sql(_UNWATCH)
