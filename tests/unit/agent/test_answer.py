"""A store's answer: read alike however it is cut up, and refused where it can be read in two ways."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.answer import BODY_MAX_BYTES, HEAD_MAX_BYTES, LINE_MAX_BYTES, Answer, Malformed, Reader

STORED = b'HTTP/1.1 200 OK\r\nETag: "abc"\r\nContent-Length: 0\r\n\r\n'
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\n<Error>"
CHUNKED = b"HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\n<Er\r\n4\r\nror>\r\n0\r\nx: y\r\n\r\n"
CONTINUED = b"HTTP/1.1 100 Continue\r\n\r\n" + STORED
PLAIN = [STORED, REFUSED, CHUNKED, CONTINUED]


def read(data: bytes, cuts: list[int] | None = None) -> Answer | None:
    reader, at = Reader(), 0
    for cut in [*sorted(cuts or []), len(data)]:
        answer = reader.feed(data[at:cut])
        at = max(at, cut)
    return answer


@given(st.sampled_from(PLAIN), st.data())
def test_an_answer_is_the_same_however_it_is_cut_up(whole: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6))
    assert read(whole, cuts) == read(whole) is not None


@given(st.sampled_from(PLAIN), st.data())
def test_nothing_is_an_answer_before_its_last_byte(whole: bytes, data: st.DataObject) -> None:
    assert read(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@given(st.binary(max_size=400))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED[:-20]):
        with suppress(Malformed):
            read(start + data)


def test_status_fields_and_body_are_as_they_were_sent() -> None:
    assert read(STORED) == Answer(200, {"etag": '"abc"', "content-length": "0"}, b"", keep=True)
    refused, chunked = read(REFUSED), read(CHUNKED)
    assert refused is not None
    assert chunked is not None
    assert (refused.status, refused.body, refused.keep) == (403, b"<Error>", True)
    assert (chunked.status, chunked.body, chunked.keep) == (403, b"<Error>", True)


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.0 200 OK\r\nContent-Length: 0",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nconnection: x, close",
    ],
)
def test_a_connection_that_ends_carries_nothing_more(head: str) -> None:
    answer = read(head.encode() + b"\r\n\r\n")
    assert answer is not None
    assert not answer.keep


def test_what_follows_an_answer_unasked_ends_the_connection() -> None:
    for whole in PLAIN:
        answer = read(whole + b"HTTP/1.1 200 OK\r\n\r\n")
        assert answer is not None
        assert not answer.keep


def test_without_a_length_the_body_ends_with_the_connection() -> None:
    reader = Reader()
    assert reader.feed(b"HTTP/1.1 500 Oh\r\n\r\nhalf") is None
    answer = reader.closed()
    assert answer is not None
    assert (answer.status, answer.body, answer.keep) == (500, b"half", False)
    for whole in PLAIN:
        cut = Reader()
        cut.feed(whole[:-1])
        assert cut.closed() is None


@pytest.mark.parametrize("framing", ["Content-Length: 10000000000", "Transfer-Encoding: chunked", "X: none"])
def test_of_a_long_body_only_the_beginning_is_read(framing: str) -> None:
    start = f"HTTP/1.1 500 Oh\r\n{framing}\r\n\r\n".encode() + (b"ffffffff\r\n" if "chunked" in framing else b"")
    answer = read(start + b"x" * (2 * BODY_MAX_BYTES))
    assert answer is not None
    assert (answer.body, answer.keep) == (b"x" * BODY_MAX_BYTES, False)


@pytest.mark.parametrize(
    "data",
    [
        "nothing of HTTP\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 700 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nspace : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: x\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: nul\0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: bare\nline\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n" * 9,
        "HTTP/1.1 200 OK\r\nA: " + "x" * HEAD_MAX_BYTES,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + "1" * LINE_MAX_BYTES,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + "a: b\r\n" * HEAD_MAX_BYTES,
    ],
)
def test_what_is_no_answer_or_two_is_refused(data: str) -> None:
    with pytest.raises(Malformed):
        read(data.encode())
