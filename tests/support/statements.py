"""Which statements are sent to PostgreSQL while a block runs, by whichever engine of this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from control.accounts.model import Rate

RATES = f" {Rate.__tablename__} "


@contextmanager
def sent() -> Iterator[list[str]]:
    """BEGIN and COMMIT are not among them, nor rates: of those a process takes some ahead, now with this request, now
    with that. One that is sent with many rows counts once."""
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if RATES not in statement:
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
