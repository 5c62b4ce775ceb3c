"""Which operating-system account PostgreSQL runs as: ours, or, since it refuses root, an existing unprivileged one."""

import os
import pwd
from pathlib import Path

from msgspec import Struct

from stack.errors import CannotStart

CANDIDATES = ("postgres", "nobody", "daemon")


class Account(Struct, frozen=True):
    name: str
    uid: int
    gid: int


def for_postgres(folder: Path) -> Account | None:
    """None is ourselves. An existing folder keeps its owner, so that a new account on the machine changes nothing."""
    if os.geteuid() != 0:
        return None
    if folder.exists() and (owner := folder.stat().st_uid) != 0:
        return _by_uid(owner)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise CannotStart(
        f"PostgreSQL refuses to run as root and none of {', '.join(CANDIDATES)} exists here: run as an ordinary user."
    )


def _by_uid(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(str(uid), uid, uid)
    return Account(entry.pw_name, uid, entry.pw_gid)


def must_reach(path: Path, account: Account) -> None:
    """Every folder on the way must be searchable; opening somebody's private folder is not ours to do."""
    if (folder := barrier(path, account)) is not None:
        raise CannotStart(
            f"PostgreSQL runs as the account {account.name!r}, which may not enter {folder}: "
            f"choose another place with --data DIR, or run as an ordinary user."
        )


def barrier(path: Path, account: Account) -> Path | None:
    """The first folder on the way that the account may not enter."""
    return next((folder for folder in reversed(path.resolve().parents) if not _may_search(folder, account)), None)


def _may_search(folder: Path, account: Account) -> bool:
    info = folder.stat()
    if info.st_uid == account.uid:
        return bool(info.st_mode & 0o100)
    if info.st_gid == account.gid or info.st_gid in os.getgrouplist(account.name, account.gid):
        return bool(info.st_mode & 0o010)
    return bool(info.st_mode & 0o001)
