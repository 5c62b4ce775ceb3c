"""`python -m control api|work|db-upgrade|bootstrap|audit-verify`: the control plane's processes and chores."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import uvloop

from control import migrate
from control import work as loops
from control.accounts.bootstrap import Bootstrap, bootstrap
from control.audit import verify
from control.config import Settings
from control.db import Database, is_away
from control.errors import Refusal
from control.fleet import listener
from control.plane import open_plane
from control.serve import CannotListen, bound, public
from telemetry import logs, metrics
from wire import settings as wire_settings
from wire.clock import utcnow
from wire.settings import BadSettings
from wire.version import VERSION

log = logs.get(__name__)

S = TypeVar("S", bound=msgspec.Struct)
USAGE = "usage: python -m control api|work|db-upgrade|bootstrap|audit-verify [HASH]"


def main(argv: list[str]) -> int:
    try:
        match argv:
            case ["api"]:
                return _serve("api", api)
            case ["work"]:
                return _serve("work", work)
            case ["db-upgrade"]:
                migrate.upgrade(_only(migrate.UpgradeSettings).owner_database_url)
                return 0
            case ["bootstrap"]:
                return asyncio.run(_bootstrap())
            case ["audit-verify"]:
                return asyncio.run(_verify(None))
            case ["audit-verify", expected] if re.fullmatch(r"[0-9a-f]{64}", expected):
                return asyncio.run(_verify(expected))
    except (BadSettings, CannotListen, migrate.CannotMigrate) as refused:
        print(refused, file=sys.stderr)
        return 2
    print(USAGE, file=sys.stderr)
    return 2


async def api(settings: Settings, stop: asyncio.Event) -> None:
    async with open_plane(settings) as plane, asyncio.TaskGroup() as group:
        with bound(settings.host, settings.port) as listening:
            fleet = group.create_task(listener.serve(plane))
            log.info("api.listening", host=settings.host, port=settings.port)
            await public(plane, listening, stop)
            fleet.cancel()


async def work(settings: Settings, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        running = group.create_task(loops.run(settings))
        await stop.wait()
        running.cancel()


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


def _serve(name: str, run: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> int:
    settings = wire_settings.read(Settings, os.environ)
    logs.configure(name, "console" if settings.log_format == "console" else "json", settings.log_level)
    metrics.say_build(name, VERSION)
    uvloop.run(_until_signalled(settings, run))
    return 0


async def _until_signalled(settings: Settings, run: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    await run(settings, stop)


def _only(kind: type[S]) -> S:
    """A chore needs few settings, and is run where the others are not known."""
    names = {wire_settings.PREFIX + field.name.upper() for field in msgspec.structs.fields(kind)}
    return wire_settings.read(kind, {name: value for name, value in os.environ.items() if name in names})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
