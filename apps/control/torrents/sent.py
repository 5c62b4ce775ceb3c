"""What somebody sent: a magnet, a URL, or a `.torrent` in one of three wrappings; judged, not yet kept."""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from control import http, speed
from control.errors import BadInput, UnsupportedMedia
from control.http import Asked
from control.speed import Speed
from control.torrents import reading
from control.torrents.schemas import FileEntry, TorrentView
from telemetry.redact import clean_text
from wire import errors as wire_errors
from wire.filelist import FILES_MAX
from wire.ids import OrgId
from wire.infohash import InfoHashes
from wire.magnet import parse_magnet
from wire.metainfo import Torrent
from wire.names import clean_name
from wire.states import Priority
from wire.urls import name_of, parse_url

TORRENT_TYPES = frozenset({"application/x-bittorrent", "application/octet-stream"})
NAME_CHARS_MAX = 255
INDEX_MAX = 2**31 - 1


class Wishes(Struct, frozen=True, kw_only=True):
    """How it is asked for, beside what; all but `paused` can be changed later."""

    files: list[int] | None = None
    """Only these, by their index; null: all."""
    paused: bool = False
    """Not before somebody resumes it; a magnet's metadata is fetched, so that there is something to choose from."""
    priority: Priority = Priority.NORMAL
    sequential: bool = False
    down_max: Speed = 0
    up_max: Speed = 0


