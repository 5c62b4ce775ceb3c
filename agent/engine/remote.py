"""What lies at a URL: asked once, with the first bytes, before anything is fetched. And whether it is still the same.

206 ──► a file of known size, in parts         200 with a length ──► a file of known size, from its beginning only
200 without a length ──► fetched blindly to its end, for its size        bytes that begin a torrent ──► a `.torrent`
"""

import re
from collections.abc import AsyncIterator, Mapping
from urllib.parse import unquote

from msgspec import Struct

from fetch.client import Answer
from fetch.errors import Refused
from wire.bencode import BYTES_MAX
from wire.names import clean_name
from wire.remote import Remote
from wire.units import KIB
from wire.urls import name_of

HEAD_BYTES = 16 * KIB
ASK_HEAD = {"Range": f"bytes=0-{HEAD_BYTES - 1}"}
ETAG_CHARS_MAX = 512

_RANGE = re.compile(r"bytes (?:([0-9]{1,15})-([0-9]{1,15})|\*)/([0-9]{1,15}|\*)")
_NAME = re.compile(r"filename=\"?([^\";]+)\"?", re.IGNORECASE)
_NAME_EXTENDED = re.compile(r"filename\*=(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)
_TORRENT = re.compile(rb"d[0-9]{1,3}:[a-z0-9 .\-]+[0-9dli]")
_KEYS = (b"4:info", b"8:announce", b"13:announce-list", b"13:creation date", b"10:created by", b"7:comment")


class Changed(Exception):
    """Another file than at the beginning."""


class Lies(Exception):
    """What is sent does not fit what was said of it."""


class Part(Struct, frozen=True):
    """What an answer's body is: bytes of the file from `first` on. `last`: the last of them, if it says."""

    first: int
    last: int | None
    total: int | None


def part_of(answer: Answer) -> Part:
    """Raises Refused, Lies."""
    fields = answer.fields
    if fields.get("content-encoding", "identity").lower() != "identity":
        raise Refused("it sends the file only compressed")
    if answer.status == 206:
        found = _RANGE.fullmatch(fields.get("content-range", "").strip())
        if found is None or found[1] is None:
            raise Lies("a part of a file that does not say which")
        return Part(int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3]))
    length = fields.get("content-length", "")
    total = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else None
    return Part(0, None if total is None else total - 1, total)


def is_empty(answer: Answer) -> bool:
    """Of a file of no bytes no part can be had."""
    found = _RANGE.fullmatch(answer.fields.get("content-range", "").strip())
    return answer.status == 416 and found is not None and found[3] == "0"


def remote(answer: Answer, size_bytes: int, url: str) -> Remote:
    return Remote(
        name=_name(answer.fields) or name_of(url),
        size_bytes=size_bytes,
        etag=answer.fields.get("etag", "")[:ETAG_CHARS_MAX],
        modified=answer.fields.get("last-modified", "")[:ETAG_CHARS_MAX],
        ranges=answer.status == 206,
    )


def check_same(answer: Answer, part: Part, known: Remote) -> None:
    """Raises Changed. What a server does not say at all is no difference."""
    etag, modified = answer.fields.get("etag", ""), answer.fields.get("last-modified", "")
    if part.total is not None and part.total != known.size_bytes:
        raise Changed(f"it had {known.size_bytes} bytes, and has {part.total} now")
    if etag and known.etag and etag[:ETAG_CHARS_MAX] != known.etag:
        raise Changed("its ETag is another one")
    if not (etag and known.etag) and modified and known.modified and modified[:ETAG_CHARS_MAX] != known.modified:
        raise Changed("it was modified meanwhile")


def only_if_same(known: Remote) -> Mapping[str, str]:
    """A server that sees a change sends the whole new file, which is noticed, instead of a part of it."""
    if known.etag and not known.etag.startswith("W/"):
        return {"If-Range": known.etag}
    return {"If-Range": known.modified} if known.modified and not known.etag else {}


def begins_torrent(head: bytes) -> bool:
    """Files of other kinds do not begin like this; what only looks so is refused where it is read."""
    return _TORRENT.match(head) is not None and any(key in head for key in _KEYS)


async def whole_torrent(head: bytes, rest: AsyncIterator[bytes]) -> bytes:
    """Raises Refused, Away."""
    data = bytearray(head)
    async for chunk in rest:
        data += chunk
        if len(data) > BYTES_MAX:
            raise Refused("it begins like a .torrent, and is larger than any may be")
    return bytes(data)


async def head_of(answer: Answer) -> bytes:
    """The first bytes, as many as come with them at once. Raises Away."""
    head = bytearray()
    async for chunk in answer.chunks:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head)


def _name(fields: Mapping[str, str]) -> str | None:
    """Of a Content-Disposition, without any folder."""
    said = fields.get("content-disposition", "")
    if extended := _NAME_EXTENDED.search(said):
        text = unquote(extended[2], encoding=extended[1].lower(), errors="replace")
    elif plain := _NAME.search(said):
        text = plain[1].encode("latin-1", "replace").decode("utf-8", "replace")
    else:
        return None
    last = re.split(r"[/\\]", text)[-1].strip()
    return clean_name(last) if last else None
