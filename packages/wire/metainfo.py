"""A `.torrent` and its info dict, of v1, v2 or both: parsed, judged and numbered.

The list of files is ours and its numbers are libtorrent's: pad files count, those that v2 only implies included, so
that an index means the same everywhere. Paths are clean and unique (`wire.names`), and sizes add up.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from msgspec import Struct

from wire.bencode import Bencoded, decode, decode_with_spans
from wire.errors import BadBencode, BadTorrent
from wire.filelist import Dict, Entry, FileKind, listed, piece_length_of, raw_name_of, refuse, says_something
from wire.infohash import V2_BYTES, InfoHashes, hashes_of
from wire.merkle import root_of
from wire.names import clean_name, clean_path, unique_paths

PIECES_MAX = 2_097_152
"""libtorrent's own limit."""
TRACKERS_MAX = 200
WEB_SEEDS_MAX = 100
URL_BYTES_MAX = 2_048
COMMENT_CHARS_MAX = 2_000
"""Of these four the rest is left out, not refused: none of it is content."""

LAYERS = b"piece layers"

_CODES = {
    "too_large": "torrent_too_large",
    "too_many": "torrent_too_large",
    "too_deep": "torrent_too_deep",
    "duplicate_key": "torrent_duplicate_key",
    "malformed": "torrent_malformed",
}


class File(Struct, frozen=True):
    index: int
    path: tuple[str, ...]
    """Clean, and unique but for pads; without the torrent's own name, unless it is the only file."""
    size_bytes: int
    offset: int
    """Where it begins in the torrent's one long row of bytes, pads counted."""
    kind: FileKind = FileKind.FILE
    executable: bool = False
    hidden: bool = False


class Listing(Struct, frozen=True, kw_only=True):
    """What is known of content, whatever it is known by: its files, in one long row of bytes that is cut in pieces."""

    name: str
    piece_length: int
    piece_count: int
    files: tuple[File, ...]
    """All of them, in libtorrent's order."""
    total_bytes: int
    """Content alone, without pads."""
    is_private: bool = False

    @property
    def content(self) -> Iterator[File]:
        """The files that can be wanted."""
        return (file for file in self.files if file.kind is FileKind.FILE)


class Info(Listing, frozen=True, kw_only=True):
    """Of an info dict."""

    hashes: InfoHashes


class Torrent(Struct, frozen=True):
    info: Info
    raw_info: bytes
    """The info dict as it stands: what was hashed."""
    layers: bytes | None
    """Its `piece layers` as they stand, if they are all there: nobody has to be asked for hashes of version 2."""
    trackers: tuple[tuple[str, ...], ...]
    """Tiers; as the torrent says, addresses not judged."""
    web_seeds: tuple[str, ...]
    """BEP 19, `url-list`."""
    http_seeds: tuple[str, ...]
    """BEP 17, `httpseeds`: another protocol, which few still speak."""
    comment: str | None
    created_at: datetime | None


def parse_torrent(data: bytes) -> Torrent:
    try:
        torrent, spans = decode_with_spans(data)
    except BadBencode as bad:
        raise BadTorrent(_CODES[bad.code], f"This is not a torrent: {bad}.") from None
    info = torrent.get(b"info")
    if not isinstance(info, dict):
        refuse("torrent_malformed", "it has no info dictionary")
    raw_info = data[slice(*spans[b"info"])]
    entries = listed(info)
    whole = _judge_layers(torrent.get(LAYERS), entries, info)
    return Torrent(
        info=_info(raw_info, info, entries),
        raw_info=raw_info,
        layers=data[slice(*spans[LAYERS])] if whole else None,
        trackers=_trackers(torrent),
        web_seeds=_urls(torrent.get(b"url-list"))[:WEB_SEEDS_MAX],
        http_seeds=_urls(torrent.get(b"httpseeds"))[:WEB_SEEDS_MAX],
        comment=_comment(torrent),
        created_at=_created_at(torrent.get(b"creation date")),
    )


def parse_info(raw_info: bytes) -> Info:
    """An info dict alone, as peers give it; BadTorrent as for a whole one."""
    try:
        info = decode(raw_info)
    except BadBencode as bad:
        raise BadTorrent(_CODES[bad.code], f"This is not a torrent's info: {bad}.") from None
    if not isinstance(info, dict):
        refuse("torrent_malformed", "its info is not a dictionary")
    return _info(raw_info, info, listed(info))


