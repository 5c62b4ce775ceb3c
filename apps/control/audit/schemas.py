"""What the API gives of the log, a page at a time or as a file."""

import csv
import datetime as dt
import io
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from control.audit.model import Entry, Severity

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to a spreadsheet, and the texts in it are strangers'."""


class EntryView(Struct, frozen=True):
    id: int
    at: dt.datetime
    organisation: UUID | None
    actor: str
    """`person:<id>`, `key:<id>`, `agent:<id>`, `bootstrap`, or `somebody` who is not known."""
    action: str
    target: str
    severity: Severity
    request_id: str | None
    ip: str | None
    detail: dict[str, Any]


class AuditPage(Struct, frozen=True):
    items: list[EntryView]
    next_cursor: str | None
    """With a text there may be more even if a page is short, or empty: the search goes on there."""


def view(entry: Entry) -> EntryView:
    return EntryView(
        entry.id, entry.at, entry.org_id, entry.actor, entry.action, entry.target, entry.severity, entry.request_id,
        entry.ip, entry.detail,
    )  # fmt: skip


def csv_head() -> bytes:
    return _line(EntryView.__struct_fields__)


def csv_lines(entries: Iterable[Entry]) -> bytes:
    return b"".join(_line(_cells(view(entry))) for entry in entries)


def jsonl_lines(entries: Iterable[Entry]) -> bytes:
    return b"".join(msgspec.json.encode(view(entry)) + b"\n" for entry in entries)


def _cells(entry: EntryView) -> list[str]:
    said = msgspec.to_builtins(entry) | {"detail": msgspec.json.encode(entry.detail).decode()}
    return ["" if value is None else str(value) for value in said.values()]


def _line(cells: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells])
    return out.getvalue().encode()
