"""Objects that no row names: of epochs that are over, or of what nobody wants; kept away by tombstones."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import all_, delete
from sqlalchemy.dialects.postgresql import insert

from control.db import Tx
from control.storage.keys import parse_key, prefix
from control.transfers.model import Object, Tombstone, Transfer


class Spared(Struct, frozen=True):
    through_epoch: int
    """What has a higher epoch belongs to somebody who wants it."""
    named: frozenset[str]


def doomed(keys: Iterable[str], spared: Spared) -> list[str]:
    """What is not spared. Names that we did not make are not ours to judge, and stay."""
    parsed = [(key, parse_key(key)) for key in keys]
    return [key for key, made in parsed if made and made.epoch <= spared.through_epoch and key not in spared.named]


async def forget_unwanted(tx: Tx, transfer: Transfer, now: datetime) -> None:
    """Of a transfer that is stored: what was begun or stored of files that nobody wants any more."""
    of_transfer = (Object.transfer_id == transfer.id) & (Transfer.id == transfer.id)
    unwanted = delete(Object).where(of_transfer, Object.file != all_(Transfer.files)).returning(Object.file)
    gone = await tx.scalars(unwanted.execution_options(synchronize_session=False))
    if gone.first() is not None:
        await bury(tx, transfer, now)


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
