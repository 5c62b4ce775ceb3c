"""Loop `retention`: rows whose time is over go. Each kind a little at a time, so that nobody waits for it."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import DeclarativeBase

from control.accounts.model import Answer, Invitation, Rate, Session, Voucher
from control.feed.model import FeedRow
from control.feed.service import KEPT_S as FEED_S
from control.fleet.model import Certificate, EnrolToken
from control.loops import driver
from control.mail.model import Mail
from control.plane import Plane
from control.webhooks.model import Call
from wire.units import DAY_S

ANSWERS_S = DAY_S
"""How long an Idempotency-Key is remembered."""
TOKENS_S = 7 * DAY_S
"""A used or expired token (or certificate) still says so for a while, instead of being unknown."""
INVITATIONS_S = 30 * DAY_S
"""An expired one may be sent again for a while."""
VOUCHERS_S = DAY_S
MAILS_S = 30 * DAY_S
"""That a mail was sent, or why not, can be looked up for a month."""
CALLS_S = 30 * DAY_S
"""As long as what they tell of: until then they can be replayed."""
AT_ONCE = 1_000


async def step(plane: Plane, now: datetime) -> bool:
    over: list[tuple[type[DeclarativeBase], ColumnElement[bool]]] = [
        (Answer, Answer.created_at < now - timedelta(seconds=ANSWERS_S)),
        (Session, Session.expires_at < now),
        (Certificate, Certificate.expires_at < now - timedelta(seconds=TOKENS_S)),
        (Invitation, Invitation.expires_at < now - timedelta(seconds=INVITATIONS_S)),
        (Voucher, Voucher.expires_at < now - timedelta(seconds=VOUCHERS_S)),
        (Mail, Mail.ended_at < now - timedelta(seconds=MAILS_S)),
        (Rate, Rate.over_at < now.timestamp()),
        (FeedRow, FeedRow.at < now - timedelta(seconds=FEED_S)),
        (Call, Call.created_at < now - timedelta(seconds=CALLS_S)),
        (EnrolToken, EnrolToken.expires_at < now - timedelta(seconds=TOKENS_S)),
    ]
    removed = 0
    async with plane.working() as tx:
        if not await driver.alone(tx, "retention"):
            return False
        for table, is_over in over:
            key = list(table.__table__.primary_key)
            some = select(*key).where(is_over).limit(AT_ONCE).with_for_update(skip_locked=True)
            rows = (await tx.execute(some)).all()
            removed = max(removed, len(rows))
            for row in rows:
                await tx.execute(
                    delete(table).where(*(column == value for column, value in zip(key, row, strict=True)))
                )
    return removed == AT_ONCE
