"""When a transfer will be done: from smoothed rates of both legs, and told so that it does not jump. Pure.

The slower leg decides: what is still to arrive at the rate of arriving, what is still to be stored at that of storing.
"""

from math import exp

from msgspec import Struct
from msgspec.structs import replace

SMOOTH_S = 30.0
"""Parts are stored some seconds apart, and swarms breathe; a rate is an average over about this."""
FOLLOW_S = 10.0
"""What is told goes this fast to what is reckoned, once they differ."""
CLOSE = 0.1
"""Of what is told: so much difference is none, and more counts only by what it is more."""
MOST_S = 30 * 86_400
"""Longer than anybody waits: as good as unknown."""


class Rate(Struct, frozen=True):
    """Bytes a second, the newest weighing most; its weight makes up for a short past."""

    sum: float = 0.0
    weight: float = 0.0

    @property
    def value(self) -> float:
        return self.sum / self.weight if self.weight else 0.0


class Eta(Struct, frozen=True):
    at_s: float
    there_bytes: int
    stored_bytes: int
    arriving: Rate = Rate()
    storing: Rate = Rate()
    left_s: float | None = None
    """None while nobody can know."""


def step(before: Eta, now_s: float, there_bytes: int, stored_bytes: int, total_bytes: int) -> Eta:
    passed_s = now_s - before.at_s
    if passed_s <= 0:
        return before
    after = replace(
        before,
        at_s=now_s,
        there_bytes=there_bytes,
        stored_bytes=stored_bytes,
        arriving=_weighed(before.arriving, there_bytes - before.there_bytes, passed_s),
        storing=_weighed(before.storing, stored_bytes - before.stored_bytes, passed_s),
    )
    reckoned = _reckoned(after, total_bytes)
    return replace(after, left_s=_told(before.left_s, reckoned, passed_s))


def _weighed(rate: Rate, fresh_bytes: int, passed_s: float) -> Rate:
    kept = exp(-passed_s / SMOOTH_S)
    fresh = max(0, fresh_bytes) / passed_s
    return Rate(rate.sum * kept + fresh * (1 - kept), rate.weight * kept + (1 - kept))


def _reckoned(eta: Eta, total_bytes: int) -> float | None:
    missing, unstored = total_bytes - eta.there_bytes, total_bytes - eta.stored_bytes
    if unstored <= 0:
        return 0.0
    if missing > 0 and eta.arriving.value < 1:
        return None
    storing = eta.storing.value if eta.storing.value >= 1 else eta.arriving.value  # nothing was stored yet
    if storing < 1:
        return None
    left_s = max(unstored / storing, missing / eta.arriving.value if missing > 0 else 0.0)
    return left_s if left_s <= MOST_S else None


def _told(told_s: float | None, reckoned_s: float | None, passed_s: float) -> float | None:
    if told_s is None or reckoned_s is None:
        return reckoned_s
    counted = max(0.0, told_s - passed_s)
    off = reckoned_s - counted
    beyond = max(0.0, abs(off) - CLOSE * counted) * (1 - exp(-passed_s / FOLLOW_S))
    return counted + (beyond if off > 0 else -beyond)