def _info(raw_info: bytes, info: Dict, entries: list[Entry]) -> Info:
    hashes = hashes_of(raw_info, info)
    assert hashes is not None  # listed found it to be v1 or v2
    raw_name = raw_name_of(info)
    private = info.get(b"private")
    files = _numbered(entries)
    return Info(
        hashes=hashes,
        name=clean_name(raw_name) if says_something(raw_name) else str(hashes.v1_hex or hashes.v2_hex),
        piece_length=piece_length_of(info),
        piece_count=_piece_count(info, entries),
        files=files,
        total_bytes=sum(file.size_bytes for file in files if file.kind is FileKind.FILE),
        is_private=isinstance(private, int) and private != 0,
    )


def _piece_count(info: Dict, entries: list[Entry]) -> int:
    count = -(-sum(entry.size_bytes for entry in entries) // piece_length_of(info))
    if count > PIECES_MAX:
        refuse("torrent_too_many_pieces", f"it has {count:,} pieces, and {PIECES_MAX:,} are allowed")
    if b"pieces" in info:
        pieces = info[b"pieces"]
        if not isinstance(pieces, bytes) or len(pieces) != 20 * count:
            refuse("torrent_bad_pieces", f"its sizes make {count:,} pieces, and it does not have as many hashes")
    return count


def _numbered(entries: list[Entry]) -> tuple[File, ...]:
    paths = iter(unique_paths(clean_path(entry.parts) for entry in entries if entry.kind is not FileKind.PAD))
    files = []
    offset = 0
    for index, entry in enumerate(entries):
        files.append(
            File(
                index=index,
                path=(".pad", str(entry.size_bytes)) if entry.kind is FileKind.PAD else next(paths),
                size_bytes=entry.size_bytes,
                offset=offset,
                kind=entry.kind,
                executable=b"x" in entry.attr,
                hidden=b"h" in entry.attr,
            )
        )
        offset += entry.size_bytes
    return tuple(files)


def _judge_layers(layers: Bencoded | None, entries: list[Entry], info: Dict) -> bool:
    """Hashes of a v2 file's pieces. They may be missing, since peers have them too, but not be wrong. Whether they are
    all there."""
    if layers is None:
        return False
    if not isinstance(layers, dict):
        refuse("torrent_malformed", "its piece layers are not a dictionary")
    piece_length = piece_length_of(info)
    needed = {e.root: e.size_bytes for e in entries if e.root is not None and e.size_bytes > piece_length}
    for root, size_bytes in needed.items():
        if (layer := layers.get(root)) is None:
            continue
        if not isinstance(layer, bytes) or len(layer) != V2_BYTES * -(-size_bytes // piece_length):
            refuse("torrent_bad_pieces", "a piece layer does not have the length of its file")
        if root_of(layer, piece_length) != root:
            refuse("torrent_bad_pieces", "a piece layer is not that of its file")
    return bool(needed) and needed.keys() <= layers.keys()


def _trackers(torrent: Dict) -> tuple[tuple[str, ...], ...]:
    tiers = torrent.get(b"announce-list")
    known: set[str] = set()
    kept = []
    for tier in tiers if isinstance(tiers, list) else ():
        urls = [url for url in _urls(tier) if url not in known][: TRACKERS_MAX - len(known)]
        known.update(urls)
        if urls:
            kept.append(tuple(urls))
    return tuple(kept) or tuple((url,) for url in _urls(torrent.get(b"announce"))[:1])


def _urls(value: Bencoded | None) -> tuple[str, ...]:
    urls = []
    for raw in value if isinstance(value, list) else [value]:
        if isinstance(raw, bytes) and 0 < len(raw) <= URL_BYTES_MAX:
            url = raw.decode("utf-8", "replace").strip()
            if url.isprintable() and " " not in url and "\ufffd" not in url:
                urls.append(url)
    return tuple(dict.fromkeys(urls))


def _comment(torrent: Dict) -> str | None:
    for key in (b"comment.utf-8", b"comment"):
        if isinstance(raw := torrent.get(key), bytes):
            text = raw[: 4 * COMMENT_CHARS_MAX].decode("utf-8", "replace")[:COMMENT_CHARS_MAX]
            return "".join(c for c in text if c.isprintable() or c == "\n").strip() or None
    return None


def _created_at(value: Bencoded | None) -> datetime | None:
    if not isinstance(value, int) or not 0 < value < 2**33:
        return None
    return datetime.fromtimestamp(value, UTC)
