"""Where webhooks may be, how they are signed, and that everything that happens has a name."""

import datetime as dt

import pytest

from control.feed.model import EventType
from control.webhooks import calls, sending, signing
from wire.addresses import parse_allow
from wire.states import JobState


def test_every_state_of_a_job_has_a_type_of_event() -> None:
    assert {f"job.{state}" for state in JobState} <= set(EventType)


def test_every_secret_that_is_good_signs_id_time_and_body() -> None:
    secret = b"0123456789abcdef01234567"
    at = dt.datetime.fromtimestamp(1_674_087_231, dt.UTC)
    one = signing.headers([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert one["webhook-timestamp"] == "1674087231"
    both = signing.headers([secret, b"x" * 24], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert both["webhook-signature"].split(" ")[0] == one["webhook-signature"]
    assert both["webhook-signature"].count("v1,") == 2
    assert signing.text_of(secret) == "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/hook",
        "http://example.org:8080/a?b=c",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]:8443/",
        "http://10.1.2.3:80/",
    ],
)
def test_public_addresses_and_those_that_are_allowed_are_taken(url: str) -> None:
    assert sending.why_not(url, parse_allow(["10.1.0.0/16"])) is None


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "//example.org", "https://", "ftp://example.org/", "file:///etc/passwd",
        "https://localhost/", "https://intranet/", "https://a.internal/", "http://127.0.0.1/", "http://127.1/",
        "http://0x7f000001/", "http://2130706433/", "http://169.254.169.254/latest/", "http://[::1]/",
        "http://[::ffff:127.0.0.1]/", "http://10.2.0.1/", "https://user@example.org/", "https://example.org:25/",
        "https://example.org:0/", "https://example.org:99999/", "https://example.org/#x", "https://example.org/a b",
        "https://exämple.org/", "https://example.org\\@127.0.0.1/", "https://example.org/" + "a" * 2000,
        "gopher://example.org:443/", "https://example.org/\r\nX: y",
    ],
)  # fmt: skip
def test_whatever_leads_elsewhere_is_refused(url: str) -> None:
    assert sending.why_not(url, parse_allow(["10.1.0.0/16"])) is not None


def test_who_is_in_trouble_is_left_alone_ever_longer_up_to_a_bound() -> None:
    pauses = [calls.left_alone_s(failures) for failures in range(1, 100)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (calls.LEFT_ALONE_S, calls.LEFT_ALONE_MAX_S)
