"""What people find in their mailboxes, read from the outbox."""

import re

from sqlalchemy import select

from control.mail import service as mails
from control.mail.model import Mail
from control.plane import Plane

_LINK = re.compile(r"#(\w+)=(\S+)")


async def mailbox(plane: Plane, email: str) -> list[str]:
    """Subjects, oldest first."""
    return [mail.subject for mail in await _mails(plane, email)]


async def texts(plane: Plane, email: str) -> list[str]:
    opened = [mails.opened(plane.settings.vault, mail) for mail in await _mails(plane, email)]
    return [body.text for body in opened if body is not None]


async def token(plane: Plane, email: str, kind: str) -> str:
    """Of the newest link of this kind."""
    found = [each for text in await texts(plane, email) for each in _LINK.findall(text) if each[0] == kind]
    assert found, f"no link to {kind} in the mailbox of {email}"
    return str(found[-1][1])


async def _mails(plane: Plane, email: str) -> list[Mail]:
    async with plane.db.working() as tx:
        found = select(Mail).where(Mail.recipient == email).order_by(Mail.created_at, Mail.id)
        return list(await tx.scalars(found))
