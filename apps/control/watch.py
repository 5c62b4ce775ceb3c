"""Security events: refusals that somebody should know of, written into the audit log, each source within bounds.

One place for all of them, behind whatever was raised: a route that refuses need not think of it. What is over the
bounds is counted and not written, so that nobody fills the log, or hides in it, by asking often.
"""

import asyncio
from uuid import UUID

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from litestar.types import Scope
from msgspec import Struct, structs
from prometheus_client import Counter

from control import db
from control.accounts.throttle import address
from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.auth import actor_of
from control.db import Asker
from control.errors import Forbidden, Refusal
from control.http import About, Asked, client_ip
from control.plane import Plane
from telemetry import logs
from wire.clock import utcnow
from wire.ids import OrgId

log = logs.get(__name__)

OF_ONE_SOURCE = RateLimitItemPerMinute(10, namespace="security-events")
"""One address, one kind of event: enough to see that it goes on."""
OF_ALL = RateLimitItemPerMinute(600, namespace="all-security-events")
"""Both of one process: many addresses cost an attacker little, too. 600 rows are some 400 KB."""
WRITE_S = 2.0
"""Whoever is refused waits for the row; a database that is slow is no reason to wait long."""

_EVENTS = Counter("control_security_events_total", "Security events, written or not.", ["action", "written"])


class Event(Struct, frozen=True):
    action: str
    severity: Severity


BY_CODE = {
    "bad_credentials": Event("sign_in.failed", Severity.NOTICE),
    "bad_code": Event("sign_in.failed", Severity.WARNING),
    "suspended": Event("suspended.refused", Severity.NOTICE),
    "organisation_suspended": Event("suspended.refused", Severity.NOTICE),
    "torrent_blocked": Event("torrent.refused", Severity.NOTICE),
    "too_many_requests": Event("request.throttled", Severity.WARNING),
    "csrf": Event("request.forged", Severity.WARNING),
    "cross_site": Event("request.forged", Severity.WARNING),
    "wrong_password": Event("proof.failed", Severity.NOTICE),
    "stale_sign_in": Event("proof.failed", Severity.INFO),
    "unknown_agent": Event("agent.refused", Severity.WARNING),
    "agent_retired": Event("agent.refused", Severity.NOTICE),
    "token_unknown": Event("enrolment.refused", Severity.WARNING),
    "token_used": Event("enrolment.refused", Severity.WARNING),
    "token_expired": Event("enrolment.refused", Severity.NOTICE),
}
NOT_ALLOWED = Event("permission.refused", Severity.WARNING)
"""Whatever else is forbidden: a page of ours offers nobody what they may not do."""


class Watch:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._bounds = MovingWindowRateLimiter(MemoryStorage())

    async def refused(self, failure: Exception, scope: Scope) -> None:
        """Litestar calls it with every exception, before the answer."""
        event = event_of(failure)
        if event is None:
            return
        request: Asked = Asked(scope)
        if not await self._has_room(event.action, address(client_ip(request))):
            _EVENTS.labels(event.action, "no").inc()
            return
        state = scope["state"]
        about: About = state.get("about") or About(f"route:{scope.get('path_template') or '-'}")
        actor = actor_of(request, state.get("who"))
        assert isinstance(failure, Refusal)
        await self._write(event, structs.replace(actor, org=actor.org or about.org), about.target, failure.code)

    async def _has_room(self, action: str, source: str) -> bool:
        return await self._bounds.hit(OF_ONE_SOURCE, action, source) and await self._bounds.hit(OF_ALL)

    async def _write(self, event: Event, actor: Actor, target: str, code: str) -> None:
        """The refusal stands, whether or not it can be written down."""
        try:
            async with asyncio.timeout(WRITE_S), self._plane.db.asking(Asker(org=_org(actor.org))) as tx:
                await audit.record_as(tx, event.severity, actor, event.action, target, utcnow(), code=code)
        except Exception as away:
            if not db.is_away(away):
                raise
            log.warning("security.not_written", action=event.action, target=target, code=code, reason=repr(away))
            _EVENTS.labels(event.action, "no").inc()
        else:
            _EVENTS.labels(event.action, "yes").inc()


def event_of(failure: Exception) -> Event | None:
    if not isinstance(failure, Refusal):
        return None
    return BY_CODE.get(failure.code) or (NOT_ALLOWED if isinstance(failure, Forbidden) else None)


def _org(org: UUID | None) -> OrgId | None:
    return OrgId(org) if org else None
