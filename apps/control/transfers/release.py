"""Taking a transfer off its agent: because that failed, died, or let go; to be tried again, or not any more.

failed ──┬── may help ──► waits, longer each time ──► tried again ──► … the fifth time ──► dead letter
         └── cannot help ──► failed                                                            │
by hand, one or many: from the top ◄───────────────────────────────────────────────────────────┘
"""

import datetime as dt
from random import Random

from prometheus_client import Counter

from control.config import Settings
from control.db import Tx
from control.transfers import moves, retry
from control.transfers.model import Transfer
from telemetry import logs
from wire.messages import DISK_BUSY, Failure
from wire.states import WANTS_AGENT, Intent, TransferState

log = logs.get(__name__)

_CHANCE = Random()  # spreads retries, guards nothing
_DEAD = Counter("control_dead_letters_total", "Transfers given up after their last try.")


async def after_failure(
    tx: Tx, transfer: Transfer, failed: Failure, settings: Settings, *, now: dt.datetime, who: str
) -> None:
    """The agent said what went wrong. Five tries, each later than the one before; then failed, with the last reason."""
    if failed.code == DISK_BUSY:
        transfer.tries = max(0, transfer.tries - 1)
    elif transfer.intent in WANTS_AGENT and not failed.retryable:
        await moves.fail(tx, transfer, failed, now=now, who=who)
        return
    if transfer.intent in WANTS_AGENT and retry.is_last(transfer.tries):
        await _give_up(tx, transfer, failed, now=now, who=who)
        return
    transfer.not_before = retry.not_before(transfer.tries, _CHANCE, now, settings)
    transfer.failure_code, transfer.failure_detail = failed.code, failed.detail  # until the next claim
    await moves.back_to_waiting(tx, transfer, now=now, who=who, why=failed.code)


async def after_loss(tx: Tx, transfer: Transfer, settings: Settings, *, now: dt.datetime, who: str, why: str) -> None:
    """The agent fell silent, or began anew without it. The first time it is tried again at once, for most often that
    was the machine's fault; a transfer that kills agents waits longer each time, and ends too."""
    if transfer.intent in WANTS_AGENT and retry.is_last(transfer.tries):
        await _give_up(tx, transfer, retry.TRIES_SPENT, now=now, who=who)
        return
    transfer.not_before = None
    if transfer.tries > 1:
        transfer.not_before = retry.not_before(transfer.tries - 1, _CHANCE, now, settings)
    transfer.failure_code, transfer.failure_detail = why, None
    await moves.back_to_waiting(tx, transfer, now=now, who=who, why=why)


async def after_handover(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> None:
    """The agent let go in order: that was no try, and the next may begin at once."""
    transfer.tries = max(0, transfer.tries - 1)
    transfer.not_before = None
    await moves.back_to_waiting(tx, transfer, now=now, who=who, why=why)


async def from_the_top(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> None:
    """What has ended is wanted again, or more of it: with all its tries, and what it stored before. The one way back,
    for members and operators; a dead letter is none any more. `jobs.holders` says what exactly is wanted."""
    transfer.intent = Intent.RUN
    transfer.tries, transfer.not_before = 0, None
    transfer.failure_code = transfer.failure_detail = None
    await moves.move(tx, transfer, TransferState.WAITING, now=now, who=who, why=why)


async def _give_up(tx: Tx, transfer: Transfer, failed: Failure, *, now: dt.datetime, who: str) -> None:
    transfer.dead_at = now
    await moves.fail(tx, transfer, failed, now=now, who=who)
    _DEAD.inc()
    log.error("transfer.dead", transfer=str(transfer.id), code=failed.code, agents=transfer.last_agents)
