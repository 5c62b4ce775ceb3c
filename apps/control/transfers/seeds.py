"""Seeds: stored transfers that their last agent still gives to peers. To everybody else they are stored, and over.

    stored, and the policy goes on ──► open: its agent holds it, under its last epoch, and says what it gives
    ratio or time reached, policy or agent changed, nobody has it on his list, more of it is wanted ──► ended

An agent that is away may come back to what it holds; nobody else ever takes a seed over. A sync of its agent is in
order (`agents.rev`), so a report of a seed needs no number of its own.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.dialects.postgresql import insert

from control.db import Tx
from control.fleet.model import Agent, Pool
from control.jobs import follow
from control.jobs.model import Job, holds_data
from control.plans import allowance
from control.seeding import EVERYTHING, Seeding, strictest
from control.transfers.model import Seed, Transfer
from telemetry import logs
from wire.messages import Pace, Report, Verdict
from wire.states import DRAINS, JOB_ACTIVE, ON_AGENT, JobState, TransferState

log = logs.get(__name__)

BEGAN = "seeding"
LET_GO = "seeding_let_go"
RATIO = "seeded_ratio"
TIME = "seeded_time"
STOPPED = "seeding_stopped"


class Giving(Struct, frozen=True):
    """An open seed with what it hangs on."""

    seed: Seed
    transfer: Transfer
    wanted: bool
    """Somebody has it on his list, and nobody wants more of it."""


Side = tuple[str, UUID]
"""Whose word counts: a pool's, and an organisation's by its plan."""


async def policy(tx: Tx, transfer: Transfer) -> Seeding:
    side = _side(transfer)
    return (await _policies(tx, [side]))[side]


def _side(transfer: Transfer) -> Side:
    return transfer.pool, transfer.scope_id


async def _policies(tx: Tx, sides: Collection[Side]) -> dict[Side, Seeding]:
    """What both let happen."""
    named = select(Pool).where(Pool.name.in_({pool for pool, _ in sides}))
    pools = {pool.name: pool.policy for pool in await tx.scalars(named)}
    allowed = await allowance.of_all(tx, {org for _, org in sides})
    plans = {org: each.limits.seeding or EVERYTHING for org, each in allowed.items()}
    return {(pool, org): strictest(pools.get(pool, Seeding()), plans.get(org, EVERYTHING)) for pool, org in set(sides)}


async def begin(tx: Tx, transfer: Transfer, now: dt.datetime) -> bool:
    """Before its move to stored takes it off its agent; locked by the caller."""
    agreed = await policy(tx, transfer)
    agent = await tx.get(Agent, transfer.agent_id) if transfer.agent_id else None
    if not agreed.goes_on or agent is None or agent.duty in DRAINS:
        return False
    row = {
        "transfer_id": transfer.id,
        "scope_id": transfer.scope_id,
        "agent_id": agent.id,
        "boot": transfer.boot,
        "epoch": transfer.epoch,
        "ratio_max": agreed.ratio,
        "given_before": 0,
        "given_bytes": 0,
        "began_at": now,
        "ends_at": now + dt.timedelta(seconds=agreed.lasts_s),
        "ended_at": None,
        "why": None,
    }
    await tx.execute(insert(Seed).values(row).on_conflict_do_update(index_elements=[Seed.transfer_id], set_=row))
    log.info("transfer.seeding", transfer=str(transfer.id), agent=str(agent.id))
    return True


async def of_agent(tx: Tx, agent: Agent) -> dict[UUID, Giving]:
    """Open ones, by their transfer."""
    return {each.transfer.id: each for each in await _open(tx, Seed.agent_id == agent.id)}


async def take(
    tx: Tx, agent: Agent, givings: Mapping[UUID, Giving], report: Report, now: dt.datetime, *, leaving: bool
) -> Verdict | None:
    """What to say of a report that is of no transfer at work; None: of no seed either."""
    giving = givings.get(report.transfer)
    if giving is None or (giving.seed.boot, giving.seed.epoch) != (agent.boot, report.epoch):
        return None
    seed, transfer = giving.seed, giving.transfer
    seed.given_bytes = seed.given_before + max(0, report.rates.given_bytes)
    transfer.up_rate = max(0, report.rates.up_rate)
    why = _over(giving, agent, now) or (LET_GO if report.handover and not leaving else None)
    if report.failure is not None:
        why = LET_GO
    if why is not None:
        await end(tx, giving, why, now=now, who=f"agent:{agent.id}")
        return Verdict(report.transfer, "stale")
    pace = Pace(transfer.down_share, transfer.up_share)
    return Verdict(report.transfer, "ok", go=True, seeds=True, pace=pace)


def _over(giving: Giving, agent: Agent, now: dt.datetime) -> str | None:
    seed = giving.seed
    if not giving.wanted or agent.duty in DRAINS:
        return STOPPED
    if seed.ends_at <= now:
        return TIME
    size = max(1, giving.transfer.size_bytes or 0)
    return RATIO if seed.ratio_max is not None and seed.given_bytes >= seed.ratio_max * size else None


def adopt(agent: Agent, giving: Giving, epoch: int, now: dt.datetime) -> bool:
    """Found by a new boot on its disk: it goes on, and what the boot before gave is not forgotten."""
    seed = giving.seed
    if seed.epoch != epoch or agent.boot is None or _over(giving, agent, now):
        return False
    if seed.boot != agent.boot:
        seed.boot, seed.given_before = agent.boot, seed.given_bytes
    return True


async def let_go(
    tx: Tx, agent: Agent, givings: Iterable[Giving], held: Collection[tuple[UUID, int]], now: dt.datetime
) -> None:
    """What it had and does not speak of any more, or has not found again."""
    for each in givings:
        if each.seed.ended_at is None and (each.transfer.id, each.seed.epoch) not in held:
            await end(tx, each, LET_GO, now=now, who=f"agent:{agent.id}")


async def end(tx: Tx, giving: Giving, why: str, *, now: dt.datetime, who: str) -> None:
    giving.seed.ended_at, giving.seed.why = now, why
    transfer = giving.transfer
    log.info("transfer.seeded", transfer=str(transfer.id), why=why, given_bytes=giving.seed.given_bytes)
    if transfer.state is TransferState.STORED:
        await tell(tx, transfer, why, now=now, who=who)


async def tell(tx: Tx, transfer: Transfer, why: str, *, now: dt.datetime, who: str) -> None:
    """In the timelines of the jobs that it was stored for, whose state stays what it is."""
    done = select(Job).where(Job.transfer_id == transfer.id, Job.state == JobState.COMPLETED, Job.removed_at.is_(None))
    for job in await tx.scalars(done.order_by(Job.id).with_for_update(key_share=True)):
        job.version += 1
        job.updated_at = now
        follow.tell(tx, follow.told(job, job.state, now=now, who=who, why=why, epoch=transfer.epoch))


async def overdue(tx: Tx, now: dt.datetime) -> list[tuple[Giving, str]]:
    """What has to end although its agent says nothing; for loop `seeding`."""
    over = []
    for each in await _open(tx, Seed.epoch > 0, patiently=False):
        agent = await tx.get_one(Agent, each.seed.agent_id)
        if agent.retired_at is not None:
            over.append((each, STOPPED))
        elif (why := _over(each, agent, now)) is not None:
            over.append((each, why))
    return over


async def follow_policies(tx: Tx) -> set[UUID]:
    """Which agents should look again, after a pool or a plan says something else."""
    agents = await _follow_at_work(tx)
    givings = await _open(tx, Seed.epoch > 0, patiently=False)
    policies = await _policies(tx, [_side(each.transfer) for each in givings])
    for each in givings:
        agreed = policies[_side(each.transfer)]
        ends_at = each.seed.began_at + dt.timedelta(seconds=agreed.lasts_s if agreed.goes_on else 0)
        if (each.seed.ratio_max, each.seed.ends_at) != (agreed.ratio, ends_at):
            each.seed.ratio_max, each.seed.ends_at = agreed.ratio, ends_at
            agents.add(each.seed.agent_id)
    return agents


async def _follow_at_work(tx: Tx) -> set[UUID]:
    """Whether they may give. What a sync holds at this moment comes with the next step."""
    chosen = select(Transfer.id, Transfer.pool, Transfer.scope_id, Transfer.gives)
    on_agents = (await tx.execute(chosen.where(Transfer.state.in_(ON_AGENT)))).all()
    policies = await _policies(tx, [(pool, org) for _, pool, org, _ in on_agents])
    wrong = [transfer for transfer, pool, org, gives in on_agents if policies[pool, org].gives is not gives]
    found = select(Transfer).where(Transfer.id.in_(wrong), Transfer.state.in_(ON_AGENT)).order_by(Transfer.id)
    agents = set()
    for transfer in (await tx.scalars(found.with_for_update(key_share=True, skip_locked=True))).all() if wrong else []:
        transfer.gives = not transfer.gives
        transfer.steer_rev += 1
        if transfer.agent_id is not None:
            agents.add(transfer.agent_id)
    return agents


async def _open(tx: Tx, which: ColumnElement[bool], *, patiently: bool = True) -> list[Giving]:
    """Locked. Only a loop leaves out what is locked already: an agent would hear that it is not his."""
    of_it = Job.transfer_id == Transfer.id
    shown = exists().where(of_it, holds_data(), Job.state == JobState.COMPLETED)
    wanted = shown & ~exists().where(of_it, Job.state.in_(JOB_ACTIVE), Job.removed_at.is_(None))
    is_stored = (Transfer.state == TransferState.STORED) & Transfer.go & (Transfer.epoch == Seed.epoch)
    rows = await tx.execute(
        select(Seed, Transfer, wanted & is_stored)
        .join(Transfer, Transfer.id == Seed.transfer_id)
        .where(Seed.ended_at.is_(None), which)
        .order_by(Seed.transfer_id)
        .with_for_update(key_share=True, of=Seed, skip_locked=not patiently)
        .execution_options(populate_existing=True)
    )
    return [Giving(seed, transfer, bool(goes_on)) for seed, transfer, goes_on in rows.all()]
