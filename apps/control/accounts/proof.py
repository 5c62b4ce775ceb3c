"""Proof, before something that a borrowed browser must not do: the password once more, or a sign-in of just now."""

import datetime as dt
from typing import Annotated

from msgspec import Meta
from sqlalchemy import select

from control.accounts import passwords, throttle
from control.accounts.model import Person, Session
from control.accounts.throttle import Throttle
from control.auth import Principal
from control.errors import Forbidden
from control.http import About, Asked, tell_about
from control.plane import Plane
from wire.clock import utcnow
from wire.units import MINUTE_S

Reason = Annotated[str, Meta(min_length=10, max_length=500, pattern=r"\S")]
"""Of what is done to others, beside the proof: somebody will read it in a year."""
FRESH_S = 10 * MINUTE_S
"""For who has no password: signed in with the passkey or the other provider within this."""


async def prove(plane: Plane, throttling: Throttle, request: Asked, who: Principal, password: str | None) -> str | None:
    """Gives the hash that the password fits, for who changes it: then it must still be the one.

    Tries are counted by session: who guesses in a stolen one keeps nobody out."""
    now = utcnow()
    await throttling.hit(throttle.PROVE, str(who.by), now=now)
    tell_about(request, About(f"person:{who.person}"))
    async with plane.asking(who.asker) as tx:
        known_hash = await tx.scalar(select(Person.password_hash).where(Person.id == who.person))
        begun_at = await tx.scalar(select(Session.created_at).where(Session.id == who.by))
    if known_hash is None:
        if begun_at is None or begun_at < now - dt.timedelta(seconds=FRESH_S):
            raise Forbidden("Sign in again first: this needs a sign-in of the last ten minutes.", code="stale_sign_in")
        return None
    if not await passwords.matches(password or "", known_hash):
        raise Forbidden("This is not your password.", code="wrong_password")
    return known_hash