class SendTorrent(Wishes, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As JSON; a large `.torrent` is better sent as a form or as it is."""

    magnet: str | UnsetType = UNSET
    torrent: bytes | UnsetType = UNSET
    """Base64."""
    url: str | UnsetType = UNSET
    """Of a file, or of a `.torrent`, on a web server; an agent finds out which."""
    name: str | None = None


IN_FORM: dict[str, Any] = {
    "files": list[int] | None,
    "paused": bool,
    "sequential": bool,
    "down_max": Speed,
    "up_max": Speed,
}
"""In a form everything is text: wishes are said as in JSON, but for `priority`, which is the bare word."""


class Sent(Struct, frozen=True, kw_only=True):
    source: Literal["magnet", "torrent", "url"]
    hashes: InfoHashes | None
    """Of a magnet they are claims; of a URL nothing is known."""
    name: str | None
    """As the sender wants it called, or else as it calls itself."""
    trackers: list[list[str]]
    web_seeds: list[str]
    peers: list[str]
    size_bytes: int | None
    torrent: Torrent | None
    url: str | None = None
    wishes: Wishes
    digest: bytes
    """Of all that was asked; two askings with the same digest are the same."""


async def read(request: Asked, org: OrgId) -> Sent:
    match request.content_type[0]:
        case "application/json" | "":
            asked = http.from_json(await http.body_within(request, http.JSON_BYTES_MAX), SendTorrent)
            return await _from_json(asked, org)
        case "multipart/form-data":
            form = await http.form(request)
            if unknown := sorted(form.keys() - {"torrent", "name", "priority", *IN_FORM}):
                raise BadInput(f"The form has an unknown field: {', '.join(unknown)[:100]}.")
            name = form.get("name")
            text = name.decode("utf-8", "replace") if name else None
            return await _from_file(form.get("torrent"), text, _wishes_of(form), org)
        case kind if kind in TORRENT_TYPES:
            return await _from_file(await http.body_within(request, http.TORRENT_BYTES_MAX), None, Wishes(), org)
        case _:
            raise UnsupportedMedia(
                "Send JSON with a magnet, a form with the file `torrent`, or the .torrent as application/x-bittorrent."
            )


async def _from_json(asked: SendTorrent, org: OrgId) -> Sent:
    wishes = _judged(Wishes(**{field: getattr(asked, field) for field in Wishes.__struct_fields__}))
    match asked.magnet, asked.torrent, asked.url:
        case UnsetType(), bytes() as data, UnsetType():
            return await _from_file(data, asked.name, wishes, org)
        case str() as magnet, UnsetType(), UnsetType():
            return _from_magnet(magnet, asked.name, wishes)
        case UnsetType(), UnsetType(), str() as url:
            return _from_url(url, asked.name, wishes)
    raise BadInput("Send one of `magnet`, `torrent` and `url`.")


def _wishes_of(form: dict[str, bytes]) -> Wishes:
    said = {field: http.from_json(form[field], kind) for field, kind in IN_FORM.items() if field in form}
    if (word := form.get("priority")) is not None:
        said["priority"] = http.from_json(msgspec.json.encode(word.decode("utf-8", "replace")), Priority)
    return _judged(Wishes(**said))


def _judged(wishes: Wishes) -> Wishes:
    """As far as can be without the torrent, and by the same rules as when a job is changed."""
    speed.check(wishes.down_max, wishes.up_max)
    return replace(wishes, files=tidy(wishes.files))


def _from_magnet(text: str, name: str | None, wishes: Wishes) -> Sent:
    try:
        magnet = parse_magnet(text)
    except wire_errors.BadInput as bad:
        raise BadInput(bad.sentence, code=bad.code) from None
    return Sent(
        source="magnet",
        hashes=magnet.hashes,
        name=_name(name) or magnet.name,
        trackers=[[url] for url in magnet.trackers],
        web_seeds=list(magnet.web_seeds),
        peers=list(magnet.peers),
        size_bytes=magnet.size_bytes,
        torrent=None,
        wishes=wishes,
        digest=_digest(b"magnet", text.encode(), name, wishes),
    )


def _from_url(text: str, name: str | None, wishes: Wishes) -> Sent:
    try:
        url = parse_url(text)
    except wire_errors.BadInput as bad:
        raise BadInput(bad.sentence, code=bad.code) from None
    return Sent(
        source="url",
        hashes=None,
        name=_name(name) or name_of(url),
        trackers=[],
        web_seeds=[],
        peers=[],
        size_bytes=None,
        torrent=None,
        url=url,
        wishes=wishes,
        digest=_digest(b"url", url.encode(), name, wishes),
    )


async def _from_file(data: bytes | None, name: str | None, wishes: Wishes, org: OrgId) -> Sent:
    if not data:
        raise BadInput("There is no .torrent in what was sent.", code="torrent_missing")
    torrent = await reading.torrent(data, org)
    return Sent(
        source="torrent",
        hashes=torrent.info.hashes,
        name=_name(name) or torrent.info.name,
        trackers=[list(tier) for tier in torrent.trackers],
        web_seeds=list(torrent.web_seeds),
        peers=[],
        size_bytes=torrent.info.total_bytes,
        torrent=torrent,
        wishes=wishes,
        digest=_digest(b"torrent", data, name, wishes),
    )


def view(sent: Sent) -> TorrentView:
    info = sent.torrent.info if sent.torrent else None
    return TorrentView(
        name=sent.name,
        v1=sent.hashes.v1_hex if sent.hashes else None,
        v2=sent.hashes.v2_hex if sent.hashes else None,
        size_bytes=sent.size_bytes,
        private=info.is_private if info else None,
        trackers=[clean_text(url) for tier in sent.trackers for url in tier],
        files=[FileEntry(f.index, "/".join(f.path), f.size_bytes) for f in info.content] if info else None,
    )


def _name(given: str | None) -> str | None:
    return tidy_name(given) if given is not None and given.strip() else None


def tidy_name(given: str) -> str:
    if not given.strip() or len(given) > NAME_CHARS_MAX:
        raise BadInput(f"A name has one character at least, and at most {NAME_CHARS_MAX}.", code="bad_name")
    return clean_name(given.strip())


def tidy(files: Sequence[int] | None) -> list[int] | None:
    """In order, each once; before anything is known of the torrent."""
    if files is None:
        return None
    chosen = sorted(set(files))
    if not chosen:
        raise BadInput("Choose at least one file, or say null for all.", code="nothing_chosen")
    if len(chosen) > FILES_MAX or chosen[0] < 0 or chosen[-1] > INDEX_MAX:
        raise BadInput("There is no torrent with such files.", code="no_such_file")
    return chosen


def _digest(kind: bytes, content: bytes, name: str | None, wishes: Wishes) -> bytes:
    parts = (kind, content, b"" if name is None else b"=" + name.encode(), msgspec.json.encode(wishes))
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
