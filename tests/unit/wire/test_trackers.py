"""What is shown of a tracker never has its passkey."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.trackers import WORD_CHARS_MAX, origin, word

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://t.example/{KEY}/announce", "https://t.example"),
        (f"http://t.example:2710/announce?passkey={KEY}", "http://t.example:2710"),
        (f"udp://{KEY}@t.example:80/", "udp://t.example:80"),
        (f"http://[2001:db8::1]:80/a/{KEY}", "http://[2001:db8::1]:80"),
        (f"http://t.example:99999/{KEY}", "[hidden]"),
    ],
)
def test_an_address_is_shown_up_to_its_port(url: str, shown: str) -> None:
    assert origin(url) == shown
    assert KEY not in origin(url)


@pytest.mark.parametrize(
    "url", [f"http://t/{KEY}/announce", f"http://t/announce?passkey={KEY}&x=1", f"http://u:{KEY}@t/"]
)
def test_a_tracker_that_repeats_the_passkey_is_not_quoted_with_it(url: str) -> None:
    assert word(f"unknown passkey '{KEY}'", url) == "unknown passkey '[hidden]'"


@given(st.text(), st.text())
def test_whatever_is_said_becomes_one_short_printable_line(text: str, url: str) -> None:
    shown = word(text, url)
    assert shown.isprintable()
    assert len(shown) <= WORD_CHARS_MAX
    assert origin(url)
