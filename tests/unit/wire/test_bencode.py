"""Bencode: what is read, what is refused and why, and that hostile input costs little."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.bencode import VALUES_MAX, Bencoded, decode, decode_with_spans, encode
from wire.errors import BadBencode
from wire.units import MIB

integers = st.integers(-(2**63), 2**63 - 1)
values = st.recursive(
    integers | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=8), inner, max_size=5),
    max_leaves=30,
)


def refusal(data: bytes, **limits: int) -> str:
    with pytest.raises(BadBencode) as bad:
        decode(data, **limits)
    return bad.value.code


@given(values)
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(value: Bencoded) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=200) | st.text("dlei0123456789:-", max_size=60).map(str.encode))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_read_or_refused_and_never_read_in_two_ways(data: bytes) -> None:
    try:
        value = decode(data)
    except BadBencode:
        return
    assert decode(encode(value)) == value
    assert len(encode(value)) == len(data), "two spellings of one value"


@given(st.dictionaries(st.binary(max_size=8), values, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_a_span_is_the_value_as_it_stands(value: dict[bytes, Bencoded]) -> None:
    data = encode(value)
    read, spans = decode_with_spans(data)
    assert read.keys() == spans.keys()
    for key, (first, end) in spans.items():
        assert data[first:end] == encode(value[key])


def test_the_raw_slice_keeps_the_order_of_its_keys() -> None:
    data = b"d1:z1:q4:infod1:b1:x1:ai1eee"
    _, spans = decode_with_spans(data)
    assert data[slice(*spans[b"info"])] == b"d1:b1:x1:ai1ee"


def test_unsorted_keys_are_read() -> None:
    assert decode(b"d1:bi1e1:ai2ee") == {b"b": 1, b"a": 2}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i",
        b"ie",
        b"i-e",
        b"i-0e",
        b"i00e",
        b"i01e",
        b"i+1e",
        b"i 1e",
        b"i1",
        b"i9223372036854775808e",
        b"i-9223372036854775809e",
        b"i99999999999999999999e",
        b"01:a",
        b"1:",
        b"5:abcd",
        b"-1:a",
        b"99999999:a",
        b"l",
        b"d",
        b"e",
        b"d1:ae",
        b"di1ei2ee",
        b"dlei1ee",
        b"ddei1ee",
        b"i1ei2e",
        b"lee",
        b"x",
        "i١e".encode(),
    ],
)
def test_what_is_not_bencode_is_malformed(data: bytes) -> None:
    assert refusal(data) == "malformed"


def test_the_ends_of_64_bits_are_read() -> None:
    assert decode(b"li9223372036854775807ei-9223372036854775808ee") == [2**63 - 1, -(2**63)]


def test_a_key_that_comes_twice_is_refused_however_deep() -> None:
    assert refusal(b"d1:ai1e1:ai2ee") == "duplicate_key"
    assert refusal(b"ld1:bd1:ai1e1:ai1eeee") == "duplicate_key"


def test_depth_and_size_have_limits() -> None:
    assert decode(b"l" * 64 + b"e" * 64)
    assert refusal(b"l" * 65 + b"e" * 65) == "too_deep"
    assert refusal(b"d1:a" * 65 + b"i1e" + b"e" * 65) == "too_deep"
    assert refusal(b"4:spam", max_bytes=5) == "too_large"
    assert refusal(b"0" * (32 * MIB + 1)) == "too_large"


def test_the_number_of_values_has_a_limit() -> None:
    assert decode(b"l" + b"i1e" * 9 + b"e", max_values=10) == [1] * 9
    assert refusal(b"l" + b"i1e" * 10 + b"e", max_values=10) == "too_many"
    assert refusal(b"l" + b"le" * 10 + b"e", max_values=10) == "too_many"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"l" * (10 * MIB), "too_deep"),
        (b"d1:a" * (2 * MIB), "too_deep"),
        (b"i1e" * (3 * MIB), "malformed"),
        (b"l" + b"0:" * (5 * MIB) + b"e", "too_many"),
        (b"i" + b"1" * (10 * MIB) + b"e", "malformed"),
        (b"9" * (10 * MIB), "malformed"),
    ],
    ids=["lists", "dicts", "integers", "strings", "digits", "length"],
)
def test_ten_megabytes_of_hostility_are_refused_before_they_are_read(data: bytes, code: str) -> None:
    assert len(data) > VALUES_MAX
    assert refusal(data) == code
