"""`python -m control api|work|db-upgrade|bootstrap|audit-verify`: the control plane's processes and chores."""

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
from wire.settings import BadSettings

S = TypeVar("S", bound=msgspec.Struct)
USAGE = "usage: python -m control api|work|db-upgrade [bootstrap]|bootstrap|audit-verify [HASH]"


def main(argv: list[str]) -> int:
    try:
        match argv:
            case ["api" | "work" as name]:
                from control import processes  # with the web framework, without which the chores start in a third

                return processes.run(name)
            case ["db-upgrade", *then] if then in ([], ["bootstrap"]):
                migrate.upgrade(_only(migrate.UpgradeSettings).owner_database_url)
                return asyncio.run(_bootstrap()) if then else 0
            case ["bootstrap"]:
                return asyncio.run(_bootstrap())
            case ["audit-verify"]:
                return asyncio.run(_verify(None))
            case ["audit-verify", expected] if re.fullmatch(r"[0-9a-f]{64}", expected):
                return asyncio.run(_verify(expected))
    except (BadSettings, migrate.CannotMigrate) as refused:
        print(refused, file=sys.stderr)
        return 2
    print(USAGE, file=sys.stderr)
    return 2


class ChoreSettings(msgspec.Struct, frozen=True):
    work_database_url: str


async def _bootstrap() -> int:
    """JSON on stdin, one line of JSON on stdout: a password is nothing for an argument list or a variable."""
    url = _only(ChoreSettings).work_database_url
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
    url = _only(ChoreSettings).work_database_url
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
