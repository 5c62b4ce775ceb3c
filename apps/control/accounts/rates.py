"""Rates: hits counted in PostgreSQL, by moving windows, for all api processes together; one statement for each take.

    used = hits of this window + hits of the window before × the share of it that is still inside
A window begins with the first hit. The table is unlogged: a crash of PostgreSQL forgets who asked how often, and a hit
costs no write to the log.
"""

from msgspec import Struct
from sqlalchemy import text

from control.db import Database


class Count(Struct, frozen=True):
    began: float
    """Of the window, in seconds since 1970."""
    hits: int
    before: int
    """Of the window before."""
    took: int = 0
    """By the last who asked: what there was room for, at most what he wanted."""


_NOW, _WINDOW = "CAST(:now AS double precision)", "CAST(:window AS double precision)"
_WISH, _TIMES = "CAST(:wish AS integer)", "CAST(:times AS double precision)"
# What the row is by now: in its window, in the one behind it, or long over.
_IN = f"(r.began + {_WINDOW} > {_NOW})"
_NEXT = f"(r.began + 2 * {_WINDOW} > {_NOW})"
_BEGAN = f"(CASE WHEN {_IN} THEN r.began WHEN {_NEXT} THEN r.began + {_WINDOW} ELSE {_NOW} END)"
_HITS = f"(CASE WHEN {_IN} THEN r.hits ELSE 0 END)"
_BEFORE = f"(CASE WHEN {_IN} THEN r.before WHEN {_NEXT} THEN r.hits ELSE 0 END)"
_USED = f"({_HITS} + {_BEFORE} * least(1, 1 - ({_NOW} - {_BEGAN}) / {_WINDOW}))"
_TOOK = f"greatest(0, least({_WISH}, floor({_TIMES} - {_USED})::integer))"

_TAKE = text(
    f"""
    INSERT INTO rates AS r (key, began, hits, before, took, over_at)
    VALUES (:key, {_NOW}, {_WISH}, 0, {_WISH}, {_NOW} + 2 * {_WINDOW})
    ON CONFLICT (key) DO UPDATE SET began = {_BEGAN}, hits = {_HITS} + {_TOOK}, before = {_BEFORE}, took = {_TOOK},
      over_at = {_BEGAN} + 2 * {_WINDOW}
    RETURNING began, hits, before, took
    """
)
_LOOK = text("SELECT began, hits, before, 0 FROM rates WHERE key = :key")


async def take(db: Database, key: str, times: int, window_s: float, wish: int, now: float) -> Count:
    """Of two who ask at once the second sees what the first took."""
    row = await db.at_once(
        _TAKE, {"key": key, "now": now, "window": float(window_s), "times": float(times), "wish": wish}
    )
    assert row is not None  # it is inserted or updated
    return Count(*row)


async def look(db: Database, key: str) -> Count | None:
    row = await db.at_once(_LOOK, {"key": key})
    return Count(*row) if row is not None else None


def used(count: Count, window_s: float, now: float) -> float:
    """As the statement above works it out."""
    passed = now - count.began
    if passed < window_s:
        return count.hits + count.before * min(1.0, 1 - passed / window_s)
    if passed < 2 * window_s:
        return count.hits * (1 - (passed - window_s) / window_s)
    return 0


def free_at(count: Count, times: int, window_s: float) -> float:
    """When there is room for one more. Where there is, at any time: of who asks at once one read the clock before the
    window began."""
    spare = times - 1 - count.hits
    if spare >= count.before:
        return 0
    if spare >= 0:  # once enough of the window before has passed
        return count.began + window_s * (1 - spare / count.before)
    return count.began + window_s * (2 - (times - 1) / count.hits)
