"""Throttling of what may be guessed at or flooded: moving windows, kept in this process' memory.

Nobody can lock somebody else out: what counts is who tries (an address), or an address together with the account it
tries, never the account alone.
"""

import datetime as dt
import math
from ipaddress import IPv4Address, ip_address, ip_network

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from msgspec import Struct

from control.errors import TooMany
from wire.units import MINUTE_S


class Rule(Struct, frozen=True):
    name: str
    times: int
    window_s: int

    @property
    def item(self) -> RateLimitItemPerSecond:
        return RateLimitItemPerSecond(self.times, self.window_s, namespace=self.name)

    @property
    def policy(self) -> str:
        return f'"{self.name}";q={self.times};w={self.window_s}'


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
REGISTER = Rule("register", 100, 10 * MINUTE_S)
"""One address: each costs a password hash and three rows."""
BY_MAIL = Rule("by-mail", 60, 10 * MINUTE_S)
"""One address: what makes us write mails, and what mails lead to."""
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
ADD_JOB = Rule("add-job", 300, MINUTE_S)
"""One organisation: a script that adds its whole list is slowed down, not stopped."""


class Standing(Struct, frozen=True):
    """Where a caller stands with a rule, as the RateLimit headers say it."""

    rule: Rule
    left: int
    reset_s: int

    @property
    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Policy": self.rule.policy,
            "RateLimit": f'"{self.rule.name}";r={self.left};t={self.reset_s}',
        }


class Throttled(TooMany):
    def __init__(self, standing: Standing) -> None:
        super().__init__(
            f"Too many requests; the next try is possible in {standing.reset_s} s.", retry_after_s=standing.reset_s
        )
        self.headers = standing.headers


class Throttle:
    def __init__(self) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())

    async def hit(self, rule: Rule, *who: str, now: dt.datetime) -> Standing:
        """Counts, and refuses what is too much."""
        if not await self._windows.hit(rule.item, *who):
            raise Throttled(await self._standing(rule, who, now))
        return await self._standing(rule, who, now)

    async def check(self, rule: Rule, *who: str, now: dt.datetime) -> None:
        """Refuses without counting: `hit` follows if the try fails."""
        if not await self._windows.test(rule.item, *who):
            raise Throttled(await self._standing(rule, who, now))

    async def _standing(self, rule: Rule, who: tuple[str, ...], now: dt.datetime) -> Standing:
        window = await self._windows.get_window_stats(rule.item, *who)
        return Standing(rule, window.remaining, max(1, math.ceil(window.reset_time - now.timestamp())))
