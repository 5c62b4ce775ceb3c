"""Whether an agent may speak of a transfer at all: it holds it, at the current epoch."""

from uuid import UUID

from sqlalchemy import select

from control.db import Tx
from control.errors import Conflict
from control.transfers.model import Transfer
from wire.ids import AgentId
from wire.states import ON_AGENT


async def held(tx: Tx, agent: AgentId, transfer_id: UUID, epoch: int, *, lock: bool) -> Transfer:
    query = select(Transfer).where(
        Transfer.id == transfer_id,
        Transfer.agent_id == agent,
        Transfer.epoch == epoch,
        Transfer.state.in_(ON_AGENT),
    )
    if lock:
        query = query.with_for_update(key_share=True)
    transfer = await tx.scalar(query.execution_options(populate_existing=True))
    if transfer is None:
        raise Conflict("This transfer is not yours at this epoch.", code="stale_epoch")
    return transfer
