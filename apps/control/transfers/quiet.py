"""Reports that say nothing new: most of them. One statement for all takes their revs, and no row is loaded for any.

A busy agent reports hundreds of transfers in every sync, of which a few have stored something since the last one.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from uuid import UUID

from msgspec import Struct
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as UUIDS
from sqlalchemy.types import BigInteger, Integer, Text

from control.db import Tx
from control.fleet.model import Agent
from wire.ids import TransferId
from wire.messages import Pace, Report, Verdict
from wire.states import ON_AGENT, Intent, TransferState

_TAKE = text(
    """
    WITH said AS (
      SELECT * FROM unnest(:ids, :epochs, :revs, :states, :steers, :downs, :ups)
        AS s (id, epoch, rev, state, steer, down, up)
    ), held AS (
      SELECT t.id, s.rev, s.down, s.up FROM transfers t JOIN said s ON s.id = t.id
      WHERE t.agent_id = :agent AND t.boot = :boot AND t.epoch = s.epoch AND t.rev <= s.rev AND t.state = s.state
        AND t.intent = :run AND t.steer_rev = s.steer AND t.progress_at > :due
      ORDER BY t.id FOR NO KEY UPDATE OF t
    )
    UPDATE transfers t SET rev = held.rev, down_rate = held.down, up_rate = held.up FROM held
      WHERE t.id = held.id RETURNING t.id, t.go, t.down_share, t.up_share
    """
).bindparams(
    bindparam("ids", type_=ARRAY(UUIDS)),
    bindparam("epochs", type_=ARRAY(Integer)),
    bindparam("revs", type_=ARRAY(Integer)),
    bindparam("states", type_=ARRAY(Text)),
    bindparam("steers", type_=ARRAY(Integer)),
    bindparam("downs", type_=ARRAY(BigInteger)),
    bindparam("ups", type_=ARRAY(BigInteger)),
)


class Quiet(Struct, frozen=True):
    """A report, and the state that the transfer has if it says nothing new."""

    report: Report
    state: TransferState


async def take(tx: Tx, agent: Agent, said: Iterable[Quiet], due: dt.datetime) -> Mapping[UUID, Verdict]:
    """What to say of those that were taken. `due`: progress that was written earlier is to be written
    again. What is not taken has something to it, and must be looked at."""
    quiet = [each for each in said if _is_quiet(each)]
    if not quiet:
        return {}
    rows = await tx.execute(
        _TAKE,
        {
            "ids": [UUID(bytes=each.report.transfer.bytes) for each in quiet],
            "epochs": [each.report.epoch for each in quiet],
            "revs": [each.report.rev for each in quiet],
            "states": [each.state.value for each in quiet],
            "steers": [each.report.steer for each in quiet],
            "downs": [max(0, each.report.rates.down_rate) for each in quiet],
            "ups": [max(0, each.report.rates.up_rate) for each in quiet],
            "agent": agent.id,
            "boot": agent.boot,
            "run": Intent.RUN.value,
            "due": due,
        },
    )
    return {
        transfer: Verdict(TransferId(transfer), "ok", go=go, pace=Pace(down, up))
        for transfer, go, down, up in rows.all()
    }


def _is_quiet(each: Quiet) -> bool:
    report = each.report
    spoken = report.parts or report.files or report.done or report.failure or report.handover
    return each.state in ON_AGENT and not spoken
