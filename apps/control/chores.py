"""What `python -m control` does once and ends: migrate, make the first accounts, verify the log."""

import asyncio
import os
import re
import sys
from typing import TypeVar

import msgspec

from control import migrate
from control.accounts.bootstrap import Bootstrap, bootstrap
from control.audit import verify
from control.db import Database, is_away
from control.errors import Refusal
from wire import settings as wire_settings
from wire.clock import utcnow

S = TypeVar("S", bound=msgspec.Struct)
USAGE = "usage: python -m control api|work|db-upgrade [bootstrap]|bootstrap|audit-verify [HASH]"


class Settings(msgspec.Struct, frozen=True):
    work_database_url: str


def run(argv: list[str]) -> int:
    match argv:
        case ["db-upgrade", *then] if then in ([], ["bootstrap"]):
            return _upgrade() or (asyncio.run(_bootstrap()) if then else 0)
        case ["bootstrap"]:
            return asyncio.run(_bootstrap())
        case ["audit-verify"]:
            return asyncio.run(_verify(None))
        case ["audit-verify", expected] if re.fullmatch(r"[0-9a-f]{64}", expected):
            return asyncio.run(_verify(expected))
    print(USAGE, file=sys.stderr)
    return 2


def _upgrade() -> int:
    try:
        migrate.upgrade(_only(migrate.UpgradeSettings).owner_database_url)
    except migrate.CannotMigrate as refused:
        print(refused, file=sys.stderr)
        return 2
    return 0


async def _bootstrap() -> int:
    """JSON on stdin, one line of JSON on stdout: a password is nothing for an argument list or a variable."""
    url = _only(Settings).work_database_url
    db = Database(url, url)
    try:
        asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Bootstrap)
        done = await bootstrap(db, asked, utcnow())
    except (msgspec.DecodeError, Refusal) as refused:
        print(f"bootstrap: {refused}", file=sys.stderr)
        return 2
    finally:
        await db.close()
    print(msgspec.json.encode(done).decode())
    return 0


async def _verify(expected: str | None) -> int:
    """0: whole; 1: broken; 2: could not be found out."""
    url = _only(Settings).work_database_url
    db = Database(url, url)
    try:
        said = await verify.verify(db, expected)
    except Exception as failure:
        if not is_away(failure):
            raise
        print(f"audit-verify: the database is away: {failure}", file=sys.stderr)
        return 2
    finally:
        await db.close()
    print(*verify.lines(said), sep="\n")
    return 0 if said.whole else 1


def _only(kind: type[S]) -> S:
    """A chore needs few settings, and is run where the others are not known."""
    names = {wire_settings.PREFIX + field.name.upper() for field in msgspec.structs.fields(kind)}
    return wire_settings.read(kind, {name: value for name, value in os.environ.items() if name in names})
