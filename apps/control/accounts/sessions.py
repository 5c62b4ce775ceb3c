"""Sessions: where somebody is signed in. Begun with a token of their own, seen, listed, ended; their token turns over
whenever what they may do changes."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct
from sqlalchemy import delete, select, update

from control.accounts import tokens
from control.accounts.model import Person, Session
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import NotFound
from control.plans import allowance
from wire.ids import OrgId, PersonId, SessionId, new_id
from wire.units import DAY_S

SESSION_S = 14 * DAY_S
"""A browser that is used at all in a fortnight stays signed in no longer than this."""
AGENT_CHARS_MAX = 300


class Browser(Struct, frozen=True):
    """Who asks to be signed in, as far as the request tells."""

    user_agent: str | None
    network: str
    token: str | None = None
    """The session that it shows already: it ends with the new one's beginning, whoever put it there."""


async def begin(
    tx: Tx, person: PersonId, org: OrgId | None, browser: Browser, actor: Actor, now: dt.datetime
) -> tuple[str, SessionId]:
    """`tx` acts for the person in the organisation, and names the browser's earlier token, if there is one."""
    token, session = tokens.new_session_token(), SessionId(new_id())
    await hold(tx, person)
    if browser.token is not None:
        await tx.execute(delete(Session).where(Session.token_hash == tokens.digest(browser.token)))
    crowded_out = await _make_room(tx, person, now)
    tx.add(
        Session(
            id=session,
            person_id=person,
            org_id=org,
            token_hash=tokens.digest(token),
            user_agent=browser.user_agent[:AGENT_CHARS_MAX] if browser.user_agent else None,
            network=browser.network,
            seen_at=now,
            created_at=now,
            expires_at=now + dt.timedelta(seconds=SESSION_S),
        )
    )
    said = {"network": browser.network} | ({"crowded_out": crowded_out} if crowded_out else {})
    await audit.record(tx, actor, "session.started", f"session:{session}", now, **said)
    return token, session


async def hold(tx: Tx, person: PersonId) -> None:
    """The person's row: whatever is counted or replaced for one person is so one after another."""
    await tx.execute(select(Person.id).where(Person.id == person).with_for_update(key_share=True))


async def _make_room(tx: Tx, person: PersonId, now: dt.datetime) -> int:
    """Leaves room for one more, by what his plans say now; how many of them ended for that."""
    newest = (
        select(Session.id)
        .where(Session.person_id == person, Session.expires_at > now)
        .order_by(Session.created_at.desc(), Session.id.desc())
        .limit(await allowance.sessions_max(tx) - 1)
    )
    others = delete(Session).where(Session.person_id == person, Session.id.not_in(newest)).returning(Session.expires_at)
    return sum(expires_at > now for expires_at in await tx.scalars(others))


async def listed(tx: Tx, person: PersonId, now: dt.datetime) -> Sequence[Session]:
    mine = select(Session).where(Session.person_id == person, Session.expires_at > now)
    return (await tx.scalars(mine.order_by(Session.seen_at.desc().nulls_last(), Session.id.desc()))).all()


async def end(tx: Tx, person: PersonId, session: UUID, actor: Actor, now: dt.datetime) -> None:
    mine = delete(Session).where(Session.person_id == person, Session.id == session).returning(Session.id)
    if await tx.scalar(mine) is None:
        raise NotFound("There is no such session.")
    await audit.record(tx, actor, "session.ended", f"session:{session}", now)


async def end_all(tx: Tx, person: PersonId, actor: Actor, now: dt.datetime, *, but: UUID | None = None) -> int:
    """How many there were."""
    others = select(Session.id).where(
        Session.person_id == person, Session.id != but if but else Session.id.is_not(None)
    )
    ended = (await tx.scalars(delete(Session).where(Session.id.in_(others)).returning(Session.id))).all()
    if ended:
        await audit.record(tx, actor, "session.all_ended", f"person:{person}", now, count=len(ended))
    return len(ended)


async def turn_over(tx: Tx, session: UUID) -> str:
    """A new token for the session that asks: whoever copied the old one is out."""
    token = tokens.new_session_token()
    await tx.execute(update(Session).where(Session.id == session).values(token_hash=tokens.digest(token)))
    return token
