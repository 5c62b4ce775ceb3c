"""Whether an agent may speak of a transfer at all: it holds it, at the current epoch; or only read of it, as a seed."""

from uuid import UUID

from sqlalchemy import ColumnElement, select

from control.db import Tx
from control.errors import Conflict
from control.transfers.model import Seed, Transfer
from wire.ids import AgentId
from wire.states import ON_AGENT


async def held(tx: Tx, agent: AgentId, transfer_id: UUID, epoch: int, *, lock: bool) -> Transfer:
    query = select(Transfer).where(*_held(agent, transfer_id, epoch))
    if lock:
        query = query.with_for_update(key_share=True)
    transfer = await tx.scalar(query.execution_options(populate_existing=True))
    if transfer is None:
        raise _not_yours()
    return transfer


async def torrent_of(tx: Tx, agent: AgentId, transfer_id: UUID, epoch: int) -> UUID:
    """Of what it holds, or gives to peers: a new boot reads anew what it found on its disk."""
    gives = select(Transfer.torrent_id).join(Seed, Seed.transfer_id == Transfer.id)
    gives = gives.where(
        Transfer.id == transfer_id, Seed.agent_id == agent, Seed.epoch == epoch, Seed.ended_at.is_(None)
    )
    holds = select(Transfer.torrent_id).where(*_held(agent, transfer_id, epoch))
    torrent = await tx.scalar(holds.union(gives))
    if torrent is None:
        raise _not_yours()
    return torrent


def _held(agent: AgentId, transfer_id: UUID, epoch: int) -> tuple[ColumnElement[bool], ...]:
    return (
        Transfer.id == transfer_id,
        Transfer.agent_id == agent,
        Transfer.epoch == epoch,
        Transfer.state.in_(ON_AGENT),
    )


def _not_yours() -> Conflict:
    return Conflict("This transfer is not yours at this epoch.", code="stale_epoch")
