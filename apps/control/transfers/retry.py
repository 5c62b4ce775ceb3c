"""When a transfer that did not come through is tried again, and when not any more. Pure.

A try is counted when an agent takes the transfer, and given back with the first part stored since.
"""

import datetime as dt
from random import Random

from control.config import Settings
from wire.failures import failure

TRIES_MAX = 5
JITTER = 0.2
"""Of the delay: what fails together should not come back together."""

TRIES_SPENT = failure("tries_spent", f"Given up after {TRIES_MAX} agents' ends in which nothing more was stored.")


def is_last(tries: int) -> bool:
    """`tries` were made; another one would be too many."""
    return tries >= TRIES_MAX


def delay_s(tries: int, chance: Random, first_s: float, most_s: float) -> float:
    """After the first try `first_s`, then twice as long each time."""
    return min(most_s, first_s * 2.0 ** min(max(0, tries - 1), TRIES_MAX)) * chance.uniform(1 - JITTER, 1 + JITTER)


def not_before(tries: int, chance: Random, now: dt.datetime, settings: Settings) -> dt.datetime:
    delay = delay_s(tries, chance, settings.retry_s, settings.retry_max_s)
    return now + dt.timedelta(seconds=settings.wait(delay))
