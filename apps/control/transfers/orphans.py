"""What the store has and no row names, and what a row names and the store has not. Found here; loops act on it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import any_, collate, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text

from control.db import Tx
from control.plane import Plane
from control.storage.keys import parse_key
from control.storage.store import Listed, OpenUpload
from control.transfers.model import Object, Transfer
from wire.states import TRANSFER_ENDED

_KEY = collate(Object.key, "C")
"""In the order in which stores list names: by their bytes."""


class Found(Struct, frozen=True):
    orphans: list[Listed]
    """Objects that no row names, old enough that none will."""
    strange: list[Listed]
    """Of names that we did not make; not ours to judge."""


async def judge(tx: Tx, page: Sequence[Listed], old: datetime) -> Found:
    """What was written since `old` may be reported yet; and so may whatever a transfer under way puts at its epoch."""
    keys = {each.key: parse_key(each.key) for each in page}
    one_of = any_(literal(list(keys), ARRAY(Text)))
    named = set(await tx.scalars(select(Object.key).where(one_of == _KEY)))
    torrents = {key.torrent for key in keys.values() if key is not None}
    rows = await tx.execute(
        select(Transfer.torrent_id, func.max(Transfer.epoch))
        .where(Transfer.torrent_id.in_(torrents), Transfer.state.not_in(TRANSFER_ENDED))
        .group_by(Transfer.torrent_id)
    )
    at_work = dict(rows.all())
    orphans, strange = [], []
    for each in page:
        key = keys[each.key]
        if key is None:
            strange.append(each)
        elif each.key not in named and each.modified_at < old and key.epoch != at_work.get(key.torrent):
            orphans.append(each)
    return Found(orphans, strange)


async def stored_between(tx: Tx, after: str, through: str | None, before: datetime) -> dict[str, int]:
    """Names that rows say are stored, since before then, with their sizes: a page's own. `through` None: to the end."""
    stored = select(Object.key, Object.size_bytes).where(after < _KEY, Object.stored_at < before)
    if through is not None:
        stored = stored.where(through >= _KEY)
    return dict((await tx.execute(stored)).all())


async def lost(plane: Plane, page: Iterable[Listed], said: dict[str, int]) -> list[str]:
    """Each is asked for once more: a listing is soon old."""
    there = {each.key for each in page}
    missing = [key for key in said if key not in there]
    return [key for key in missing if await plane.store.head(key) is None]


async def uploads(plane: Plane, opened_before: datetime) -> list[OpenUpload]:
    """Open since before then, and named by no row. Names that we did not make are not ours to judge."""
    found = [each for each in await plane.store.uploads_before(opened_before) if parse_key(each.key)]
    if not found:
        return []
    async with plane.working() as tx:
        ids = {each.upload_id for each in found}
        named = set(await tx.scalars(select(Object.upload_id).where(Object.upload_id.in_(ids))))
    return [each for each in found if each.upload_id not in named]
