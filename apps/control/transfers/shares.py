"""Shares: an organisation's limit of speed, divided among its transfers and seeds, wherever they run.

Agents say what each transfer moves; what one does not use goes to the others. A share is said with the claim and with
every sync after it, so it holds after any restart.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from uuid import UUID

from msgspec import Struct
from sqlalchemy import func, or_, select, update

from control.accounts.model import Organisation
from control.db import Tx
from control.transfers.model import Seed, Transfer, at_work
from wire.messages import Pace
from wire.shares import User, divide, even


class Sharing(Struct, frozen=True):
    """A transfer at work, or a seed, of an organisation that has a limit, or had one."""

    transfer: UUID
    org: UUID
    agent: UUID
    limit: Pace
    down: User
    up: User


class Due(Struct, frozen=True):
    sharing: Sharing
    pace: Pace


async def first(tx: Tx, transfer: Transfer) -> None:
    """With the claim: an even part. The others' parts become smaller a moment later, in loop `shares`."""
    limits = select(Organisation.down_max, Organisation.up_max).where(Organisation.id == transfer.scope_id)
    down, up = (await tx.execute(limits)).one()
    if not (down or up):
        transfer.down_share = transfer.up_share = 0
        return
    others = select(func.count()).where(
        Transfer.scope_id == transfer.scope_id, Transfer.id != transfer.id, Transfer.agent_id.is_not(None), at_work()
    )
    count = 1 + int(await tx.scalar(others) or 0)
    transfer.down_share, transfer.up_share = even(down, count), even(up, count)


async def due(tx: Tx) -> list[Due]:
    """What has to change, of all organisations."""
    t, o = Transfer, Organisation
    touched = or_(o.down_max > 0, o.up_max > 0, t.down_share > 0, t.up_share > 0)
    given = (Seed.transfer_id == t.id) & Seed.ended_at.is_(None)
    agent_id = func.coalesce(t.agent_id, Seed.agent_id)
    rows = await tx.execute(
        select(t.id, t.scope_id, agent_id, o.down_max, o.up_max, t.down_rate, t.down_share, t.up_rate, t.up_share)
        .join(o, o.id == t.scope_id)
        .outerjoin(Seed, given)
        .where(or_(at_work(), Seed.transfer_id.is_not(None)), touched)
        .order_by(t.scope_id, t.id)
    )
    sharing = [
        Sharing(transfer, org, agent, Pace(down, up), User(down_rate, down_share), User(up_rate, up_share))
        for transfer, org, agent, down, up, down_rate, down_share, up_rate, up_share in rows
    ]
    return [one for _, group in groupby(sharing, key=lambda each: each.org) for one in _of_one(list(group))]


def _of_one(sharing: Sequence[Sharing]) -> Iterable[Due]:
    limit = sharing[0].limit
    downs = divide(limit.down_max, [each.down for each in sharing])
    ups = divide(limit.up_max, [each.up for each in sharing])
    for each, down, up in zip(sharing, downs, ups, strict=True):
        if (down, up) != (each.down.share, each.up.share):
            yield Due(each, Pace(down, up))


async def write(tx: Tx, changes: Sequence[Due]) -> set[UUID]:
    """Which agents should look again. What a sync holds at this moment comes with the next step: nobody waits here, so
    nobody is waited for in a circle."""
    ids = [each.sharing.transfer for each in changes]
    free = select(Transfer.id).where(Transfer.id.in_(ids)).order_by(Transfer.id)
    free_ids = set(await tx.scalars(free.with_for_update(key_share=True, skip_locked=True)))
    written = [each for each in changes if each.sharing.transfer in free_ids]
    for each in written:
        values = {"down_share": each.pace.down_max, "up_share": each.pace.up_max}
        await tx.execute(update(Transfer).where(Transfer.id == each.sharing.transfer).values(values))
    return {each.sharing.agent for each in written}
