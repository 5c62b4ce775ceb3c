"""Rows and seals as the chain wants them: what both loop `seal` and `verify` read."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Text, cast, select

from control.audit.chain import Link, Row
from control.audit.model import Entry, Seal
from control.db import Tx

CONTENT = (
    Entry.id, Entry.at, Entry.org_id, Entry.actor, Entry.action, Entry.target, Entry.request_id, Entry.ip,
    cast(Entry.severity, Text).label("severity"), cast(Entry.detail, Text).label("detail"),
)  # fmt: skip
LINK = (Seal.seq, Seal.entry_id, Seal.sealed_at, Seal.row_hash, Seal.previous, Seal.hash)


def content(found: Sequence[Any]) -> Row:
    """Of a result whose last columns are CONTENT."""
    return Row(*found[-len(CONTENT) :])


def link(found: Sequence[Any]) -> Link:
    """Of a result whose first columns are LINK."""
    return Link(*found[: len(LINK)])


async def head(tx: Tx) -> Link | None:
    found = (await tx.execute(select(*LINK).order_by(Seal.seq.desc()).limit(1))).first()
    return link(found) if found is not None else None
