"""A store's answer (HTTP/1.1), read as it comes and within bounds. Pure: bytes in, an answer out.

    status line, fields ──► body: of known length │ in chunks │ until the other side closes ──► whole
      └── 1xx: another follows
What can be read in two ways is not read at all: the next answer on that connection might be somebody else's making.
"""

import re

from msgspec import Struct

HEAD_MAX_BYTES = 16_384
"""Stores send some hundred."""
BODY_MAX_BYTES = 16_384
"""Of an error, which is read by people; what is longer is cut, and the connection not used again."""
LINE_MAX_BYTES = 1_024
"""The size of a chunk, and whatever may stand behind it."""
INTERIM_MAX = 8
"""Answers with 1xx, before the one that counts."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: [^\r\n\0]*)?")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n\0]*)?")
_NO_BODY = frozenset({204, 304})
_END = b"\r\n\r\n"


class Malformed(Exception):
    """What came is no HTTP answer, or leaves open where it ends."""


class Answer(Struct, frozen=True):
    status: int
    fields: dict[str, str]
    """Names in lower case."""
    body: bytes
    keep: bool
    """The connection may carry another request."""


class _Head(Struct, frozen=True):
    status: int
    fields: dict[str, str]
    keep: bool
    length: int | None
    """None: in chunks, or until the other side closes."""
    chunked: bool


class Reader:
    """Reads one answer."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head: _Head | None = None
        self._interim = 0
        self._body = bytearray()
        self._chunk: int | None = None
        """Bytes of the chunk that comes next; 0 once the last one is known; None where its size should stand."""
        self._trailing = 0

    def feed(self, data: bytes) -> Answer | None:
        """What came; the answer, once it is whole."""
        self._data += data
        if self._head is None:
            self._head = self._take_head()
        if self._head is None:
            return None
        if self._head.chunked:
            return self._take_chunks(self._head)
        return self._take_body(self._head)

    def closed(self) -> Answer | None:
        """The other side says no more: that ends a body whose length nobody said."""
        head = self._head
        if head is None or head.chunked or head.length is not None:
            return None
        return _answer(head, self._data, keep=False)

    def _take_head(self) -> _Head | None:
        while (end := self._data.find(_END, 0, HEAD_MAX_BYTES)) >= 0:
            head = _read_head(bytes(self._data[:end]))
            del self._data[: end + len(_END)]
            if head.status >= 200:
                return head
            self._interim += 1
            if head.status == 101 or self._interim > INTERIM_MAX:
                raise Malformed("answers that lead nowhere")
        if len(self._data) >= HEAD_MAX_BYTES:
            raise Malformed("its head does not end")
        return None

    def _take_body(self, head: _Head) -> Answer | None:
        if head.length is not None and len(self._data) >= head.length:
            return _answer(head, self._data[: head.length], keep=head.keep and len(self._data) == head.length)
        return _answer(head, self._data, keep=False) if len(self._data) >= BODY_MAX_BYTES else None

    def _take_chunks(self, head: _Head) -> Answer | None:
        while True:
            if self._chunk:
                if len(self._data) < self._chunk + 2:
                    so_far = self._body + self._data
                    return _answer(head, so_far, keep=False) if len(so_far) >= BODY_MAX_BYTES else None
                if self._data[self._chunk : self._chunk + 2] != b"\r\n":
                    raise Malformed("a chunk that is longer than it says")
                self._body += self._data[: self._chunk]
                del self._data[: self._chunk + 2]
                self._chunk = None
                continue
            if (line := self._take_line()) is None:
                return None
            if self._chunk is None:
                if not (size := _CHUNK.fullmatch(line)):
                    raise Malformed("a chunk without a size")
                self._chunk = int(size[1], 16)
            elif not line:
                return _answer(head, self._body, keep=head.keep and not self._data)
            elif (trailing := self._trailing + len(line)) > HEAD_MAX_BYTES:
                raise Malformed("its trailer does not end")
            else:
                self._trailing = trailing

    def _take_line(self) -> bytes | None:
        end = self._data.find(b"\r\n", 0, LINE_MAX_BYTES)
        if end < 0:
            if len(self._data) >= LINE_MAX_BYTES:
                raise Malformed("a line that does not end")
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 2]
        return line


def _answer(head: _Head, body: bytearray, *, keep: bool) -> Answer:
    whole = len(body) <= BODY_MAX_BYTES
    return Answer(head.status, head.fields, bytes(body[:BODY_MAX_BYTES]), keep and whole)


def _read_head(data: bytes) -> _Head:
    first, *lines = data.split(b"\r\n")
    if not (status := _STATUS.fullmatch(first)):
        raise Malformed(f"no status line: {first[:60]!r}")
    fields: dict[str, str] = {}
    for line in lines:
        if not (field := _FIELD.fullmatch(line)):
            raise Malformed(f"no field: {line[:60]!r}")
        name, value = field[1].decode().lower(), field[2].rstrip(b" \t").decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    code, is_1_1 = int(status[2]), status[1] == b"1"
    length, chunked = _framing(code, fields, is_1_1=is_1_1)
    closes = "close" in fields.get("connection", "").lower()
    return _Head(code, fields, keep=is_1_1 and not closes, length=length, chunked=chunked)


def _framing(status: int, fields: dict[str, str], *, is_1_1: bool) -> tuple[int | None, bool]:
    coding, length = fields.get("transfer-encoding"), fields.get("content-length")
    if coding is not None and (coding.lower() != "chunked" or length is not None or not is_1_1):
        raise Malformed("a body framed in two ways, or in none that we know")
    if length is not None:
        said = {each.strip() for each in length.split(",")}
        if len(said) != 1 or not _LENGTH.fullmatch(length := said.pop()):
            raise Malformed(f"no length: {length[:60]!r}")
    if status < 200 or status in _NO_BODY:
        return 0, False
    return (None, True) if coding is not None else (None if length is None else int(length), False)
