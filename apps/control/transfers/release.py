"""Taking a transfer off its agent: because that failed, died, or let go; to be tried again, or not any more."""

import datetime as dt
from random import Random

from control.config import Settings
from control.db import Tx
from control.transfers import moves, retry
from control.transfers.model import Transfer
from wire.messages import Failure
from wire.states import WANTS_AGENT

_CHANCE = Random()  # spreads retries, guards nothing


async def after_failure(
    tx: Tx, transfer: Transfer, failure: Failure, settings: Settings, *, now: dt.datetime, who: str
) -> None:
    """The agent said what went wrong. Five tries, each later than the one before; then failed, with the last reason."""
    if transfer.intent in WANTS_AGENT and (not failure.retryable or retry.is_last(transfer.tries)):
        await moves.fail(tx, transfer, failure, now=now, who=who)
        return
    transfer.not_before = retry.not_before(transfer.tries, _CHANCE, now, settings.time_scale)
    transfer.failure_code, transfer.failure_detail = failure.code, failure.detail  # until the next claim
    await moves.back_to_waiting(tx, transfer, now=now, who=who, why=failure.code)


async def after_loss(tx: Tx, transfer: Transfer, settings: Settings, *, now: dt.datetime, who: str, why: str) -> None:
    """The agent fell silent, or began anew without it. The first time it is tried again at once, for most often that
    was the machine's fault; a transfer that kills agents waits longer each time, and ends too."""
    if transfer.intent in WANTS_AGENT and retry.is_last(transfer.tries):
        await moves.fail(tx, transfer, retry.TRIES_SPENT, now=now, who=who)
        return
    transfer.not_before = None
    if transfer.tries > 1:
        transfer.not_before = retry.not_before(transfer.tries - 1, _CHANCE, now, settings.time_scale)
    await moves.back_to_waiting(tx, transfer, now=now, who=who, why=why)


async def after_handover(tx: Tx, transfer: Transfer, *, now: dt.datetime, who: str, why: str) -> None:
    """The agent let go in order: that was no try, and the next may begin at once."""
    transfer.tries = max(0, transfer.tries - 1)
    transfer.not_before = None
    await moves.back_to_waiting(tx, transfer, now=now, who=who, why=why)
