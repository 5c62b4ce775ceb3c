"""The one door through which a transfer changes state: along the table, its jobs following in the same transaction."""

import datetime as dt

from control.db import Tx
from control.jobs import follow
from control.transfers.model import Transfer
from wire.messages import Failure
from wire.states import Intent, TransferState


async def move(tx: Tx, transfer: Transfer, to: TransferState, *, now: dt.datetime, who: str, why: str) -> None:
    """`transfer` is locked by the caller. A move to where it already is does nothing."""
    holder = transfer.agent_id
    if transfer.move(to, now):
        await follow.jobs_of(tx, transfer, now=now, who=who, why=why, holder=transfer.agent_id or holder)


async def fail(tx: Tx, transfer: Transfer, failure: Failure, *, now: dt.datetime, who: str) -> None:
    transfer.failure_code, transfer.failure_detail = failure.code, failure.detail
    await move(tx, transfer, TransferState.FAILED, now=now, who=who, why=failure.code)


async def back_to_waiting(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> None:
    """Off its agent; to be offered again, or to an end if nobody wants it any more. What is stored stays stored."""
    to = TransferState.STOPPED if transfer.intent is Intent.STOP else TransferState.WAITING
    await move(tx, transfer, to, now=now, who=who, why=why)
