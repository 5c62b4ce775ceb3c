"""Tables of the fleet: agents, their certificates, the one-time tokens by which they enrol, and pools.

Owners of an agent's columns: operators write `name`, `duty` and limits; its syncs write what it is and `seen_at`;
`state` follows from the two, through `move()`.
"""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, IllegalMove, States
from control.seeding import Seeding, SeedWhen
from wire.states import AGENT_MOVES, AgentState, Duty


class Agent(Base):
    __tablename__ = "agents"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    pool: Mapped[str]
    duty: Mapped[Duty] = mapped_column(States(Duty), default=Duty.WORK)
    state: Mapped[AgentState] = mapped_column(States(AgentState))
    nats_user: Mapped[str]
    certificate_serial: Mapped[str]
    """The newest one's. What may be shown is in `certificates`."""
    certificate_until: Mapped[dt.datetime]
    boot: Mapped[uuid.UUID | None]
    rev: Mapped[int] = mapped_column(default=0)
    version: Mapped[str] = mapped_column(default="")
    region: Mapped[str] = mapped_column(default="")
    labels: Mapped[dict[str, Any]] = mapped_column(default=dict)
    slots: Mapped[int] = mapped_column(default=0)
    disk_budget_bytes: Mapped[int | None]
    disk_free_bytes: Mapped[int | None]
    down_max: Mapped[int] = mapped_column(default=0)
    """Bytes a second of all that it does; 0: no limit."""
    up_max: Mapped[int] = mapped_column(default=0)
    seen_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    retired_at: Mapped[dt.datetime | None]

    def move(self, to: AgentState) -> None:
        if to is not self.state and to not in AGENT_MOVES[self.state]:
            raise IllegalMove(f"agent {self.id}: {self.state} -> {to}")
        self.state = to


class Certificate(Base):
    """One that an agent was given: it may be shown until it ends, also when a newer one exists."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[uuid.UUID]
    issued_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]


class Pool(Base):
    """Agents that take the same work. An agent's is written in the token it enrolled with."""

    __tablename__ = "pools"

    name: Mapped[str] = mapped_column(primary_key=True)
    description: Mapped[str] = mapped_column(default="")
    seeding: Mapped[SeedWhen] = mapped_column(States(SeedWhen), default=SeedWhen.DOWNLOADING)
    seed_ratio: Mapped[float | None]
    seed_s: Mapped[int | None]
    created_at: Mapped[dt.datetime]

    @property
    def policy(self) -> Seeding:
        return Seeding(self.seeding, self.seed_ratio, self.seed_s)


class EnrolToken(Base):
    __tablename__ = "enrol_tokens"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    pool: Mapped[str]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]
    agent_id: Mapped[uuid.UUID | None]
