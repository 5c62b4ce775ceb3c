"""The one place where time is read; everything else is given `now`."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge itself
