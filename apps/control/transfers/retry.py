"""When a transfer that did not come through is tried again, and when not any more. Pure."""

import datetime as dt
from random import Random

from wire.messages import Failure

TRIES_MAX = 5
BACKOFF_S = 15.0
BACKOFF_MAX_S = 600.0
JITTER = 0.2
"""Of the delay: what fails together should not come back together."""

TRIES_SPENT = Failure(
    code="tries_spent",
    detail=f"Given up after {TRIES_MAX} tries in which nothing more was stored.",
    retryable=False,
)


def is_last(tries: int) -> bool:
    """`tries` were made (each is counted when an agent takes the transfer); another one would be too many."""
    return tries >= TRIES_MAX


def delay_s(tries: int, chance: Random) -> float:
    """After the first try 15 s, then twice as long each time, at most ten minutes."""
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** max(0, tries - 1)) * chance.uniform(1 - JITTER, 1 + JITTER)


def not_before(tries: int, chance: Random, now: dt.datetime, time_scale: float) -> dt.datetime:
    return now + dt.timedelta(seconds=delay_s(tries, chance) / time_scale)
