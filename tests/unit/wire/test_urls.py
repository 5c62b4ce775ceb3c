"""URLs as people paste them: one spelling, or a refusal with a code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.errors import BadUrl
from wire.urls import CHARS_MAX, name_of, parse_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Example.org", "https://example.org/"),
        ("  HTTP://example.org:8080/a b/ä.iso?x=1#top ", "http://example.org:8080/a%20b/%C3%A4.iso?x=1"),
        ("https://example.org/a%20b?sig=a%2Fb+c==", "https://example.org/a%20b?sig=a%2Fb+c=="),
        ("http://[2606:4700::1]/f", "http://[2606:4700::1]/f"),
    ],
)
def test_what_can_be_meant_in_one_way_only_is_spelled_in_one_way(text: str, url: str) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org/f",
        "ftp://example.org/f",
        "http://",
        "http://user:password@example.org/f",
        "http://exam ple.org/f",
        "http://example.org\\@10.0.0.1/f",
        "http://exämple.org/f",
        "http://example.org/f\r\nHost: other",
        "http://example.org:port/f",
        "file:///etc/passwd",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(BadUrl) as refused:
        parse_url(text)
    assert refused.value.code == "url_malformed"


def test_one_that_is_too_long_is_refused_also_when_only_its_quoting_makes_it_so() -> None:
    for text in ("http://example.org/" + "a" * CHARS_MAX, "http://example.org/" + "ä" * (CHARS_MAX // 2)):
        with pytest.raises(BadUrl) as refused:
            parse_url(text)
        assert refused.value.code == "url_too_long"


@settings(deadline=None)
@given(st.text(max_size=60))
def test_parsing_again_changes_nothing(text: str) -> None:
    try:
        url = parse_url("http://example.org/" + text)
    except BadUrl:
        return
    assert parse_url(url) == url
    assert url.isascii()
    assert url.isprintable()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://example.org/a/b.iso?x=/c", "b.iso"),
        ("http://example.org/a/%C3%A4%2Fb/", "ä_b"),
        ("http://example.org/", "example.org"),
        ("http://example.org/..", "_"),
    ],
)
def test_a_file_is_called_as_it_would_be_saved(url: str, name: str) -> None:
    assert name_of(url) == name
