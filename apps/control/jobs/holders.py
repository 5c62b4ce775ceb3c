"""A transfer wants what its holders want: worked out here, from its jobs, whenever one of them changes its mind."""

import datetime as dt
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

from control.db import Tx
from control.jobs.limits import limits
from control.jobs.model import Job
from control.transfers import moves
from control.transfers.model import Transfer, at_work
from wire.ids import OrgId
from wire.states import JOB_ACTIVE, ON_AGENT, TRANSFER_ENDED, Intent, TransferState, strongest


async def settle(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> UUID | None:
    """`transfer` is locked by the caller, who says which agent should look again."""
    await tx.flush()
    before = transfer.intent
    transfer.intent = strongest(await tx.scalars(select(Job.intent).where(_holds(transfer.id))))
    transfer.paused_at = (transfer.paused_at or now) if transfer.intent is Intent.PAUSE else None
    agent = transfer.agent_id
    if transfer.state in TRANSFER_ENDED:
        return None
    match transfer.intent:
        case Intent.STOP if transfer.state not in ON_AGENT:  # where there is an agent, it lets go by itself
            await moves.move(tx, transfer, TransferState.STOPPED, now=now, who=who, why=why)
        case Intent.PAUSE if transfer.state is TransferState.OFFERED:
            await moves.move(tx, transfer, TransferState.WAITING, now=now, who=who, why=why)
        case Intent.RUN | Intent.CHOOSE if before is Intent.PAUSE:
            await _take_up(tx, transfer, now=now, who=who, why=why)
    return agent


async def _take_up(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> None:
    """Goes on where it lies, if its organisation has a slot left; else it waits for one like any other."""
    transfer.tries, transfer.not_before = 0, None
    if transfer.state in ON_AGENT and await _slots_taken(tx, transfer):
        await moves.back_to_waiting(tx, transfer, now=now, who=who, why=why)


async def _slots_taken(tx: Tx, transfer: Transfer) -> bool:
    others = select(func.count()).where(Transfer.scope_id == transfer.scope_id, Transfer.id != transfer.id, at_work())
    return int(await tx.scalar(others) or 0) >= limits(OrgId(transfer.scope_id)).active


def _holds(transfer_id: UUID) -> ColumnElement[bool]:
    return (Job.transfer_id == transfer_id) & Job.removed_at.is_(None) & Job.state.in_(JOB_ACTIVE)
