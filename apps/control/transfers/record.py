"""What is: one sync of an agent, written down in one transaction. An older boot, epoch or rev is refused.

sync ──► the agent's row ──► found on its disk: adopt or drop ──► reports ──► held no more ──► verdicts
"""

import datetime as dt
import re
from collections import Counter as Counts
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from msgspec import Struct
from prometheus_client import Counter
from sqlalchemy import Integer, Uuid, column, select, values

from control.config import Settings
from control.db import Tx
from control.errors import Conflict, NotSignedIn
from control.fleet.model import Agent
from control.jobs.model import Job
from control.plane import Plane
from control.plans import traffic
from control.plans.model import TrafficKind
from control.transfers import claim as claims
from control.transfers import moves, quiet, release, seeds, stored
from control.transfers import spec as specs
from control.transfers.model import Transfer, held_by, held_otherwise
from control.transfers.quiet import Quiet
from telemetry import logs
from telemetry.correlation import correlated
from telemetry.redact import clean_text
from wire.failures import FAILURES
from wire.filelist import TOTAL_BYTES_MAX
from wire.ids import AgentId, JobId, OrgId, TransferId
from wire.messages import Detail, Failure, Found, Pace, Rates, Report, Sync, Synced, Verdict
from wire.states import (
    DRAINS,
    ON_AGENT,
    TRANSFER_MOVES,
    AgentState,
    Duty,
    Intent,
    Phase,
    TransferState,
    agent_state,
)

log = logs.get(__name__)

PROGRESS_WRITTEN_S = 30.0
"""Progress lives on the bus; the row is for whoever looks without having listened."""
VERSION_CHARS_MAX = 64
DETAIL_CHARS_MAX = 500
SLOTS_MAX = 10_000

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SYNCS = Counter("control_syncs_total", "Syncs by what was answered.", ["answer"])
_STALE = Counter("control_stale_reports_total", "Reports under an epoch that is over.")

_STATE_OF = {
    Phase.FETCHING_METADATA: TransferState.FETCHING_METADATA,
    Phase.HELD: TransferState.HELD,
    Phase.RUNNING: TransferState.RUNNING,
    Phase.TAIL: TransferState.TAIL,
}


class Told(Struct, frozen=True):
    """Progress to be said once the transaction has committed; newest wins, nothing is kept."""

    org: OrgId
    job: JobId
    rates: Rates
    detail: Detail | None = None
    """Where somebody asked for it."""


class Outcome(Struct):
    """What a sync came to: the answer, and whom to nudge."""

    verdicts: list[Verdict]
    told: list[Told]
    brought: Counts[UUID]
    """Bytes that are new in the store, by organisation."""
    wake_finish: bool = False
    wake_dispatch: bool = False
    duty: Duty = Duty.WORK
    pace: Pace = Pace()


async def sync(plane: Plane, agent_id: AgentId, said: Sync, now: dt.datetime) -> tuple[Synced, list[Told]]:
    """The caller says the progress; here it is only worked out."""
    async with plane.working() as tx:
        outcome = await _write(tx, plane.settings, agent_id, said, now)
    _SYNCS.labels("recorded").inc()
    if outcome.wake_finish:
        await plane.nudge("finish")
    if outcome.wake_dispatch:
        await plane.nudge("dispatch")
    next_s = plane.settings.wait(plane.settings.sync_s)
    return Synced(outcome.verdicts, next_s, duty=outcome.duty, pace=outcome.pace), outcome.told


async def _write(tx: Tx, settings: Settings, agent_id: AgentId, said: Sync, now: dt.datetime) -> Outcome:
    agent = await tx.scalar(select(Agent).where(Agent.id == agent_id).with_for_update(key_share=True))
    if agent is None or agent.state is AgentState.RETIRED:
        raise NotSignedIn("This agent was retired.", code="agent_retired")
    lease = dt.timedelta(seconds=settings.wait(settings.lease_s))
    woke = _note_agent(agent, said, lease, now)
    pace = Pace(agent.down_max, agent.up_max)
    outcome = Outcome([], [], Counts(), wake_dispatch=woke, duty=agent.duty, pace=pace)
    await _answer_found(tx, settings, agent, said, outcome, now)
    await _take_reports(tx, settings, agent, said, outcome, now)
    await _give_away(tx, settings, agent, said, lease, outcome, now)
    await _settle_drained(tx, agent)
    await traffic.add(tx, outcome.brought, TrafficKind.TRANSFER, now)
    return outcome


