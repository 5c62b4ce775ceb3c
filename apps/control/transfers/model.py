"""Tables of the work: transfers, their objects, the parts of unfinished uploads. `wire.states` draws the states.

Owners of a transfer's columns: people write `intent` and `files`, through their jobs; the claim writes `epoch`,
`agent_id`, `boot`, `claim_id`; the agent at the current epoch writes `rev`, `done` and the byte counts, through its
sync; loops write the rest.
"""

import datetime as dt
import uuid
from collections.abc import Collection

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Mapped, deferred, mapped_column

from control.db import Base, IllegalMove, States, Tx
from wire.states import (
    ON_AGENT,
    PRIORITIES,
    TRANSFER_ENDED,
    TRANSFER_MOVES,
    WANTS_AGENT,
    Intent,
    Priority,
    TransferState,
)  # fmt: skip


class Transfer(Base):
    __tablename__ = "transfers"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    scope_id: Mapped[uuid.UUID]
    torrent_id: Mapped[uuid.UUID]
    pool: Mapped[str]
    intent: Mapped[Intent] = mapped_column(States(Intent), default=Intent.RUN)
    state: Mapped[TransferState] = mapped_column(States(TransferState), default=TransferState.WAITING)
    correlation_id: Mapped[str]

    epoch: Mapped[int] = mapped_column(default=0)
    agent_id: Mapped[uuid.UUID | None]
    boot: Mapped[uuid.UUID | None]
    claim_id: Mapped[uuid.UUID | None]
    rev: Mapped[int] = mapped_column(default=0)
    go: Mapped[bool] = mapped_column(default=False)
    """The metadata was judged: download it."""
    done: Mapped[bool] = mapped_column(default=False)
    """The agent says that every wanted byte is in the store; loop `finish` checks."""

    offer_no: Mapped[int] = mapped_column(default=0)
    offered_at: Mapped[dt.datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[dt.datetime | None]
    failure_code: Mapped[str | None]
    failure_detail: Mapped[str | None]
    last_agents: Mapped[list[str]] = mapped_column(default=list)
    """Who took it last, at most as many as there are tries."""
    dead_at: Mapped[dt.datetime | None]
    """A dead letter: failed, and somebody should look before it is tried again."""

    files: Mapped[list[int] | None] = deferred(mapped_column())
    """Wanted by any of its jobs (`jobs.holders` joins them), asked for by name. None: all."""
    steer_rev: Mapped[int] = mapped_column(default=0)
    """Counts changes of what the agent is told in a `Steer`."""
    priority: Mapped[int] = mapped_column(default=PRIORITIES.index(Priority.NORMAL))
    """Within its organisation; the highest of its jobs'."""
    sequential: Mapped[bool] = mapped_column(default=False)
    down_max: Mapped[int] = mapped_column(default=0)
    up_max: Mapped[int] = mapped_column(default=0)
    announces: Mapped[int] = mapped_column(default=0)
    down_share: Mapped[int] = mapped_column(default=0)
    """Of its organisation's limit, bytes a second; 0: there is none. Loop `shares` writes it, the claim the first."""
    up_share: Mapped[int] = mapped_column(default=0)
    gives: Mapped[bool] = mapped_column(default=True)
    """What its pool and plan let peers have; in the steer. The claim writes it, and loop `seeding`."""
    down_rate: Mapped[int] = mapped_column(default=0)
    """As its agent says."""
    up_rate: Mapped[int] = mapped_column(default=0)
    size_bytes: Mapped[int | None]
    """Wanted bytes, known with the metadata: none means that the torrent has not been read yet."""
    down_bytes: Mapped[int] = mapped_column(default=0)
    stored_bytes: Mapped[int] = mapped_column(default=0)
    held: Mapped[bool] = mapped_column(default=True)
    """Some job holds what it stores: it counts in the organisation's quota."""
    progress_at: Mapped[dt.datetime | None]
    paused_at: Mapped[dt.datetime | None]
    """Since when nobody wants it to run; set while its intent is to pause."""
    created_at: Mapped[dt.datetime]
    moved_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]

    def move(self, to: TransferState, now: dt.datetime) -> bool:
        """Only `transfers.moves` calls this: a transfer never moves without its jobs."""
        if to is self.state:
            return False
        if to not in TRANSFER_MOVES[self.state]:
            raise IllegalMove(f"transfer {self.id}: {self.state} -> {to}")
        if self.state is TransferState.FAILED:
            self.dead_at = None
        self.state, self.moved_at = to, now
        if to not in ON_AGENT:
            self.agent_id = self.boot = self.claim_id = None
            self.done = False
        self.ended_at = now if to in TRANSFER_ENDED else None
        return True


class Object(Base):
    """A file of a torrent in the store: an upload that was opened and, once `stored_at` is set, a whole object."""

    __tablename__ = "objects"

    transfer_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    file: Mapped[int] = mapped_column(primary_key=True)
    scope_id: Mapped[uuid.UUID]
    key: Mapped[str]
    size_bytes: Mapped[int]
    upload_id: Mapped[str | None]
    etag: Mapped[str | None]
    crc32: Mapped[int | None]
    epoch: Mapped[int]
    opened_at: Mapped[dt.datetime]
    stored_at: Mapped[dt.datetime | None]
    delivery_until: Mapped[dt.datetime | None]
    """A link that is good until then was counted as its delivery: another one is the same."""


