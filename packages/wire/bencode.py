"""Bencode, read within bounds: depth, size, number of values; and written canonically.

The reader is a loop, not a recursion, and gives up at the first thing that is wrong. Unsorted keys are read as they
stand, because real torrents have them and a hash is of the bytes, not of what they mean; everything else that is not
bencode is refused.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from wire.errors import BadBencode
from wire.units import MIB

Bencoded: TypeAlias = int | bytes | list["Bencoded"] | dict[bytes, "Bencoded"]
Encodable: TypeAlias = int | bytes | Sequence["Encodable"] | Mapping[bytes, "Encodable"]
Spans: TypeAlias = dict[bytes, tuple[int, int]]
"""Where the values of the outermost dict stand: first byte, and one past the last."""

BYTES_MAX = 32 * MIB
DEPTH_MAX = 64
"""Real torrents need about six plus the depth of their folders."""
VALUES_MAX = 1_000_000
"""Bounds time (a second) and memory (a dict costs 232 bytes for eight of input); 100,000 files of v1 need 600,000."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_TOKEN = re.compile(rb"(0|[1-9][0-9]{0,7}):|i(0|-?[1-9][0-9]{0,18})e|([del])")
_STRING, _INT = 1, 2


def decode(
    data: bytes, *, max_bytes: int = BYTES_MAX, max_depth: int = DEPTH_MAX, max_values: int = VALUES_MAX
) -> Bencoded:
    return _read(data, None, max_bytes, max_depth, max_values)


def decode_with_spans(
    data: bytes, *, max_bytes: int = BYTES_MAX, max_depth: int = DEPTH_MAX, max_values: int = VALUES_MAX
) -> tuple[dict[bytes, Bencoded], Spans]:
    """For a dict whose values are also wanted as they stand: `data[slice(*spans[b"info"])]`."""
    spans: Spans = {}
    value = _read(data, spans, max_bytes, max_depth, max_values)
    if not isinstance(value, dict):
        raise BadBencode("malformed", "the outermost value is not a dictionary")
    return value, spans


def encode(value: Encodable) -> bytes:
    """Canonical: keys sorted by their bytes."""
    out: list[bytes] = []
    _write(value, out)
    return b"".join(out)


def _read(data: bytes, spans: Spans | None, max_bytes: int, max_depth: int, max_values: int) -> Bencoded:
    if len(data) > max_bytes:
        raise BadBencode("too_large", f"{len(data):,} bytes are more than the {max_bytes:,} allowed")
    match, end = _TOKEN.match, len(data)
    boxes: list[list[Bencoded] | dict[bytes, Bencoded]] = []  # the open containers, outermost first
    keys: list[bytes | None] = []  # for each open dict, the key that waits for its value
    box: list[Bencoded] | dict[bytes, Bencoded] | None = None
    key: bytes | None = None
    value: Bencoded
    pos = start = count = 0
    while True:
        token = match(data, pos)
        if token is None:
            raise _misread(data, pos)
        began, pos = pos, token.end()
        kind = token.lastindex
        if kind == _STRING:
            pos += int(token[_STRING])
            if pos > end:
                raise BadBencode("malformed", f"the string at byte {began} is longer than what is left")
            value = data[token.end() : pos]
            if key is None and type(box) is dict:
                if value in box:
                    raise BadBencode("duplicate_key", f"a key comes twice in one dictionary (at byte {began})")
                key = value
                if len(boxes) == 1:
                    start = pos
                continue
        elif kind == _INT:
            value = int(token[_INT])
            if not INT_MIN <= value <= INT_MAX:
                raise BadBencode("malformed", f"the integer at byte {began} does not fit 64 bits")
        elif data[began] == 0x65:  # e: a container ends, and is now a value of the one around it
            if box is None or key is not None:
                raise BadBencode("malformed", f"an end at byte {began} where a value should be")
            value, key = boxes.pop(), keys.pop()
            box = boxes[-1] if boxes else None
            count -= 1  # it was counted when it began
        else:
            if len(boxes) == max_depth:
                raise BadBencode("too_deep", f"nested more than {max_depth} deep")
            if key is None and type(box) is dict:
                raise BadBencode("malformed", f"a key at byte {began} is not a string")
            count += 1
            if count > max_values:
                raise _too_many(max_values)
            box = {} if data[began] == 0x64 else []
            boxes.append(box)
            keys.append(key)
            key = None
            continue
        count += 1
        if count > max_values:
            raise _too_many(max_values)
        if type(box) is list:
            box.append(value)
        elif type(box) is dict:
            if key is None:
                raise BadBencode("malformed", f"a key at byte {began} is not a string")
            box[key] = value
            if spans is not None and len(boxes) == 1:
                spans[key] = (start, pos)
            key = None
        elif pos != end:
            raise BadBencode("malformed", f"{end - pos:,} bytes follow the value")
        else:
            return value


def _too_many(max_values: int) -> BadBencode:
    return BadBencode("too_many", f"more than {max_values:,} values")


def _misread(data: bytes, pos: int) -> BadBencode:
    if pos >= len(data):
        return BadBencode("malformed", "it ends in the middle")
    return BadBencode("malformed", f"byte {pos} begins neither an integer, a string, a list nor a dictionary")


def _write(value: Encodable, out: list[bytes]) -> None:
    match value:
        case bytes():
            out += (b"%d:" % len(value), value)
        case int():
            out.append(b"i%de" % value)
        case Mapping():
            out.append(b"d")
            for key in sorted(value):
                out += (b"%d:" % len(key), key)
                _write(value[key], out)
            out.append(b"e")
        case _:
            out.append(b"l")
            for item in value:
                _write(item, out)
            out.append(b"e")