def _note_agent(agent: Agent, said: Sync, lease: dt.timedelta, now: dt.datetime) -> bool:
    """True if it can be given work now and could not before."""
    same_boot = agent.boot == said.boot
    if same_boot and said.rev < agent.rev:
        _SYNCS.labels("stale").inc()
        raise Conflict("A later sync of this boot was recorded already.", code="stale_sync")
    if not same_boot and agent.boot is not None and said.boot < agent.boot and _is_fresh(agent, lease, now):
        # Boots are numbered by time: a late word of a process that is dead must not end its successor's work.
        _SYNCS.labels("stale").inc()
        raise Conflict("A later boot of this agent is at work.", code="stale_sync")
    was_ready = agent.state is AgentState.READY and same_boot
    agent.boot, agent.rev, agent.seen_at = said.boot, said.rev, now
    agent.version, agent.slots = said.version[:VERSION_CHARS_MAX], max(0, min(said.slots, SLOTS_MAX))
    if said.about is not None:
        agent.region, agent.labels = said.about.region, dict(said.about.labels)
        agent.disk_budget_bytes, agent.disk_free_bytes = said.about.disk_budget_bytes, said.about.disk_free_bytes
    if agent.state in (AgentState.ENROLLED, AgentState.LOST) and not said.leaving:
        agent.move(agent_state(agent.duty, holds=False))
        log.info("agent.ready", agent=str(agent.id), name=agent.name, boot=str(said.boot), state=agent.state)
    if said.leaving and agent.state is not AgentState.ENROLLED:
        if agent.duty not in DRAINS:  # what it still holds is given away below, and then it is drained
            agent.move(AgentState.LOST)
        log.info("agent.left", agent=str(agent.id), name=agent.name)
    return agent.state is AgentState.READY and not was_ready


def _is_fresh(agent: Agent, lease: dt.timedelta, now: dt.datetime) -> bool:
    return agent.seen_at is not None and agent.seen_at > now - lease


