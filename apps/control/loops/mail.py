"""Loop `mail`: what is in the outbox of mails goes to the SMTP server, or fails with its reason.

A mail goes twice rather than never. Without a server nothing is sent: admins read the outbox.
"""

import asyncio
from datetime import datetime

from prometheus_client import Counter

from control.mail import service as mails
from control.mail import smtp
from control.mail.model import MailState
from control.plane import Plane
from telemetry import logs
from wire.clock import utcnow

log = logs.get(__name__)

_MAILS = Counter("control_mails_total", "Mails handed to the server, by how it went.", ["outcome"])


async def step(plane: Plane, now: datetime) -> bool:
    if plane.settings.smtp_host is None:
        return False
    async with plane.working() as tx:
        due = await mails.take(tx, plane.settings.vault, now)
    if not due:
        return False
    outcomes = await asyncio.to_thread(smtp.send, plane.settings, due)
    async with plane.working() as tx:
        for each in outcomes:
            if each.failure is None:
                await mails.sent(tx, each.mail, utcnow())
                _MAILS.labels(MailState.SENT).inc()
                log.info("mail.sent", mail=str(each.mail.id))
                continue
            state = await mails.not_sent(tx, each.mail, each.failure, utcnow(), for_good=each.for_good)
            _MAILS.labels("again" if state == MailState.QUEUED else state).inc()
            log.warning(
                "mail.not_sent", mail=str(each.mail.id), state=state, tries=each.mail.tries, reason=each.failure
            )
    return len(due) == mails.BATCH
