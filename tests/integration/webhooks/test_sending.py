"""One POST: only to public addresses, whatever a name leads to; verified under TLS; bounded in time and bytes."""

import datetime as dt
import ssl
from email.utils import format_datetime
from pathlib import Path

import pytest

from control.outward import trusted
from control.webhooks import sending
from control.webhooks.sending import Outcome, post
from stack.certificates import Names, keep_fresh, make_ca, pair, server_names
from tests.support.receiver import Receiver, answer, receiving
from wire.addresses import Allow, parse_allow
from wire.clock import utcnow

LOOPBACK = parse_allow(["127.0.0.0/8", "::1/128"])


async def sent(url: str, allow: Allow = LOOPBACK, tls: ssl.SSLContext | None = None) -> Outcome:
    return await post(url, {"webhook-id": "msg_x"}, b"{}", allow, tls or trusted())


async def test_a_name_that_leads_inside_is_not_contacted(receiver: Receiver) -> None:
    outcome = await sent(receiver.url("localhost"), allow=())
    assert outcome.status is None
    assert str(outcome.failure).startswith("localhost leads to ")
    assert receiver.posts == []


@pytest.mark.parametrize("name", ["nobody.invalid", "a" * 64 + ".example.org"])
async def test_a_name_that_leads_nowhere_is_a_failure_with_a_sentence(name: str) -> None:
    outcome = await sent(f"https://{name}/")
    assert str(outcome.failure).startswith(f"The name {name} cannot be looked up")


async def test_the_name_is_what_the_receiver_and_its_certificate_are_asked_for(tmp_path: Path) -> None:
    ca, right, wrong = pair(tmp_path, "ca"), pair(tmp_path, "right"), pair(tmp_path, "wrong")
    make_ca(ca, utcnow())
    keep_fresh(right, ca, server_names("localhost"), utcnow())
    keep_fresh(wrong, ca, Names(hosts=("example.org",)), utcnow())
    trusting = ssl.create_default_context(cafile=ca.cert)
    for cert, is_taken in ((right, True), (wrong, False)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert.cert, cert.key)
        async with receiving(context) as receiver:
            url = receiver.url("localhost", "https")
            outcome = await sent(url, tls=trusting)
            assert (outcome.failure is None) is is_taken, outcome
            if is_taken:
                assert receiver.posts[0].headers["host"] == f"localhost:{receiver.port}"
                outcome = await sent(url)
            assert "certificate verify failed" in str(outcome.failure).lower()


async def test_an_answer_without_end_is_cut_and_kept_in_part(receiver: Receiver) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 10_000
    receiver.answers = [endless]
    outcome = await sent(receiver.url())
    assert (outcome.status, outcome.failure, outcome.answer) == (200, None, "x" * sending.SHOWN_CHARS_MAX)


async def test_who_never_answers_is_left(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TRY_S", 0.3)
    receiver.answers = [None]
    outcome = await sent(receiver.url())
    assert (outcome.status, outcome.failure) == (None, "No answer within 0.3 s.")


async def test_who_is_not_there_is_a_failure(receiver: Receiver) -> None:
    outcome = await sent("http://127.0.0.9:2/")
    assert outcome.status is None
    assert outcome.failure


async def test_retry_after_is_heard_where_it_means_something(receiver: Receiver) -> None:
    later = format_datetime(utcnow() + dt.timedelta(minutes=2), usegmt=True)
    receiver.answers = [
        answer(503, "Retry-After: 120"), answer(429, f"Retry-After: {later}"), answer(400, "Retry-After: 120"),
        answer(503, "Retry-After: soon"),
    ]  # fmt: skip
    said = [(await sent(receiver.url())).retry_after_s for _ in range(4)]
    assert (said[0], said[2], said[3]) == (120, None, None)
    assert 100 < (said[1] or 0) <= 120
