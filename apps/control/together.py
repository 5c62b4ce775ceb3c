"""New rows of several tables in one statement, and so in one round trip (see `control.straight`).

    WITH r0 AS (INSERT INTO torrents …), r1 AS (INSERT INTO transfers …) INSERT INTO jobs …
What one row says of another is checked once all are there.
"""

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnDefault, inspect
from sqlalchemy.dialects.postgresql import JSONB

from control.db import Base
from control.straight import Straight

Shape = tuple[type[Base], tuple[str, ...]]
"""A table, and which of its attributes a new row says."""


class Written(Struct, frozen=True):
    sql: str
    is_json: tuple[bool, ...]
    """Of each parameter."""


async def insert(asked: Straight, *rows: Base) -> None:
    """They are never SQLAlchemy's: what is changed on them later is not written."""
    said = [_said(row) for row in rows]
    written = _written(tuple((type(row), tuple(values)) for row, values in zip(rows, said, strict=True)))
    values = [value for each in said for value in each.values()]
    await asked.execute(
        written.sql,
        *(
            msgspec.json.encode(value).decode() if as_json and value is not None else value
            for value, as_json in zip(values, written.is_json, strict=True)
        ),
    )


def _said(row: Base) -> dict[str, object]:
    """What it was made with, and what its table gives where nothing was said."""
    for key, default in _defaults(type(row)):
        if key not in row.__dict__:
            setattr(row, key, default.arg(None) if default.is_callable else default.arg)
    return {key: value for key, value in row.__dict__.items() if key != "_sa_instance_state"}


@lru_cache
def _defaults(kind: type[Base]) -> Sequence[tuple[str, ColumnDefault]]:
    columns = ((each.key, each.columns[0]) for each in inspect(kind).column_attrs)
    return [(key, column.default) for key, column in columns if isinstance(column.default, ColumnDefault)]


@lru_cache
def _written(shapes: tuple[Shape, ...]) -> Written:
    inserts, is_json = [], list[bool]()
    for kind, keys in shapes:
        columns = [inspect(kind).column_attrs[key].columns[0] for key in keys]
        places = ", ".join(f"${len(is_json) + place}" for place in range(1, len(keys) + 1))
        names = ", ".join(f'"{column.name}"' for column in columns)
        inserts.append(f"INSERT INTO {kind.__tablename__} ({names}) VALUES ({places})")
        is_json += [isinstance(column.type, JSONB) for column in columns]
    *before, last = inserts
    named = ", ".join(f"r{place} AS ({each})" for place, each in enumerate(before))
    return Written(f"WITH {named} {last}" if named else last, tuple(is_json))
