"""Tables of the fleet: agents, and the one-time tokens by which they enrol."""

import datetime as dt
import uuid

from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, IllegalMove, States
from wire.states import AGENT_MOVES, AgentState


class Agent(Base):
    __tablename__ = "agents"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    pool: Mapped[str]
    state: Mapped[AgentState] = mapped_column(States(AgentState))
    nats_user: Mapped[str]
    certificate_serial: Mapped[str]
    certificate_until: Mapped[dt.datetime]
    boot: Mapped[uuid.UUID | None]
    rev: Mapped[int] = mapped_column(default=0)
    version: Mapped[str] = mapped_column(default="")
    slots: Mapped[int] = mapped_column(default=0)
    seen_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime]
    retired_at: Mapped[dt.datetime | None]

    def move(self, to: AgentState) -> None:
        if to is not self.state and to not in AGENT_MOVES[self.state]:
            raise IllegalMove(f"agent {self.id}: {self.state} -> {to}")
        self.state = to


class EnrolToken(Base):
    __tablename__ = "enrol_tokens"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    pool: Mapped[str]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime]
    used_at: Mapped[dt.datetime | None]
    agent_id: Mapped[uuid.UUID | None]
