"""A claim: an agent takes a transfer. It raises the epoch, so that whatever an earlier owner still says is refused."""

import datetime as dt
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import func, select

from control.db import Tx
from control.fleet.model import Agent
from control.plane import Plane
from control.transfers import moves, retry, seeds, shares, spec
from control.transfers.model import Transfer, locked
from telemetry import logs
from telemetry.correlation import correlated
from wire.ids import AgentId
from wire.messages import Claim, ClaimAnswer, Claimed, Pace, Refused
from wire.states import ON_AGENT, TRANSFER_ENDED, WANTS_AGENT, AgentState, Intent, TransferState

log = logs.get(__name__)

_CLAIMS = Counter("control_claims_total", "Claims by what was answered.", ["answer"])


async def claim(plane: Plane, agent_id: AgentId, asked: Claim, now: dt.datetime) -> ClaimAnswer:
    async with plane.working() as tx:
        # The agent's row first, as everywhere: shared, so that it cannot be retired while it takes something.
        agent = await tx.scalar(select(Agent).where(Agent.id == agent_id).with_for_update(read=True))
        transfer = await locked(tx, asked.transfer)
        answer = await _decide(tx, plane, agent, transfer, asked, now)
    _CLAIMS.labels(answer.code if isinstance(answer, Refused) else "granted").inc()
    if transfer is not None:
        with correlated(transfer.correlation_id):
            _note(agent_id, asked, answer)
    await plane.nudge("dispatch")  # one offer fewer is open, or one must be made again
    if isinstance(answer, Claimed) and answer.spec.pace != Pace():
        await plane.nudge("shares")
    return answer


async def _decide(
    tx: Tx, plane: Plane, agent: Agent | None, transfer: Transfer | None, asked: Claim, now: dt.datetime
) -> ClaimAnswer:
    if agent is None or transfer is None or transfer.pool != agent.pool:
        return Refused("gone")
    if _is_repeated(transfer, agent, asked):
        return Claimed(await spec.build(tx, transfer, plane.settings))
    if transfer.state in TRANSFER_ENDED:
        return Refused("gone")
    if transfer.state not in (TransferState.OFFERED, TransferState.WAITING):
        return Refused("taken")
    who = f"agent:{agent.id}"
    if transfer.intent not in WANTS_AGENT:
        await moves.back_to_waiting(tx, transfer, now=now, who=who, why="not_wanted")
        return Refused("gone")
    if agent.state is not AgentState.READY or agent.boot != asked.boot:
        # Another agent need not wait until the offer is made again by the clock.
        await moves.back_to_waiting(tx, transfer, now=now, who=who, why="agent_not_ready")
        return Refused("not_ready")
    await take(tx, transfer, agent.id, asked.boot, asked.claim_id, now=now)
    return Claimed(await spec.build(tx, transfer, plane.settings))


async def take(
    tx: Tx, transfer: Transfer, agent_id: UUID, boot: UUID, claim_id: UUID | None, *, now: dt.datetime
) -> None:
    """The transfer is locked by the caller, and free or this agent's own. Every taking counts as a try."""
    transfer.epoch = await _next_epoch(tx, transfer)
    transfer.rev = 0
    transfer.tries += 1
    transfer.not_before = None
    transfer.failure_code = transfer.failure_detail = None
    transfer.done = False
    # Size known, and yet no leave: it was taken up again, and judged when it was asked for.
    transfer.go = transfer.go or (transfer.size_bytes is not None and transfer.intent is Intent.RUN)
    if transfer.state not in ON_AGENT:
        who, why = f"agent:{agent_id}", "claimed"
        await moves.move(tx, transfer, TransferState.OFFERED, now=now, who=who, why=why)
        transfer.agent_id = agent_id
        await moves.move(tx, transfer, TransferState.CLAIMED, now=now, who=who, why=why)
    transfer.agent_id, transfer.boot, transfer.claim_id = agent_id, boot, claim_id
    await shares.first(tx, transfer)
    transfer.gives = (await seeds.policy(tx, transfer)).gives
    transfer.last_agents = [*transfer.last_agents, str(agent_id)][-retry.TRIES_MAX :]


async def _next_epoch(tx: Tx, transfer: Transfer) -> int:
    """Higher than any of this torrent's transfers ever had: objects are named by torrent and epoch, so a name is never
    used twice, and what is left of an old transfer can be told from a new one's."""
    of_torrent = select(func.max(Transfer.epoch)).where(Transfer.torrent_id == transfer.torrent_id)
    return 1 + max(transfer.epoch, await tx.scalar(of_torrent) or 0)


def _is_repeated(transfer: Transfer, agent: Agent, asked: Claim) -> bool:
    """The answer was lost on its way, and the agent asks again."""
    return (
        transfer.state in ON_AGENT
        and transfer.agent_id == agent.id
        and transfer.boot == asked.boot
        and transfer.claim_id == asked.claim_id
    )


def _note(agent_id: AgentId, asked: Claim, answer: ClaimAnswer) -> None:
    fields = {"transfer": str(asked.transfer), "agent": str(agent_id)}
    if isinstance(answer, Claimed):
        log.info("transfer.claimed", epoch=answer.spec.epoch, parts=len(answer.spec.parts), **fields)
    else:
        log.info("transfer.claim_refused", code=answer.code, **fields)
