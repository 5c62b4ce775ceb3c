"""The same transaction without SQLAlchemy: for the few statements that nearly every request sends.

Building a statement, looking up how it compiles and loading what it gives costs ten times what sending it does (bench
`api`). Here statements are written out, and BEGIN and who asks go in one round trip. Row-level security is what it is
everywhere: the connection is the api's, and names who asks.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

IDLE_S = 60.0
"""After which a connection is closed: no firewall forgets one so early."""
COMMAND_TIMEOUT_S = 20.0
"""Above PostgreSQL's own: it ends what hangs on a connection whose other end is gone."""

Straight: TypeAlias = asyncpg.Connection
"""An open transaction; whoever is handed one neither commits nor rolls back."""
Record = Mapping[str, Any]
Clash = asyncpg.UniqueViolationError

First = Callable[[Straight], Awaitable[Any]]
CUT = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a connection says that PostgreSQL has ended; the last, while the driver is just being told."""


class StraightPool:
    """Opens nothing before it is asked."""

    def __init__(self, size: int, wait_s: float, given: Mapping[str, Any]) -> None:
        self._size = size
        self._wait_s = wait_s
        self._given = given
        self._pool: asyncpg.Pool | None = None

    @asynccontextmanager
    async def asking(self, named: Mapping[str, str]) -> AsyncIterator[Straight]:
        begin = _begin(named)
        async with self._one_that_lives(lambda connection: connection.execute(begin)) as (connection, _):
            try:
                yield connection
            except BaseException:
                if not _is_gone(connection):
                    await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")

    async def one(self, statement: str, values: Sequence[object]) -> Record | None:
        """A statement that reads; it may be sent twice."""
        async with self._one_that_lives(lambda connection: connection.fetchrow(statement, *values)) as (_, row):
            found: Record | None = row
        return found

    @asynccontextmanager
    async def _one_that_lives(self, first: First) -> AsyncIterator[tuple[Straight, Any]]:
        """A connection, and what it answered first. One that lay idle may have been cut, and then another is asked:
        nothing was done yet."""
        pool = await self._opened()
        for left in range(self._size, -1, -1):
            async with pool.acquire(timeout=self._wait_s) as connection:
                try:
                    answer = await first(connection)
                except CUT:
                    if not _is_gone(connection):
                        connection.terminate()
                    if left:
                        continue
                    raise
                yield connection, answer
                return

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()

    async def _opened(self) -> asyncpg.Pool:
        if self._pool is None:
            self._pool = asyncpg.create_pool(
                min_size=0,
                max_size=self._size,
                max_inactive_connection_lifetime=IDLE_S,
                command_timeout=COMMAND_TIMEOUT_S,
                reset=_as_it_is,
                **self._given,
            )
        return await self._pool  # with no connection to open it does not wait for anything


def _is_gone(connection: Straight) -> bool:
    """The pool takes back at once what PostgreSQL closes, and then even this may not be asked any more."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


async def _as_it_is(_: Straight) -> None:
    """Nothing of ours outlasts a transaction, and one that was left open the driver rolls back."""


def _begin(named: Mapping[str, str]) -> str:
    """As one message; it takes no parameters, so they are written out."""
    said = ", ".join(f"set_config('app.{name}', {_quoted(value)}, true)" for name, value in named.items() if value)
    return f"BEGIN; SELECT {said}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
