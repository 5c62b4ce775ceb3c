"""Sending through SMTP: the standard library's client, in a thread, one connection for a batch."""

import smtplib
import ssl
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from msgspec import Struct

from control.config import Settings
from control.mail.service import Due

ANSWER_S = 10
"""What one answer of the server may take; a mail needs four, a connection five: a batch stays below TAKEN_S."""


class Outcome(Struct, frozen=True):
    """How it went with one mail; no failure means that the server has it."""

    mail: Due
    failure: str | None = None
    for_good: bool = False
    """The server said never, not later."""


def message(mail: Due, sender: str) -> EmailMessage:
    """The same each time, so that a server which got it twice can tell."""
    name, address = parseaddr(sender)
    made = EmailMessage(policy=SMTP)
    made["From"] = Address(display_name=name, addr_spec=address)
    made["To"] = Address(addr_spec=mail.recipient)
    made["Subject"] = mail.subject
    made["Date"] = format_datetime(mail.created_at)
    made["Message-ID"] = f"<{mail.id}@{address.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(mail.body.text)
    made.add_alternative(mail.body.html, subtype="html")
    return made


def send(settings: Settings, mails: Sequence[Due]) -> list[Outcome]:
    """Blocking. Whatever is wrong with the connection is the outcome of every mail that it was for."""
    outcomes: list[Outcome] = []
    try:
        with _connected(settings) as server:
            for mail in mails:
                outcomes.append(_send(server, mail, settings.mail_from))  # noqa: PERF401 - what was sent before a cut counts
    except (OSError, smtplib.SMTPException) as failure:
        outcomes += [Outcome(mail, _said(failure)) for mail in mails[len(outcomes) :]]
    return outcomes


def _connected(settings: Settings) -> smtplib.SMTP:
    assert settings.smtp_host is not None
    trust = ssl.create_default_context()
    if settings.smtp_ca_file is not None:
        trust.load_verify_locations(settings.smtp_ca_file)
    where = settings.smtp_host, settings.smtp_port
    if settings.smtp_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=ANSWER_S, context=trust)
    else:
        server = smtplib.SMTP(*where, timeout=ANSWER_S)
    try:
        if settings.smtp_security == "starttls":
            server.starttls(context=trust)
        if settings.smtp_user is not None:
            server.login(settings.smtp_user, settings.smtp_password or "")
    except BaseException:
        server.close()
        raise
    return server


def _send(server: smtplib.SMTP, mail: Due, sender: str) -> Outcome:
    """A refusal of this one mail; a broken connection is raised on."""
    try:
        server.send_message(message(mail, sender))
    except smtplib.SMTPRecipientsRefused as refused:
        code, said = refused.recipients[mail.recipient]
        return Outcome(mail, f"{code} {said.decode(errors='replace')}", for_good=code >= 500)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
        return Outcome(mail, _said(refused), for_good=refused.smtp_code >= 500)
    return Outcome(mail)


def _said(failure: Exception) -> str:
    if isinstance(failure, smtplib.SMTPResponseException):
        said = failure.smtp_error
        return f"{failure.smtp_code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    return f"{type(failure).__name__}: {failure}"
