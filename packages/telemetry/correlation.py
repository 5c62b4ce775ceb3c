"""One id that follows a request through the log, the database, the bus and the agent, and back."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from structlog.contextvars import bound_contextvars, get_contextvars

HTTP_HEADER = "X-Request-Id"
BUS_HEADER = "Seedlift-Correlation"
KEY = "correlation_id"
"""Its name in log lines and messages."""


def new_correlation_id() -> str:
    return uuid4().hex


def correlation_id() -> str | None:
    found = get_contextvars().get(KEY)
    return found if isinstance(found, str) else None


@contextmanager
def correlated(value: str | None) -> Iterator[None]:
    """All that is logged and published inside carries this id; None leaves what there is."""
    if value is None:
        yield
        return
    with bound_contextvars(**{KEY: value}):
        yield
