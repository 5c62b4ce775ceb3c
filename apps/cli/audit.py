"""`seedlift audit verify`: is the audit log what was written?"""

import json
import os
from pathlib import Path

from cli.programs import ROOT, become, refuse

DATABASE = "SEEDLIFT_WORK_DATABASE_URL"
UNKNOWN = 2
"""Exit code where nothing could be found out; 1 says that the log is broken."""


def verify(*, expect: str | None = None, data: Path = ROOT / ".seedlift") -> None:
    """Walk the audit log's hash chain and tell every break: a row changed, removed or put in, a seal removed or moved.

    Exit code 0: the log is whole; 1: it is not; 2: it could not be read. Reads the database itself, whose address is
    SEEDLIFT_WORK_DATABASE_URL, else that of the local stack. Note the head's hash somewhere else and give it as
    --expect later: then a log that was cut, or written anew as a whole, is found too.

    Parameters
    ----------
    expect
        A head's hash that was printed or logged earlier: the chain must still contain it.
    data
        The local stack's data folder.
    """
    url = os.environ.get(DATABASE) or _local(data)
    become("control", "audit-verify", *([expect] if expect is not None else []), env={DATABASE: url})


def _local(data: Path) -> str:
    try:
        return str(json.loads((data / "operator.json").read_text())["work_database_url"])
    except (FileNotFoundError, KeyError):
        refuse(f"which database? Set {DATABASE}, or give --data DIR of a stack that has run.", UNKNOWN)
    except PermissionError:
        refuse(f"{data} is its owner's alone: run as that account, or set {DATABASE}.", UNKNOWN)
