"""Throttling of what may be guessed at or flooded: the rules, and how a caller stands with one.

Nobody can lock somebody else out: what counts is who tries (an address), or an address together with the account it
tries, never the account alone. Counted for all api processes together (`accounts.rates`); what one of them knows to be
refused it refuses by itself, and of a rule that is hit often it takes several hits at once.
"""

import datetime as dt
import math
from collections import OrderedDict
from ipaddress import IPv4Address, ip_address, ip_network

from msgspec import Struct

from control.accounts import rates
from control.accounts.rates import Count
from control.db import Database
from control.errors import TooMany
from wire.units import MINUTE_S

KNOWN_MAX = 10_000
"""Of callers that one process remembers something about; of others it asks PostgreSQL."""


class Rule(Struct, frozen=True):
    name: str
    times: int
    window_s: int
    at_once: int = 1
    """So many hits a process takes together."""
    scales: bool = True

    def held_s(self, times: int) -> float:
        """Twice the time in which as many are let through where `times` are, so that what nobody used is never more
        than half of the rate. Where more than usual are it may be longer."""
        return 2 * self.at_once * self.window_s / min(times, self.times)


def address(ip: str) -> str:
    """What counts as one address: of IPv6 the /64, which a single machine has to itself."""
    try:
        known = ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(known, IPv4Address):
        return ip
    return str(known.ipv4_mapped or ip_network((known, 64), strict=False))


TRY_PASSWORD = Rule("sign-in", 10, MINUTE_S)
"""One address at one account: more than any typing person, too few to guess."""
FAIL_PASSWORD = Rule("sign-in-failures", 50, 10 * MINUTE_S)
"""One address at all accounts: an office behind one address mistypes less."""
FAIL_ACCOUNT = Rule("account-failures", 20, 15 * MINUTE_S)
"""One account, wherever it comes from. It refuses nobody: beyond it signing in takes a bot check."""
REGISTER = Rule("register", 100, 10 * MINUTE_S)
"""One address: each costs a password hash and three rows."""
BY_MAIL = Rule("by-mail", 60, 10 * MINUTE_S)
"""One address: what makes us write mails, and what mails lead to."""
NOTICE = Rule("takedown-notice", 20, 60 * MINUTE_S)
"""One address: somebody reads each."""
PROVE = Rule("prove", 10, MINUTE_S)
"""One session: the password once more."""
FAIL_CODE = Rule("code-failures", 10, 15 * MINUTE_S)
"""One person, wherever it comes from: a million codes are guessed in minutes from many addresses. Only who knows the
password comes so far, so nobody else can use these up; a new password by mail ends it."""
INSPECT = Rule("inspect", 120, MINUTE_S)
"""One principal: reading a `.torrent` costs up to a second of CPU."""
INVITE = Rule("invite", 60, 60 * MINUTE_S)
"""One organisation: each becomes a mail to somebody who did not ask for it."""
LOOK = Rule("look-at-invitation", 60, MINUTE_S)
"""One address; what it would guess at has 256 bits."""
ADD_JOB = Rule("add-job", 300, MINUTE_S, at_once=10)
"""One organisation: a script that adds its whole list is slowed down, not stopped."""
READ = Rule("read", 1200, MINUTE_S, at_once=20)
"""One account or key, all that changes nothing: a page with a hundred jobs asks twice a second."""
WRITE = Rule("write", 600, MINUTE_S, at_once=10)
"""One account or key, all that changes something."""
ANYBODY = Rule("anybody", 600, MINUTE_S, at_once=10)
"""One address, all that needs no account, or comes with credentials that are not good."""


class Standing(Struct, frozen=True):
    """Where a caller stands with a rule, as the RateLimit headers say it."""

    rule: Rule
    times: int
    left: int
    reset_s: int

    @property
    def headers(self) -> dict[str, str]:
        name, window_s = self.rule.name, self.rule.window_s
        return {
            "RateLimit-Policy": f'"{name}";q={self.times};w={window_s}',
            "RateLimit": f'"{name}";r={self.left};t={self.reset_s}',
        }


class Throttled(TooMany):
    def __init__(self, standing: Standing) -> None:
        super().__init__(
            f"Too many requests; the next try is possible in {standing.reset_s} s.", retry_after_s=standing.reset_s
        )
        self.headers = standing.headers


class Held(Struct):
    """What this process knows of one caller: hits that it took and did not use yet, or that there are none until."""

    left: int
    until: float
    count: Count


class Throttle:
    """One a process. `scale`: all rules let so many times more through."""

    def __init__(self, db: Database, scale: float = 1) -> None:
        self._db = db
        self._scale = scale
        self._known: OrderedDict[str, Held] = OrderedDict()

    async def hit(self, rule: Rule, *who: str, now: dt.datetime) -> Standing:
        """Counts, and refuses what is too much."""
        key, times, at = _key(rule, who), self._times(rule), now.timestamp()
        held = self._known.get(key)
        if held is None or held.until <= at:
            held = await self._take(rule, key, times, at)
        if held.left == 0:
            raise Throttled(_standing(rule, held.count, times, 0, at))
        held.left -= 1
        left = max(0, times - math.ceil(rates.used(held.count, rule.window_s, at))) + held.left
        if held.left == 0:
            held.until = rates.free_at(held.count, times, rule.window_s)  # now, if there is more: the next one asks
        return _standing(rule, held.count, times, left, at)

    async def check(self, rule: Rule, *who: str, now: dt.datetime) -> None:
        """Refuses without counting: `hit` follows if the try fails."""
        if not await self.has_room(rule, *who, now=now):
            key, at = _key(rule, who), now.timestamp()
            raise Throttled(_standing(rule, self._known[key].count, self._times(rule), 0, at))

    async def has_room(self, rule: Rule, *who: str, now: dt.datetime) -> bool:
        key, times, at = _key(rule, who), self._times(rule), now.timestamp()
        held = self._known.get(key)
        if held is not None and held.until > at:
            return held.left > 0
        count = await rates.look(self._db, key)
        if count is None or rates.free_at(count, times, rule.window_s) <= at:
            return True
        self._remember(key, Held(0, rates.free_at(count, times, rule.window_s), count))
        return False

    async def _take(self, rule: Rule, key: str, times: int, at: float) -> Held:
        """Others of this process may ask for the same at the same time: what they took before us is not lost."""
        count = await rates.take(self._db, key, times, rule.window_s, min(rule.at_once, times), at)
        earlier = self._known.get(key)
        spare = earlier.left if earlier is not None and earlier.until > at else 0
        until = at + rule.held_s(times) if count.took + spare else rates.free_at(count, times, rule.window_s)
        held = Held(count.took + spare, until, count)
        self._remember(key, held)
        return held

    def _remember(self, key: str, held: Held) -> None:
        self._known[key] = held
        self._known.move_to_end(key)
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _times(self, rule: Rule) -> int:
        return max(1, round(rule.times * self._scale)) if rule.scales else rule.times


def _key(rule: Rule, who: tuple[str, ...]) -> str:
    return "/".join((rule.name, *who))


def _standing(rule: Rule, count: Count, times: int, left: int, at: float) -> Standing:
    at_free = rates.free_at(count, times, rule.window_s) if left == 0 else count.began + rule.window_s
    return Standing(rule, times, left, max(1, math.ceil(at_free - at)))
