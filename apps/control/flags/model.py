"""The table of feature flags: what was switched. A flag that never was has no row, and is on."""

import datetime as dt

from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base


class FlagRow(Base):
    __tablename__ = "flags"

    name: Mapped[str] = mapped_column(primary_key=True)
    on: Mapped[bool]
    reason: Mapped[str]
    changed_by: Mapped[str]
    changed_at: Mapped[dt.datetime]
