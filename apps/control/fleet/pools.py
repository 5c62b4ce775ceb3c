"""Pools: agents that take the same work. A transfer is for one pool, and an agent's pool is in its token."""

import datetime as dt
import re

import msgspec
from msgspec import Struct
from sqlalchemy import case, func, select
from sqlalchemy.dialects.postgresql import insert

from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput
from control.fleet.model import Agent, Pool
from control.seeding import Seeding
from control.seeding import check as check_seeding
from control.transfers.model import Transfer
from wire.states import ON_AGENT, TRANSFER_ENDED, AgentState, TransferState

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""One word of a subject, with no wildcard in it."""
DESCRIPTION_CHARS_MAX = 500


class PoolRow(Struct, frozen=True):
    name: str
    description: str
    seeding: Seeding
    agents: int
    """Not retired."""
    ready: int
    slots: int
    """Of those that are ready."""
    running: int
    waiting: int


async def describe(
    tx: Tx, name: str, description: str | None, seeding: Seeding | None, actor: Actor, now: dt.datetime
) -> None:
    """Made if it is new; what is None stays as it is. Safe to repeat."""
    check_name(name)
    if description and (len(description) > DESCRIPTION_CHARS_MAX or not description.isprintable()):
        raise BadInput(
            f"A description has at most {DESCRIPTION_CHARS_MAX} printable characters.", code="bad_description"
        )
    if seeding is not None:
        check_seeding(seeding)
    await tx.execute(insert(Pool).values(name=name, created_at=now).on_conflict_do_nothing())
    pool = (await tx.scalars(select(Pool).where(Pool.name == name).with_for_update(key_share=True))).one()
    before = (pool.created_at != now, pool.description, pool.policy)
    pool.description = pool.description if description is None else description
    after = seeding or pool.policy
    pool.seeding, pool.seed_ratio, pool.seed_s = after.when, after.ratio, after.seconds
    if before != (True, pool.description, after):
        said = {"description": pool.description, "seeding": msgspec.to_builtins(after)}
        await audit.record(tx, actor, "fleet.pool_described", f"pool:{name}", now, **said)


async def keep(tx: Tx, name: str, now: dt.datetime) -> None:
    """The default one is there without anybody's making it."""
    await tx.execute(insert(Pool).values(name=name, created_at=now).on_conflict_do_nothing())


async def must_be_there(tx: Tx, name: str, default: str) -> None:
    """A token for a pool that nobody made is most likely a slip: its agent would wait for ever."""
    check_name(name)
    if name != default and await tx.get(Pool, name) is None:
        raise BadInput(f"There is no pool {name!r}: make it first, with `seedlift fleet pool`.", code="no_such_pool")


async def listed(tx: Tx, default: str) -> list[PoolRow]:
    """The default one first."""
    is_ready = Agent.state == AgentState.READY
    agents = (
        select(
            Agent.pool,
            func.count().label("agents"),
            func.count(case((is_ready, 1))).label("ready"),
            func.coalesce(func.sum(case((is_ready, Agent.slots))), 0).label("slots"),
        )
        .where(Agent.retired_at.is_(None))
        .group_by(Agent.pool)
        .subquery()
    )
    is_waiting = Transfer.state.in_((TransferState.WAITING, TransferState.OFFERED))
    work = (
        select(
            Transfer.pool,
            func.count(case((Transfer.state.in_(ON_AGENT), 1))).label("running"),
            func.count(case((is_waiting, 1))).label("waiting"),
        )
        .where(Transfer.state.not_in(TRANSFER_ENDED))
        .group_by(Transfer.pool)
        .subquery()
    )
    rows = await tx.execute(
        select(Pool, agents.c.agents, agents.c.ready, agents.c.slots, work.c.running, work.c.waiting)
        .outerjoin(agents, agents.c.pool == Pool.name)
        .outerjoin(work, work.c.pool == Pool.name)
        .order_by(Pool.name != default, Pool.name)
    )
    return [
        PoolRow(pool.name, pool.description, pool.policy, *(int(count or 0) for count in counts))
        for pool, *counts in rows.all()
    ]


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise BadInput("A pool's name has letters, digits, - and _, at most 64.", code="bad_pool")
