"""Table of takedown cases: who wrote owns the notice, whoever answers it the counter-notice, admins the rest."""

import datetime as dt
import uuid

from sqlalchemy.orm import Mapped, mapped_column

from control.abuse.states import CaseState
from control.db import Base, States


class Case(Base):
    __tablename__ = "cases"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    state: Mapped[CaseState] = mapped_column(States(CaseState))
    hashes: Mapped[list[str]]
    """In hexadecimal; what the notice names."""
    name: Mapped[str]
    email: Mapped[str]
    on_behalf_of: Mapped[str]
    work: Mapped[str]
    signature: Mapped[str]
    ip: Mapped[str | None]
    created_at: Mapped[dt.datetime]
    decided_by: Mapped[str | None]
    decided_for: Mapped[str | None]
    decided_at: Mapped[dt.datetime | None]
    counter_name: Mapped[str | None]
    counter_email: Mapped[str | None]
    counter_statement: Mapped[str | None]
    counter_signature: Mapped[str | None]
    countered_at: Mapped[dt.datetime | None]
