"""Routes of the bot check: which one there is, and a challenge to solve."""

from typing import Literal

from litestar import get
from litestar.di import NamedDependency
from msgspec import Struct

from control.accounts import bots
from control.accounts.bots import Challenge
from control.accounts.permissions import ANYBODY
from control.plane import Plane
from wire.clock import utcnow

TAG = ["accounts"]


class BotCheck(Struct, frozen=True):
    kind: Literal["altcha", "turnstile", "off"]
    always: bool
    """Asked for each time; else only when `bot_check_needed` is answered. Send it as `bot_check`."""
    challenge_url: str | None
    """For ALTCHA's widget, or whoever else solves it."""
    site_key: str | None
    """For Turnstile's."""


@get(
    "/auth/bot-check",
    permission=ANYBODY,
    summary="How one shows to be no robot, before registering, signing in or asking for a mail",
    tags=TAG,
    sync_to_thread=False,
)
def which(plane: NamedDependency[Plane]) -> BotCheck:
    settings = plane.settings
    url = "/api/v1/auth/bot-check/challenge" if settings.bot_check == "altcha" else None
    key = settings.turnstile_site_key if settings.bot_check == "turnstile" else None
    return BotCheck(settings.bot_check, settings.checks_always and settings.bot_check != "off", url, key)


@get(
    "/auth/bot-check/challenge",
    permission=ANYBODY,
    summary="A challenge in ALTCHA's protocol, good once and for ten minutes",
    tags=TAG,
    sync_to_thread=False,
)
def challenge(plane: NamedDependency[Plane]) -> Challenge:
    return bots.challenge(plane.settings, utcnow())


FOR_EVERYBODY = [which, challenge]
