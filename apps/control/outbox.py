"""The outbox: messages that leave only if their transaction commits. The relay loop publishes and deletes them."""

import datetime as dt
from uuid import UUID

import msgspec
from sqlalchemy import Identity
from sqlalchemy.orm import Mapped, mapped_column

from control.db import Base, Tx
from wire import subjects
from wire.events import JobEvent
from wire.ids import JobId, OrgId
from wire.messages import Offer


class Message(Base):
    __tablename__ = "outbox"
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012 - SQLAlchemy's own protocol

    id: Mapped[int] = mapped_column(Identity(always=True))
    """The order of sending. Not the mapper's key: the api's role writes rows that it may not read, so nothing may be
    asked back when one is inserted."""
    subject: Mapped[str]
    message_id: Mapped[str] = mapped_column(primary_key=True)
    payload: Mapped[bytes]
    correlation_id: Mapped[str | None]
    created_at: Mapped[dt.datetime]


_WRITTEN = "outbox.written"


def written(tx: Tx) -> bool:
    """Whether the transaction put anything in: who opened it nudges the relay once it has committed."""
    return bool(tx.info.get(_WRITTEN))


def put_offer(tx: Tx, pool: str, offer: Offer, now: dt.datetime) -> None:
    put(tx, _message(subjects.work(pool), f"{offer.transfer}:{offer.offer_no}", offer, offer.correlation_id, now))


def put(tx: Tx, message: Message) -> None:
    tx.info[_WRITTEN] = True
    tx.add(message)


def of_event(org: UUID, event: JobEvent, correlation_id: str) -> Message:
    subject = subjects.event(OrgId(org), JobId(event.job))
    return _message(subject, f"{event.job}:{event.version}", event, correlation_id, event.at)


def _message(subject: str, message_id: str, body: msgspec.Struct, correlation_id: str, now: dt.datetime) -> Message:
    return Message(
        subject=subject,
        message_id=message_id,
        payload=msgspec.json.encode(body),
        correlation_id=correlation_id,
        created_at=now,
    )
