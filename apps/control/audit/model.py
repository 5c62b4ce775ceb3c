"""The append-only log's table; a trigger refuses change and removal."""

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import Identity
from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base


class Entry(Base):
    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[dt.datetime]
    org_id: Mapped[uuid.UUID | None]
    actor: Mapped[str]
    action: Mapped[str]
    target: Mapped[str]
    request_id: Mapped[str | None]
    ip: Mapped[str | None]
    detail: Mapped[dict[str, Any]]