class Seed(Base):
    """A stored transfer that its last agent still gives to peers; `transfers.seeds` draws its life."""

    __tablename__ = "seeds"

    transfer_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    scope_id: Mapped[uuid.UUID]
    agent_id: Mapped[uuid.UUID]
    boot: Mapped[uuid.UUID]
    epoch: Mapped[int]
    ratio_max: Mapped[float | None]
    given_before: Mapped[int] = mapped_column(default=0)
    """By boots before this one."""
    given_bytes: Mapped[int] = mapped_column(default=0)
    """By all."""
    began_at: Mapped[dt.datetime]
    ends_at: Mapped[dt.datetime]
    """At the latest."""
    ended_at: Mapped[dt.datetime | None]
    why: Mapped[str | None]


class Part(Base):
    __tablename__ = "parts"

    transfer_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    file: Mapped[int] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    scope_id: Mapped[uuid.UUID]
    epoch: Mapped[int]
    size_bytes: Mapped[int]
    crc32: Mapped[int]
    etag: Mapped[str]
    stored_at: Mapped[dt.datetime]


class Tombstone(Base):
    """A prefix whose objects must go, and stay gone until every grant that could bring one back has expired."""

    __tablename__ = "tombstones"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    scope_id: Mapped[uuid.UUID]
    created_at: Mapped[dt.datetime]
    last_sweep_at: Mapped[dt.datetime]


class Sweep(Base):
    """One walk through the whole store, name by name, beside the rows that should be there. Whoever asks owns what is
    asked, loop `sweep` the rest."""

    __tablename__ = "sweeps"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    dry_run: Mapped[bool]
    """Only look."""
    asked_by: Mapped[str]
    asked_at: Mapped[dt.datetime]
    after_key: Mapped[str] = mapped_column(default="")
    """How far it has come."""
    looked_at: Mapped[int] = mapped_column(default=0)
    orphans: Mapped[int] = mapped_column(default=0)
    """Objects that no row names."""
    orphan_bytes: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)
    """Rows whose object is not there."""
    uploads: Mapped[int] = mapped_column(default=0)
    """Left open, and named by no row."""
    strange: Mapped[int] = mapped_column(default=0)
    """Names that we did not make; never touched."""
    examples: Mapped[list[str]] = mapped_column(default=list)
    ended_at: Mapped[dt.datetime | None]


def is_doubted() -> ColumnElement[bool]:
    """An agent said that the store knows nothing of an upload. It waits until loop `finish` has asked the store: who is
    offered it before goes on with what is gone, and fails in the same way."""
    return (Transfer.state == TransferState.WAITING) & Transfer.failure_code.is_not_distinct_from("upload_gone")


def at_work() -> ColumnElement[bool]:
    """Takes one of its organisation's slots: on an agent or offered, and not paused."""
    places = (*ON_AGENT, TransferState.OFFERED)
    return Transfer.state.in_(places) & Transfer.intent.in_(WANTS_AGENT)


async def locked(tx: Tx, transfer_id: uuid.UUID) -> Transfer | None:
    """The transfer, held against everybody else until the transaction ends.

    Here as everywhere with `key_share`: a row's second update in a transaction makes PostgreSQL check its foreign keys
    again, and against a full FOR UPDATE two of us would wait for each other's agent, torrent or transfer for ever.
    """
    one = select(Transfer).where(Transfer.id == transfer_id).with_for_update(key_share=True)
    return await tx.scalar(one.execution_options(populate_existing=True))


async def held_by(tx: Tx, agent_id: uuid.UUID) -> list[Transfer]:
    """All that an agent holds, locked in order of id: so everybody who takes several takes them."""
    held = select(Transfer).where(Transfer.agent_id == agent_id).order_by(Transfer.id)
    return list(await tx.scalars(held.with_for_update(key_share=True).execution_options(populate_existing=True)))


async def held_otherwise(
    tx: Tx, agent_id: uuid.UUID, boot: uuid.UUID, working_on: Collection[tuple[uuid.UUID, int]]
) -> bool:
    """Whether it holds anything but what it works on: seldom, and asked with every sync, so no row is loaded for it.
    Its own row is locked by the caller; nobody else gives it anything meanwhile."""
    held = select(Transfer.id, Transfer.epoch, Transfer.boot).where(Transfer.agent_id == agent_id)
    return any(of != boot or (each, epoch) not in working_on for each, epoch, of in await tx.execute(held))


async def stored_totals(tx: Tx, transfer_id: uuid.UUID) -> int:
    """Bytes that are acknowledged: whole objects, and parts of unfinished ones."""
    whole = select(func.coalesce(func.sum(Object.size_bytes), 0)).where(
        Object.transfer_id == transfer_id, Object.stored_at.is_not(None)
    )
    pieces = (
        select(func.coalesce(func.sum(Part.size_bytes), 0))
        .join(Object, (Object.transfer_id == Part.transfer_id) & (Object.file == Part.file))
        .where(Part.transfer_id == transfer_id, Object.stored_at.is_(None))
    )
    return int(await tx.scalar(whole) or 0) + int(await tx.scalar(pieces) or 0)
