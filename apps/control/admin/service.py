"""Dead letters: transfers that failed in all their tries, listed with the reason, and replayed one or many."""

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement, func, select

from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput
from control.fleet.model import Agent
from control.jobs import holders, quota
from control.jobs.model import Job
from control.plane import Plane
from control.torrents.model import Torrent
from control.transfers import release
from control.transfers.model import Transfer, locked
from wire.ids import OrgId
from wire.states import WANTS_AGENT

AT_ONCE = 200
"""Of one replay: each is a transaction of some milliseconds, and somebody waits for the answer."""

_DEAD = Transfer.dead_at.is_not(None)


class Chosen(Struct, frozen=True):
    """`ids` None: whatever the filter leaves."""

    ids: Collection[UUID] | None = None
    code: str | None = None
    org: UUID | None = None


class DeadLetter(Struct, frozen=True):
    transfer: Transfer
    torrent: Torrent
    jobs: list[UUID]


class Outcome(Struct):
    replayed: list[UUID]
    skipped: list[tuple[UUID, str]]
    left: int = 0


async def dead_letters(tx: Tx, chosen: Chosen, before: UUID | None, limit: int) -> list[DeadLetter]:
    """Newest transfers first. `tx` sees every organisation."""
    found = select(Transfer, Torrent).join(Torrent, Torrent.id == Transfer.torrent_id).where(_DEAD, *_filter(chosen))
    if before is not None:
        found = found.where(Transfer.id < before)
    rows = (await tx.execute(found.order_by(Transfer.id.desc()).limit(limit))).all()
    listed = select(Job.transfer_id, Job.id).where(
        Job.transfer_id.in_([transfer.id for transfer, _ in rows]), Job.removed_at.is_(None)
    )
    jobs: dict[UUID, list[UUID]] = {}
    for transfer_id, job_id in (await tx.execute(listed.order_by(Job.id))).all():
        jobs.setdefault(transfer_id, []).append(job_id)
    return [DeadLetter(transfer, torrent, jobs.get(transfer.id, [])) for transfer, torrent in rows]


async def counts(tx: Tx) -> dict[str, int]:
    rows = await tx.execute(select(Transfer.failure_code, func.count()).where(_DEAD).group_by(Transfer.failure_code))
    return {code or "": count for code, count in rows.all()}


async def names_of(tx: Tx, letters: Collection[DeadLetter]) -> dict[str, str]:
    """Of the agents that tried, by id."""
    ids = {UUID(agent) for letter in letters for agent in letter.transfer.last_agents}
    rows = await tx.execute(select(Agent.id, Agent.name).where(Agent.id.in_(ids)))
    return {str(agent): name for agent, name in rows.all()}


async def replay(plane: Plane, chosen: Chosen, actor: Actor, now: dt.datetime) -> Outcome:
    """A transaction for each: locks of many organisations are never held together, and what is done is done."""
    if chosen.ids is not None and len(chosen.ids) > AT_ONCE:
        raise BadInput(f"At most {AT_ONCE} at once; a filter names more.", code="too_many_ids")
    async with plane.working() as tx:
        if chosen.ids is not None:
            ids = list(dict.fromkeys(chosen.ids))
        else:
            ids = list(await tx.scalars(select(Transfer.id).where(_DEAD, *_filter(chosen)).order_by(Transfer.id)))
    outcome = Outcome([], [])
    for place, transfer_id in enumerate(ids):
        if len(outcome.replayed) == AT_ONCE:
            outcome.left = len(ids) - place
            break
        async with plane.working() as tx:
            why_not = await _replay(tx, transfer_id, actor, now)
        if why_not:
            outcome.skipped.append((transfer_id, why_not))
        else:
            outcome.replayed.append(transfer_id)
    if outcome.replayed:
        await plane.nudge("dispatch")
    return outcome


async def _replay(tx: Tx, transfer_id: UUID, actor: Actor, now: dt.datetime) -> str | None:
    """Locks in everybody's order: organisation, torrent, transfer, jobs. What failed held only what it had stored of
    its organisation's quota; from now on it is to hold the whole again."""
    seen = await tx.get(Transfer, transfer_id)
    if seen is None:
        return "not_dead"
    org = OrgId(seen.scope_id)
    await quota.lock(tx, org)
    await tx.execute(select(Torrent.id).where(Torrent.id == seen.torrent_id).with_for_update(key_share=True))
    transfer = await locked(tx, transfer_id)
    if transfer is None or transfer.dead_at is None:
        return "not_dead"
    wanted = select(Job.id).where(Job.transfer_id == transfer_id, Job.removed_at.is_(None), Job.intent.in_(WANTS_AGENT))
    if await tx.scalar(wanted.limit(1)) is None:
        return "not_wanted"
    if (lack := await quota.why_not(tx, transfer, now)) is not None:
        return lack.code
    code = transfer.failure_code
    await release.from_the_top(tx, transfer, now=now, who=actor.name, why="replayed")
    await holders.settle(tx, transfer, now=now, who=actor.name, why="replayed")
    await audit.record(tx, actor, "dead_letter.replayed", f"transfer:{transfer_id}", now, code=code, of=str(org))
    return None


def _filter(chosen: Chosen) -> list[ColumnElement[bool]]:
    wanted = ((Transfer.failure_code, chosen.code), (Transfer.scope_id, chosen.org))
    return [column == value for column, value in wanted if value is not None]
