"""The table of mails: written with what they tell of, sent by the loop `mail`.

    queued ─┬─► sent
            └─► failed (refused by the server, or tried too often)

The request that writes a mail owns what it says and to whom; `state`, `tries`, `not_before`, `failure` and `ended_at`
are the loop's.
"""

import datetime as dt
import uuid
from enum import StrEnum

from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, States


class MailState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class Mail(Base):
    __tablename__ = "mails"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    person_id: Mapped[uuid.UUID | None]
    recipient: Mapped[str]
    kind: Mapped[str]
    subject: Mapped[str]
    body: Mapped[bytes | None]
    """In the vault, since its links open accounts; gone once it has been sent."""
    state: Mapped[MailState] = mapped_column(States(MailState))
    tries: Mapped[int]
    not_before: Mapped[dt.datetime]
    failure: Mapped[str | None]
    created_at: Mapped[dt.datetime]
    ended_at: Mapped[dt.datetime | None]
