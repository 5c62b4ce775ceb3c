"""Which statements are sent to PostgreSQL while a block runs, by whichever engine of this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def sent() -> Iterator[list[str]]:
    """BEGIN and COMMIT are not among them. One that is sent with many rows counts once."""
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)
