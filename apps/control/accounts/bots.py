"""Bot check: who asks for an account, a password or a mail too often, or at all where anybody may come, first proves
to be no robot.

    by default    a proof of work in ALTCHA's protocol: find the number n ≤ maxnumber with SHA-256(salt + n) = challenge
    Turnstile     another's word, where it is configured

A challenge is signed and kept nowhere. Its salt says until when it is good and ends with a mark, so that no digit of
the number can be counted as its own; a challenge that was answered is spent.
"""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import re
import secrets

import httpx
import msgspec
from msgspec import Struct

from control.accounts import throttle, tokens
from control.accounts.throttle import Rule, Throttle, Throttled
from control.config import Settings
from control.errors import Refusal, Unavailable
from control.http import Asked, client_ip, tell_rate
from control.outward import trusted
from control.plane import Plane
from telemetry import logs
from wire.units import MINUTE_S

log = logs.get(__name__)

ALGORITHM = "SHA-256"
LASTS_S = 10 * MINUTE_S
"""A slow telephone works for seconds; somebody may have opened the page a while ago."""
SPENT = Rule("bot-check", 1, LASTS_S, scales=False)
"""One challenge; remembered for as long as it is good."""
ANSWER_CHARS_MAX = 4_096
TURNSTILE_S = 5.0
"""Whoever signs in waits for it."""

_SALT = re.compile(r"[0-9a-f]{24}\?expires=(\d{1,12})&")


class BotCheckNeeded(Refusal):
    """No bad deed: the same again, with the check."""

    status = 403
    code = "bot_check_needed"


class Challenge(Struct, frozen=True):
    """As ALTCHA's widget takes it from its `challengeurl`."""

    algorithm: str
    challenge: str
    maxnumber: int
    salt: str
    signature: str


class Solution(Struct, frozen=True):
    """As the widget sends it, in JSON and base64; `took` and whatever else it says is not looked at."""

    algorithm: str
    challenge: str
    number: int
    salt: str
    signature: str


class Verdict(Struct, frozen=True):
    """What Turnstile says; its error codes are logged."""

    success: bool
    errors: list[str] = msgspec.field(default_factory=list, name="error-codes")


async def check(
    plane: Plane, throttling: Throttle, request: Asked, answer: str | None, now: dt.datetime, *, suspicious: bool
) -> None:
    settings = plane.settings
    if settings.bot_check == "off" or not (suspicious or settings.checks_always):
        return
    if answer is None:
        raise BotCheckNeeded("Show first that you are no robot: see GET /api/v1/auth/bot-check.")
    if settings.bot_check == "turnstile":
        passed = await _asked_elsewhere(settings, answer, client_ip(request))
    else:
        passed = await _spend(settings, throttling, answer, now)
    if not passed:
        raise BotCheckNeeded("This check is wrong, too old or was used already: make a new one.")


async def count(
    plane: Plane, throttling: Throttle, request: Asked, rule: Rule, answer: str | None, now: dt.datetime
) -> None:
    """By who asks, never by the account that it is about: nobody can use up somebody else's tries. Whoever is over the
    rule may go on by checks; where there are none, not."""
    suspicious = False
    try:
        standing = await throttling.hit(rule, throttle.address(client_ip(request)), now=now)
        tell_rate(request, standing.headers)
    except Throttled:
        if plane.settings.bot_check == "off":
            raise
        suspicious = True
    await check(plane, throttling, request, answer, now, suspicious=suspicious)


def challenge(settings: Settings, now: dt.datetime) -> Challenge:
    salt = f"{secrets.token_hex(12)}?expires={int(now.timestamp()) + LASTS_S}&"
    most = settings.bot_check_work
    hashed = _hashed(salt, secrets.randbelow(most + 1))
    return Challenge(ALGORITHM, hashed, most, salt, _signed(settings.secrets[0], hashed))


def solved(settings: Settings, answer: str, now: dt.datetime) -> str | None:
    """The challenge that was solved, if it is ours, whole and in time. Pure."""
    try:
        raw = base64.b64decode(answer[:ANSWER_CHARS_MAX].encode("ascii"), validate=True)
        said = msgspec.json.decode(raw, type=Solution)
    except (binascii.Error, UnicodeError, msgspec.DecodeError):
        return None
    fits = _SALT.fullmatch(said.salt)
    if said.algorithm != ALGORITHM or fits is None or said.number < 0 or int(fits[1]) <= now.timestamp():
        return None
    signed = any(tokens.same(said.signature, _signed(secret, said.challenge)) for secret in settings.secrets)
    return said.challenge if signed and tokens.same(_hashed(said.salt, said.number), said.challenge) else None


async def _spend(settings: Settings, throttling: Throttle, answer: str, now: dt.datetime) -> bool:
    found = solved(settings, answer, now)
    if found is None:
        return False
    try:
        await throttling.hit(SPENT, found, now=now)
    except Throttled:
        return False
    return True


async def _asked_elsewhere(settings: Settings, answer: str, ip: str) -> bool:
    form = {"secret": settings.turnstile_secret or "", "response": answer[:ANSWER_CHARS_MAX], "remoteip": ip}
    try:
        async with httpx.AsyncClient(verify=trusted(), timeout=TURNSTILE_S) as http:
            said = await http.post(settings.turnstile_verify_url, data=form)
            said.raise_for_status()
            verdict = msgspec.json.decode(said.content, type=Verdict)
    except (httpx.HTTPError, msgspec.DecodeError) as failure:
        log.warning("bot_check.away", reason=repr(failure))
        raise Unavailable("Whoever checks for robots does not answer; try again in a moment.") from None
    if not verdict.success:
        log.info("bot_check.refused", errors=verdict.errors)
    return verdict.success


def _hashed(salt: str, number: int) -> str:
    return hashlib.sha256(f"{salt}{number}".encode()).hexdigest()


def _signed(secret: bytes, challenged: str) -> str:
    return hmac.new(tokens.derived(secret, b"altcha"), challenged.encode(), "sha256").hexdigest()