async def _answer_found(
    tx: Tx, settings: Settings, agent: Agent, said: Sync, outcome: Outcome, now: dt.datetime
) -> None:
    """A new boot found these on its disk: its own still, or nobody's yet, at the epoch it had: go on, one epoch later.
    The same boot asking again (the answer was lost) gets the same answer."""
    if not said.found or said.leaving:
        return
    epochs = {UUID(bytes=found.transfer.bytes): found.epoch for found in said.found}
    query = select(Transfer).where(Transfer.id.in_(epochs)).order_by(Transfer.id)
    rows = await tx.scalars(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    known = {transfer.id: transfer for transfer in rows}
    givings = await seeds.of_agent(tx, agent)
    for transfer_id, epoch in epochs.items():
        transfer, giving = known.get(transfer_id), givings.get(transfer_id)
        if giving is not None and seeds.adopt(agent, giving, epoch, now):
            spec = await specs.build(tx, giving.transfer, settings)
            outcome.verdicts.append(Verdict(TransferId(transfer_id), "adopt", go=True, seeds=True, spec=spec))
            continue
        if transfer is None or not await _adopt(tx, settings, transfer, agent, epoch, now):
            outcome.verdicts.append(Verdict(TransferId(transfer_id), "stale"))
            continue
        spec = await specs.build(tx, transfer, settings)
        outcome.verdicts.append(
            Verdict(TransferId(transfer_id), "adopt", intent=transfer.intent, go=transfer.go, spec=spec)
        )


async def _adopt(tx: Tx, settings: Settings, transfer: Transfer, agent: Agent, epoch: int, now: dt.datetime) -> bool:
    """Its own even where it may take nothing new, unless others shall go on with it; also what is paused."""
    if transfer.intent is Intent.STOP or transfer.pool != agent.pool or agent.duty is Duty.HAND_OVER:
        return False
    if transfer.state in ON_AGENT and transfer.agent_id == agent.id and transfer.boot == agent.boot:
        return transfer.rev == 0  # adopted a moment ago, by this very boot
    mine = transfer.state in ON_AGENT and transfer.agent_id == agent.id
    free = transfer.state in (TransferState.WAITING, TransferState.OFFERED) and agent.state is AgentState.READY
    if transfer.epoch != epoch or not (mine or free):
        return False
    who = f"agent:{agent.id}"
    if mine:
        # Through the same door as any loss: a torrent that kills its agent again and again ends.
        await release.after_loss(tx, transfer, settings, now=now, who=who, why="agent_restarted")
        if transfer.state is not TransferState.WAITING:
            return False
    assert agent.boot is not None
    await claims.take(tx, transfer, agent.id, agent.boot, None, now=now)
    with correlated(transfer.correlation_id):
        log.info("transfer.adopted", transfer=str(transfer.id), agent=str(agent.id), epoch=transfer.epoch)
    return True


async def _take_reports(
    tx: Tx, settings: Settings, agent: Agent, said: Sync, outcome: Outcome, now: dt.datetime
) -> None:
    reports = {report.transfer: report for report in said.reports}
    due = now - dt.timedelta(seconds=PROGRESS_WRITTEN_S)
    nothing_new = await quiet.take(tx, agent, (Quiet(each, _STATE_OF[each.phase]) for each in reports.values()), due)
    held = await _current(tx, agent, [each for each in reports.values() if each.transfer not in nothing_new])
    givings = await seeds.of_agent(tx, agent)  # only now: what was at work a moment ago is locked, and no seed yet
    known = held.keys() | nothing_new.keys() | givings.keys()
    overtaken = await _overtaken(tx, agent, [report for report in reports.values() if report.transfer not in known])
    jobs = await _jobs_of(tx, known)
    steers = await specs.steers(tx, [t.id for t in held.values() if t.steer_rev != reports[TransferId(t.id)].steer])
    for transfer_id, report in reports.items():
        transfer = held.get(transfer_id)
        if transfer_id in nothing_new:
            outcome.told += _told(report, jobs)
            outcome.verdicts.append(nothing_new[transfer_id])
            continue
        if transfer is None and (of_seed := await seeds.take(tx, agent, givings, report, now, leaving=said.leaving)):
            outcome.told += _told(report, jobs)
            outcome.verdicts.append(of_seed)
            continue
        if transfer is None:
            _STALE.inc()
            if transfer_id not in overtaken:
                outcome.verdicts.append(Verdict(transfer_id, "stale"))
            continue
        with correlated(transfer.correlation_id):
            await _take(tx, settings, agent, transfer, report, outcome, now)
        outcome.told += _told(report, jobs)
        running = transfer.state in ON_AGENT
        intent = transfer.intent if running else Intent.STOP
        steer, pace = steers.get(transfer_id), Pace(transfer.down_share, transfer.up_share)
        outcome.verdicts.append(Verdict(transfer_id, "ok", intent=intent, go=transfer.go, steer=steer, pace=pace))
    if not said.leaving:  # who comes back goes on with them
        await seeds.let_go(tx, agent, givings.values(), {_pair(each) for each in (*said.held, *said.found)}, now)


def _told(report: Report, jobs: Mapping[UUID, Iterable[tuple[UUID, UUID]]]) -> list[Told]:
    holding = jobs.get(report.transfer, [])
    return [Told(OrgId(org), JobId(job), report.rates, report.detail) for org, job in holding]


async def _current(tx: Tx, agent: Agent, reports: Iterable[Report]) -> dict[UUID, Transfer]:
    """Locked, and only those that this agent holds at the reported epoch, with nothing newer recorded."""
    rows = [(report.transfer, report.epoch, report.rev) for report in reports]
    if not rows:
        return {}
    said = values(column("id", Uuid), column("epoch", Integer), column("rev", Integer), name="said").data(rows)
    query = (
        select(Transfer)
        .join(said, said.c.id == Transfer.id)
        .where(
            Transfer.agent_id == agent.id,
            Transfer.boot == agent.boot,
            Transfer.epoch == said.c.epoch,
            Transfer.rev <= said.c.rev,
            Transfer.state.in_(ON_AGENT),
        )
        .order_by(Transfer.id)
        .with_for_update(key_share=True, of=Transfer)
        .execution_options(populate_existing=True)
    )
    return {transfer.id: transfer for transfer in await tx.scalars(query)}


async def _overtaken(tx: Tx, agent: Agent, refused: list[Report]) -> set[UUID]:
    """Refused for their rev alone: nothing is acknowledged, and nothing is to be dropped."""
    if not refused:
        return set()
    epochs: dict[UUID, int] = {report.transfer: report.epoch for report in refused}
    rows = await tx.execute(
        select(Transfer.id, Transfer.epoch).where(
            Transfer.id.in_(epochs), Transfer.agent_id == agent.id, Transfer.state.in_(ON_AGENT)
        )
    )
    return {transfer_id for transfer_id, epoch in rows.all() if epochs[transfer_id] == epoch}


async def _jobs_of(tx: Tx, held: Collection[UUID]) -> dict[UUID, list[tuple[UUID, UUID]]]:
    found: dict[UUID, list[tuple[UUID, UUID]]] = {}
    if held:
        rows = await tx.execute(
            select(Job.transfer_id, Job.org_id, Job.id).where(
                Job.transfer_id.in_(held), Job.removed_at.is_(None), Job.intent != Intent.STOP
            )
        )
        for transfer_id, org, job in rows.all():
            found.setdefault(transfer_id, []).append((org, job))
    return found


async def _take(
    tx: Tx, settings: Settings, agent: Agent, transfer: Transfer, report: Report, outcome: Outcome, now: dt.datetime
) -> None:
    transfer.rev = report.rev
    transfer.down_rate, transfer.up_rate = max(0, report.rates.down_rate), max(0, report.rates.up_rate)
    who = f"agent:{agent.id}"
    if transfer.go:
        parts = await stored.record_parts(tx, transfer, report.parts, now)
        files = await stored.record_files(tx, transfer, report.files, now)
        if parts.new or files.new:
            transfer.tries = 0
        outcome.brought[transfer.scope_id] += parts.bytes + files.bytes
        outcome.wake_finish |= parts.completes_file
    moved = await _follow_phase(tx, transfer, report.phase, now, who)
    _note_progress(transfer, report.rates, now, always=moved or report.done)
    if report.failure is not None:
        log.info("transfer.failed_on_agent", transfer=str(transfer.id), agent=str(agent.id), code=report.failure.code)
        await release.after_failure(tx, transfer, _fit(report.failure), settings, now=now, who=who)
        outcome.wake_dispatch = True
    elif report.handover:
        await release.after_handover(tx, transfer, now=now, who=who, why="handed_over")
        outcome.wake_dispatch = True
    elif report.done and transfer.go and report.steer == transfer.steer_rev:
        transfer.done = True
    outcome.wake_finish |= report.done  # also of one that is handed over with all its bytes stored


def _fit(failure: Failure) -> Failure:
    """It is shown to people, and its code to programs. Of codes that we know, we know whether another try may help."""
    code = failure.code if _CODE.fullmatch(failure.code) else "failed_on_agent"
    retryable = FAILURES[code].retryable if code in FAILURES else failure.retryable
    return Failure(code, clean_text(failure.detail[:DETAIL_CHARS_MAX]), retryable)


async def _follow_phase(tx: Tx, transfer: Transfer, phase: Phase, now: dt.datetime, who: str) -> bool:
    """Phases that lead back are left out: an agent that began anew checks again what is running already."""
    to = _STATE_OF[phase]
    if to is transfer.state or to not in TRANSFER_MOVES[transfer.state]:
        return False
    if to in (TransferState.RUNNING, TransferState.TAIL) and not transfer.go:
        return False
    await moves.move(tx, transfer, to, now=now, who=who, why="reported")
    return True


def _note_progress(transfer: Transfer, rates: Rates, now: dt.datetime, *, always: bool) -> None:
    due = transfer.progress_at is None or now - transfer.progress_at >= dt.timedelta(seconds=PROGRESS_WRITTEN_S)
    if always or due:
        transfer.down_bytes, transfer.stored_bytes = _bytes(rates.down_bytes), _bytes(rates.stored_bytes)
        transfer.progress_at = now


def _bytes(said: int) -> int:
    """Only shown; not worth refusing a report for."""
    return max(0, min(said, TOTAL_BYTES_MAX))


async def _give_away(
    tx: Tx,
    settings: Settings,
    agent: Agent,
    said: Sync,
    lease: dt.timedelta,
    outcome: Outcome,
    now: dt.datetime,
) -> None:
    """What we think it holds and it does not: another boot's, let go, or never begun."""
    working_on = {_pair(found) for found in (*said.held, *said.found)}
    if not said.leaving and not await held_otherwise(tx, agent.id, said.boot, working_on):
        return
    for transfer in await held_by(tx, agent.id):
        this_boot = transfer.boot == said.boot
        if said.leaving:
            await release.after_handover(tx, transfer, now=now, who=f"agent:{agent.id}", why="agent_leaving")
        elif this_boot and (transfer.id, transfer.epoch) in working_on:
            continue
        elif this_boot and transfer.rev == 0 and transfer.moved_at > now - lease:
            continue  # claimed or adopted a moment ago; its agent may not know yet
        elif this_boot and transfer.intent is Intent.STOP:
            await release.after_handover(tx, transfer, now=now, who=f"agent:{agent.id}", why="stopped")
        else:
            why = "agent_let_go" if this_boot else "agent_restarted"
            await release.after_loss(tx, transfer, settings, now=now, who=f"agent:{agent.id}", why=why)
        outcome.wake_dispatch = True


async def _settle_drained(tx: Tx, agent: Agent) -> None:
    if agent.duty in DRAINS and agent.state is AgentState.DRAINING and not await held_by(tx, agent.id):
        agent.move(AgentState.DRAINED)
        log.info("agent.drained", agent=str(agent.id), name=agent.name)


def _pair(found: Found) -> tuple[UUID, int]:
    return found.transfer, found.epoch
