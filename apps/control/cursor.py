"""Cursors: where the next page of a list begins, opaque to whoever sends one back."""

import base64
import binascii
import datetime as dt
from uuid import UUID

from control.errors import BadInput

INDEX_BYTES = 4
MOMENT_BYTES = 8
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)


def after_id(last: UUID) -> str:
    return _pack(b"i" + last.bytes)


def after_index(last: int) -> str:
    return _pack(b"n" + last.to_bytes(INDEX_BYTES, "big"))


def after_moment(at: dt.datetime, last: int) -> str:
    """Of a list by time, in which several rows may share theirs."""
    micros = (at - EPOCH) // MICROSECOND
    return _pack(
        b"t" + micros.to_bytes(MOMENT_BYTES, "big", signed=True) + last.to_bytes(MOMENT_BYTES, "big", signed=True)
    )


def moment_of(cursor: str) -> tuple[dt.datetime, int]:
    raw = _unpack(cursor, b"t", 2 * MOMENT_BYTES)
    return _moment(raw[:MOMENT_BYTES]), int.from_bytes(raw[MOMENT_BYTES:], "big", signed=True)


def _moment(raw: bytes) -> dt.datetime:
    try:
        return EPOCH + int.from_bytes(raw, "big", signed=True) * MICROSECOND
    except OverflowError:
        raise _not_ours() from None


def after_hash(at: dt.datetime, last: bytes) -> str:
    """The same, where a hash tells them apart; it has a length of its own."""
    micros = (at - EPOCH) // MICROSECOND
    return _pack(b"h" + micros.to_bytes(MOMENT_BYTES, "big", signed=True) + last)


def hash_of(cursor: str) -> tuple[dt.datetime, bytes]:
    raw = _raw(cursor)
    if raw[:1] != b"h" or len(raw) <= 1 + MOMENT_BYTES:
        raise _not_ours()
    return _moment(raw[1 : 1 + MOMENT_BYTES]), raw[1 + MOMENT_BYTES :]


def id_of(cursor: str) -> UUID:
    return UUID(bytes=_unpack(cursor, b"i", 16))


def index_of(cursor: str) -> int:
    return int.from_bytes(_unpack(cursor, b"n", INDEX_BYTES), "big", signed=True)


def _pack(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(cursor: str) -> bytes:
    try:
        return base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return b""


def _unpack(cursor: str, kind: bytes, size: int) -> bytes:
    raw = _raw(cursor)
    if raw[:1] != kind or len(raw) != 1 + size:
        raise _not_ours()
    return raw[1:]


def _not_ours() -> BadInput:
    return BadInput("This cursor is not one of ours: begin again without it.", code="bad_cursor")
