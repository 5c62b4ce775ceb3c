"""Verbs on sweeps: ask for one, look at what it found. Loop `sweep` walks."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select

from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import NotFound
from control.transfers.model import Sweep
from wire.ids import new_id

LISTED_MAX = 50
"""As many are remembered."""


async def ask(tx: Tx, actor: Actor, now: dt.datetime, *, dry_run: bool) -> Sweep:
    """One that is asked for already and has not begun is the same."""
    waiting = select(Sweep).where(Sweep.ended_at.is_(None), Sweep.after_key == "", Sweep.dry_run == dry_run).limit(1)
    if (found := await tx.scalar(waiting)) is not None:
        sweep = found
    else:
        sweep = Sweep(id=new_id(), dry_run=dry_run, asked_by=actor.name, asked_at=now)
        tx.add(sweep)
        await tx.flush()
        last = select(Sweep.id).order_by(Sweep.asked_at.desc()).limit(LISTED_MAX)
        await tx.execute(delete(Sweep).where(Sweep.ended_at.is_not(None), Sweep.id.not_in(last)))
    await audit.record(tx, actor, "storage.sweep_asked", f"sweep:{sweep.id}", now, dry_run=dry_run)
    return sweep


async def listed(tx: Tx) -> Sequence[Sweep]:
    """Newest first."""
    return (await tx.scalars(select(Sweep).order_by(Sweep.asked_at.desc()).limit(LISTED_MAX))).all()


async def one(tx: Tx, sweep_id: UUID) -> Sweep:
    if (found := await tx.get(Sweep, sweep_id)) is None:
        raise NotFound("There is no such sweep.")
    return found
