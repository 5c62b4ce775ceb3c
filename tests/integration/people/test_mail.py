"""Mails: written with what they tell of, sent through a real SMTP server, tried again, given up with a reason."""

import datetime as dt
import secrets
import ssl
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from control.loops import mail as loop
from control.loops import retention
from control.mail import letters
from control.mail import service as mails
from control.mail.model import Mail, MailState
from control.plane import Plane
from stack.certificates import keep_fresh, make_ca, pair, server_names
from tests.integration.people.conftest import setting
from tests.support.control import Api
from tests.support.ports import free_ports
from tests.support.smtp import PASSWORD, USER, Mailbox, listening
from wire.clock import utcnow


async def queued(plane: Plane, recipient: str) -> None:
    async with plane.db.working() as tx:
        await mails.queue(tx, plane.settings.vault, recipient, letters.notice("Grüße"), None, utcnow())


async def row(plane: Plane, recipient: str) -> Mail:
    async with plane.db.working() as tx:
        return next(mail for mail in await mails.listed(tx) if mail.recipient == recipient)


def through(plane: Plane, port: int, **more: Any) -> Plane:
    return setting(plane, **{"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none"} | more)


@pytest.fixture(autouse=True)
async def empty(plane: Plane) -> None:
    """What other tests' people were written is none of these tests' business."""
    async with plane.db.working() as tx:
        await tx.execute(delete(Mail))


def address() -> str:
    return f"{secrets.token_hex(6)}@example.org"


async def test_a_mail_is_sent_once_whole_and_its_text_is_gone_then(plane: Plane) -> None:
    to, box = address(), Mailbox()
    await queued(plane, to)
    async with listening(box) as port:
        await loop.step(through(plane, port), utcnow())
        await loop.step(through(plane, port), utcnow())
    [mail] = box.mails
    assert (mail["To"], mail["From"], mail["Subject"]) == (to, plane.settings.mail_from, "Your account was changed")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]  # type: ignore[attr-defined] # of a modern message
    assert "Grüße" in mail.get_body(("plain",)).get_content()  # type: ignore[attr-defined] # of a modern message
    kept = await row(plane, to)
    assert (kept.state, kept.body, kept.tries) == (MailState.SENT, None, 1)


async def test_without_a_server_mails_stay_in_the_outbox(plane: Plane) -> None:
    to = address()
    await queued(plane, to)
    assert await loop.step(plane, utcnow()) is False
    assert (await row(plane, to)).state == MailState.QUEUED


async def test_a_month_after_it_ended_a_mail_is_gone(api: Api) -> None:
    old, fresh, waiting = address(), address(), address()
    for to in (old, fresh, waiting):
        await queued(api.plane, to)
    ended = "UPDATE mails SET state = 'sent', body = NULL, ended_at = now() - interval '{} days' WHERE recipient = '{}'"
    await api.databases.sql(ended.format(31, old))
    await api.databases.sql(ended.format(29, fresh))
    await retention.step(api.plane, utcnow())
    async with api.plane.db.working() as tx:
        assert {mail.recipient for mail in await mails.listed(tx)} == {fresh, waiting}


async def test_what_the_server_refuses_for_good_fails_with_its_words(plane: Plane) -> None:
    to, other, box = address(), address(), Mailbox()
    await queued(plane, to)
    await queued(plane, other)
    box.answers = ["550 no such mailbox"]
    async with listening(box) as port:
        await loop.step(through(plane, port), utcnow())
    kept = await row(plane, to)
    assert (kept.state, kept.failure, kept.body) == (MailState.FAILED, "550 no such mailbox", None)
    assert (await row(plane, other)).state == MailState.SENT, "the others are not held back"


async def test_what_it_refuses_for_now_is_tried_again_later(plane: Plane) -> None:
    to, box = address(), Mailbox()
    await queued(plane, to)
    now = utcnow()
    box.answers = ["451 greylisted"]
    async with listening(box) as port:
        await loop.step(through(plane, port), now)
        kept = await row(plane, to)
        assert (kept.state, kept.failure) == (MailState.QUEUED, "451 greylisted")
        await loop.step(through(plane, port), now)
        assert box.mails == [], "not before its pause is over"
        await loop.step(through(plane, port), now + dt.timedelta(seconds=mails.pause_s(1) + 5))
    assert (await row(plane, to)).state == MailState.SENT


async def test_a_server_that_is_away_for_long_makes_it_fail_with_the_reason(plane: Plane) -> None:
    to = address()
    await queued(plane, to)
    now = utcnow()
    nobody = through(plane, free_ports(1)[0])
    for _ in range(mails.TRIES_MAX):
        assert (await row(plane, to)).state == MailState.QUEUED
        await loop.step(nobody, now)
        now += dt.timedelta(seconds=mails.PAUSE_MAX_S + mails.TAKEN_S)
    kept = await row(plane, to)
    assert kept.state == MailState.FAILED
    assert "ConnectionRefused" in str(kept.failure)


async def test_a_mail_that_somebody_else_is_sending_is_left_to_them(plane: Plane) -> None:
    to = address()
    await queued(plane, to)
    now = utcnow()
    async with plane.db.working() as tx:
        [mine] = await mails.take(tx, plane.settings.vault, now)
    async with plane.db.working() as tx:
        assert await mails.take(tx, plane.settings.vault, now) == []
        late = now + dt.timedelta(seconds=mails.TAKEN_S + 1)
        [theirs] = await mails.take(tx, plane.settings.vault, late)
        await mails.not_sent(tx, mine, "too late", late, for_good=True)
    assert theirs.tries == 2
    assert (await row(plane, to)).state == MailState.QUEUED, "who held it before has no more say"


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_it_is_spoken_to_under_tls_that_is_verified(plane: Plane, tmp_path: Path, security: str) -> None:
    ca, cert = pair(tmp_path, "ca"), pair(tmp_path, "mx")
    make_ca(ca, utcnow())
    keep_fresh(cert, ca, server_names("127.0.0.1"), utcnow())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert.cert, cert.key)
    to, box = address(), Mailbox()
    await queued(plane, to)
    more: dict[str, Any] = {"smtp_security": security}
    if security == "starttls":
        more |= {"smtp_user": USER, "smtp_password": PASSWORD}
    async with listening(box, context, starttls=security == "starttls") as port:
        await loop.step(through(plane, port, **more), utcnow())
        assert box.mails == []
        assert "certificate verify failed" in str((await row(plane, to)).failure)
        later = utcnow() + dt.timedelta(minutes=10)
        await loop.step(through(plane, port, smtp_ca_file=ca.cert, **more), later)
    assert (await row(plane, to)).failure is None
    assert len(box.mails) == 1
    if security == "starttls":
        assert (box.encrypted, box.signed_on) == ([True], [True])
