"""The table of announcements: what everybody should know for a while."""

import datetime as dt
import uuid
from enum import StrEnum

from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, States


class Weight(StrEnum):
    INFO = "info"
    WARNING = "warning"
    """Something will not work, or works less well."""


class Announcement(Base):
    __tablename__ = "announcements"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    text: Mapped[str]
    weight: Mapped[Weight] = mapped_column(States(Weight))
    from_at: Mapped[dt.datetime]
    until_at: Mapped[dt.datetime | None]
    """Null: until somebody takes it back."""
    made_by: Mapped[str]
    created_at: Mapped[dt.datetime]
