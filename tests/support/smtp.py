"""A real SMTP server for tests (aiosmtpd), that keeps what it is given and refuses what a test tells it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "seedlift", "mail me"


class Mailbox:
    """aiosmtpd calls the handle_* methods."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.answers: list[str] = []
        """To the next recipients, before it says yes."""
        self.encrypted: list[bool] = []
        self.signed_on: list[bool] = []

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(BytesParser(policy=default).parsebytes(envelope.content))
        self.encrypted.append(session.ssl is not None)
        self.signed_on.append(bool(session.authenticated))
        return "250 OK"


def _knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def listening(
    mailbox: Mailbox, tls: ssl.SSLContext | None = None, *, starttls: bool = True
) -> AsyncIterator[int]:
    """The port. With `tls`: STARTTLS and a password are required, or it is spoken from the first byte."""
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"hostname": "mx.test", "loop": loop}
    if tls is not None and starttls:
        options |= {"tls_context": tls, "require_starttls": True, "authenticator": _knows, "auth_required": True}
    server = await loop.create_server(lambda: SMTP(mailbox, **options), "127.0.0.1", 0, ssl=None if starttls else tls)
    async with server:
        yield server.sockets[0].getsockname()[1]
