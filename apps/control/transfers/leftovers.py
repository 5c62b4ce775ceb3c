"""Objects that no row names: of epochs that are over, or of what nobody wants; kept away by tombstones."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy.dialects.postgresql import insert

from control.db import Tx
from control.storage.keys import parse_key, prefix
from control.transfers.model import Tombstone, Transfer


class Spared(Struct, frozen=True):
    through_epoch: int
    """What has a higher epoch belongs to somebody who wants it."""
    named: frozenset[str]


def doomed(keys: Iterable[str], spared: Spared) -> list[str]:
    """What is not spared. Names that we did not make are not ours to judge, and stay."""
    parsed = [(key, parse_key(key)) for key in keys]
    return [key for key, made in parsed if made and made.epoch <= spared.through_epoch and key not in spared.named]


async def bury(tx: Tx, transfer: Transfer, now: datetime) -> None:
    row = {
        "prefix": prefix(transfer.scope_id, transfer.torrent_id),
        "scope_id": transfer.scope_id,
        "created_at": now,
        "last_sweep_at": now - timedelta(seconds=1),
    }
    renewed = {"created_at": row["created_at"], "last_sweep_at": row["last_sweep_at"]}
    await tx.execute(
        insert(Tombstone).values(row).on_conflict_do_update(index_elements=[Tombstone.prefix], set_=renewed)
    )
