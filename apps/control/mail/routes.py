"""Routes of mail: the outbox, for admins."""

import datetime as dt
from uuid import UUID

from litestar import get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from control.accounts.permissions import Permission
from control.auth import Principal
from control.mail import service
from control.mail.model import Mail, MailState
from control.plane import Plane


class MailView(Struct, frozen=True):
    id: UUID
    recipient: str
    kind: str
    subject: str
    state: MailState
    tries: int
    failure: str | None
    created_at: dt.datetime
    ended_at: dt.datetime | None
    text: str | None
    """Only where no server sends mails: else a link in it would let admins into other people's accounts."""


class Mails(Struct, frozen=True):
    items: list[MailView]
    sent_by_smtp: bool


@get("/admin/mails", permission=Permission.MAILS_READ, tags=["admin"], summary="The outbox of mails, newest first")
async def list_mails(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Mails:
    by_smtp = plane.settings.smtp_host is not None
    async with plane.asking(who.asker) as tx:
        return Mails([_view(plane, mail, hidden=by_smtp) for mail in await service.listed(tx)], by_smtp)


def _view(plane: Plane, mail: Mail, *, hidden: bool) -> MailView:
    body = None if hidden else service.opened(plane.settings.vault, mail)
    return MailView(
        id=mail.id,
        recipient=mail.recipient,
        kind=mail.kind,
        subject=mail.subject,
        state=mail.state,
        tries=mail.tries,
        failure=mail.failure,
        created_at=mail.created_at,
        ended_at=mail.ended_at,
        text=body.text if body else None,
    )


ROUTES: list[HTTPRouteHandler] = [list_mails]
