"""Postgres as we use it: two engines, and the transaction that every request or loop step is.

Nobody commits by hand. A request opens `Database.asking(who)`: its role is bound by row-level security, and the
transaction names who asks. Loops and the fleet listener open `Database.working()`: their role sees every organisation.
"""

import datetime as dt
import math
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Integer,
    LargeBinary,
    Row,
    Text,
    TextClause,
    TypeDecorator,
    Uuid,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry

from control.straight import Record, Straight, StraightPool
from wire.ids import OrgId, PersonId

POOL_SIZE = 8
"""Connections a process keeps per role; a request holds one for two short transactions at most."""
POOL_OVERFLOW = 8
POOL_WAIT_S = 10
PING_AFTER_S = 0.5
"""A connection that lay idle for so long is asked whether it is still there. PostgreSQL is not restarted quicker; who
held one when it went is told so by the first statement, and then all that are older are thrown away."""
STATEMENT_TIMEOUT_MS = 15_000
IDLE_IN_TRANSACTION_MS = 30_000
CONNECT_TIMEOUT_S = 5

Tx = AsyncSession
"""An open transaction; whoever is handed one neither commits nor rolls back."""


class States(TypeDecorator[StrEnum]):
    """A StrEnum kept as text (a native enum cannot lose a value) and given back as the enum."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else value.value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


class IllegalMove(Exception):
    """A bug: somebody asked for an arrow that the table of moves does not have."""


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        int: BigInteger,
        str: Text,
        bytes: LargeBinary,
        uuid.UUID: Uuid,
        dt.datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
        list[int]: ARRAY(Integer),
        list[list[str]]: JSONB,
    }


class Asker(Struct, frozen=True, kw_only=True):
    """Who a transaction of the api acts for; row-level security reads nothing else."""

    org: OrgId | None = None
    person: PersonId | None = None
    email: str | None = None
    secret_hash: bytes | None = None
    operator: bool = False

    @property
    def named(self) -> dict[str, str]:
        """As settings of a transaction; none is left as it was."""
        return {
            "org": str(self.org) if self.org else "",
            "person": str(self.person) if self.person else "",
            "email": self.email or "",
            "secret": self.secret_hash.hex() if self.secret_hash else "",
            "operator": "on" if self.operator else "",
        }


NAME_ASKER = text(
    "SELECT set_config('app.org', :org, true), set_config('app.person', :person, true),"
    " set_config('app.email', :email, true), set_config('app.secret', :secret, true),"
    " set_config('app.operator', :operator, true)"
)


class Database:
    def __init__(self, api_url: str, work_url: str) -> None:
        self._api = _engine(api_url)
        self._work = _engine(work_url)
        self._straight = StraightPool(POOL_SIZE, POOL_WAIT_S, _driver_given(self._api))
        self._single = self._work.execution_options(isolation_level="AUTOCOMMIT")
        self._api_sessions = async_sessionmaker(self._api, expire_on_commit=False, autobegin=True)
        self._work_sessions = async_sessionmaker(self._work, expire_on_commit=False, autobegin=True)

    @asynccontextmanager
    async def asking(self, who: Asker) -> AsyncIterator[Tx]:
        async with self._api_sessions.begin() as tx:
            await name_asker(tx, who)
            yield tx

    def straight(self, who: Asker) -> AbstractAsyncContextManager[Straight]:
        """The same as `asking`, without SQLAlchemy."""
        return self._straight.asking(who.named)

    async def one(self, statement: str, *values: object) -> Record | None:
        """One statement of the api's that is its own transaction, and itself names who asks."""
        return await self._straight.one(statement, values)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Tx]:
        async with self._work_sessions.begin() as tx:
            yield tx

    async def at_once(self, statement: TextClause, values: Mapping[str, object]) -> Row[*tuple[Any, ...]] | None:
        """One statement that is its own transaction, as whoever works: for what is counted beside requests, and is
        neither rolled back with them nor waits for their end."""
        async with self._single.connect() as connection:
            return (await connection.execute(statement, values)).first()

    async def close(self) -> None:
        await self._straight.close()
        await self._api.dispose()
        await self._work.dispose()


async def name_asker(tx: Tx, who: Asker) -> None:
    """Says (or says anew, once more is known) who the rest of this transaction acts for."""
    await tx.execute(NAME_ASKER, who.named)


AWAY = ("08", "40", "53", "57")
"""SQLSTATE classes: connection, rolled back (a deadlock's loser), too many of something, shut down or cancelled."""

NOT_THERE = (
    ConnectionError,
    TimeoutError,
    PoolTimeout,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InvalidCachedStatementError,
)
"""The last: a table was changed under a statement that was prepared; the next time it is prepared anew."""


def is_away(failure: BaseException) -> bool:
    """Postgres is not there, or has no room: nothing was done, and the same may succeed later."""
    if isinstance(failure, DBAPIError):
        state = getattr(failure.orig, "sqlstate", None) or ""
        return failure.connection_invalidated or isinstance(failure, InterfaceError) or state.startswith(AWAY)
    # asyncpg's own, where nobody wraps it: refused, reset, starting up, out of time.
    state = getattr(failure, "sqlstate", None) or ""
    return isinstance(failure, NOT_THERE) or state.startswith(AWAY)


CONNECTING: dict[str, Any] = {
    "timeout": CONNECT_TIMEOUT_S,
    "server_settings": {
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
        "jit": "off",
    },
}


def _driver_given(engine: AsyncEngine) -> dict[str, Any]:
    """What the driver needs for a connection of its own, by the engine's URL."""
    given = engine.dialect.create_connect_args(engine.url)[1]
    ours = ("prepared_statement_cache_size", "prepared_statement_name_func")
    return {name: value for name, value in given.items() if name not in ours} | CONNECTING


def _engine(url: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_WAIT_S,
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args=CONNECTING,
    )
    _ping_idle(engine.sync_engine)
    return engine


def _ping_idle(engine: Engine) -> None:
    """As `pool_pre_ping`, but for what lay idle: under load it would be a round trip more for each transaction."""

    @event.listens_for(engine, "checkin")
    def left(_: object, record: ConnectionPoolEntry) -> None:
        record.info["left_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def taken(connection: DBAPIConnection, record: ConnectionPoolEntry, _: object) -> None:
        if time.monotonic() - record.info.get("left_at", math.inf) < PING_AFTER_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            raise InvalidatePoolError from None  # the pool opens another, and asks again
