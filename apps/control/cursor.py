"""Cursors: where the next page of a list begins, opaque to whoever sends one back."""

import base64
import binascii
from uuid import UUID

from control.errors import BadInput

INDEX_BYTES = 4


def after_id(last: UUID) -> str:
    return _pack(b"i" + last.bytes)


def after_index(last: int) -> str:
    return _pack(b"n" + last.to_bytes(INDEX_BYTES, "big"))


def id_of(cursor: str) -> UUID:
    return UUID(bytes=_unpack(cursor, b"i", 16))


def index_of(cursor: str) -> int:
    return int.from_bytes(_unpack(cursor, b"n", INDEX_BYTES), "big", signed=True)


def _pack(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unpack(cursor: str, kind: bytes, size: int) -> bytes:
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raw = b""
    if raw[:1] != kind or len(raw) != 1 + size:
        raise BadInput("This cursor is not one of ours: begin again without it.", code="bad_cursor")
    return raw[1:]
