"""Which statements are sent to PostgreSQL while a block runs, by whichever engine of this process."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pytest
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import Engine, event

from control.accounts.model import Rate

Send = Callable[..., Awaitable[Any]]
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
    with pytest.MonkeyPatch.context() as patch:
        for name in ("execute", "fetch", "fetchrow", "fetchval"):
            patch.setattr(PoolConnectionProxy, name, _noting(getattr(PoolConnectionProxy, name), statements))
        yield statements
    event.remove(Engine, "before_cursor_execute", note)


def _noting(method: Send, statements: list[str]) -> Send:
    """What goes past SQLAlchemy (see `control.straight`)."""

    @wraps(method)
    async def send(self: PoolConnectionProxy, statement: str, *values: Any, **more: Any) -> Any:
        if not statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
            statements.append(statement)
        return await method(self, statement, *values, **more)

    return send
