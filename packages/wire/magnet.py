"""Magnet links: what one says, within bounds. Its hashes are claims until an info dict proves them.

magnet:?xt=urn:btih:<40 hex or 32 base32>&xt=urn:btmh:1220<64 hex>&dn=…&tr=…&ws=…&x.pe=host:port&so=0,2,4-6&xl=…
"""

import base64
import binascii
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote, unquote_to_bytes

from msgspec import Struct

from wire.errors import BadMagnet
from wire.infohash import InfoHashes
from wire.names import clean_name

CHARS_MAX = 65_536
"""Room for every tracker that the limits below allow; a link that a person pastes has a few hundred."""
FIELDS_MAX = 1_000
TRACKERS_MAX = 200
WEB_SEEDS_MAX = 100
PEERS_MAX = 200
URL_CHARS_MAX = 2_048
RANGES_MAX = 1_000
FILE_INDEX_MAX = 2**31 - 1
SIZE_MAX = 2**63 - 1

_NUMBERED = re.compile(r"(xt|tr|ws|dn)\.\d+")
_RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?", re.ASCII)
_PEER = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s:\[\]/@\\]+):\d{1,5}", re.ASCII)
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Magnet(Struct, frozen=True, kw_only=True):
    hashes: InfoHashes
    name: str | None = None
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    selected: tuple[tuple[int, int], ...] | None = None
    """Files to fetch, as ranges with both ends (BEP 53): sorted, apart from each other. None: the link does not say."""
    size_bytes: int | None = None

    def uri(self) -> str:
        fields = []
        if self.hashes.v1 is not None:
            fields.append(f"xt=urn:btih:{self.hashes.v1_hex}")
        if self.hashes.v2 is not None:
            fields.append(f"xt=urn:btmh:1220{self.hashes.v2_hex}")
        if self.name is not None:
            fields.append(f"dn={quote(self.name, safe='')}")
        if self.size_bytes is not None:
            fields.append(f"xl={self.size_bytes}")
        fields += [f"tr={quote(url, safe='')}" for url in self.trackers]
        fields += [f"ws={quote(url, safe='')}" for url in self.web_seeds]
        fields += [f"x.pe={quote(peer, safe='[]:')}" for peer in self.peers]
        if self.selected is not None:
            ranges = (str(first) if first == last else f"{first}-{last}" for first, last in self.selected)
            fields.append(f"so={','.join(ranges)}")
        return "magnet:?" + "&".join(fields)


def parse_magnet(text: str) -> Magnet:
    text = text.strip()
    if len(text) > CHARS_MAX:
        raise BadMagnet(
            "magnet_too_long", f"A magnet link has at most {CHARS_MAX:,} characters; this one has {len(text):,}."
        )
    if text[:8].lower() != "magnet:?":
        raise BadMagnet("magnet_malformed", "A magnet link begins with “magnet:?”.")
    said = _fields(text[8:])
    return Magnet(
        hashes=_hashes(said.get("xt", [])),
        name=_name(said.get("dn", [])),
        trackers=_urls(said.get("tr", []), TRACKERS_MAX, "magnet_too_many_trackers", "trackers"),
        web_seeds=_urls(said.get("ws", []), WEB_SEEDS_MAX, "magnet_too_many_web_seeds", "web seeds"),
        peers=_peers(said.get("x.pe", [])),
        selected=_selected(said.get("so", [])),
        size_bytes=_size(said.get("xl", [])),
    )


def hashes_in(text: str) -> InfoHashes:
    """An info-hash as people write one: in hexadecimal or base32, with or without its urn, or in a magnet."""
    text = text.strip()
    if text[:8].lower() == "magnet:?":
        return parse_magnet(text).hashes
    if text[:4].lower() == "urn:":
        return _hashes([text])
    if len(text) == 64:
        return InfoHashes(v2=_btmh("1220" + text))
    return InfoHashes(v2=_btmh(text)) if len(text) == 68 else InfoHashes(v1=_btih(text))


def _fields(query: str) -> dict[str, list[str]]:
    """Values still percent-encoded, by name; `tr.1` is `tr`. `&amp;` comes from links copied out of HTML."""
    said: dict[str, list[str]] = {}
    parts = query.replace("&amp;", "&").split("&")
    if len(parts) > FIELDS_MAX:
        raise BadMagnet(
            "magnet_too_long", f"A magnet link has at most {FIELDS_MAX:,} fields; this one has {len(parts):,}."
        )
    for part in parts:
        name, _, value = part.partition("=")
        name = name.lower()
        if numbered := _NUMBERED.fullmatch(name):
            name = numbered[1]
        if value:
            said.setdefault(name, []).append(value)
    return said


def _hashes(topics: list[str]) -> InfoHashes:
    v1: set[bytes] = set()
    v2: set[bytes] = set()
    for topic in topics:
        kind, _, value = unquote(topic).strip().rpartition(":")
        if kind.lower() == "urn:btih":
            v1.add(_btih(value))
        elif kind.lower() == "urn:btmh":
            v2.add(_btmh(value))
    if len(v1) > 1 or len(v2) > 1:
        raise BadMagnet("magnet_conflicting_hashes", "This magnet link names two different torrents.")
    if not v1 and not v2:
        raise BadMagnet("magnet_no_hash", "This magnet link has no BitTorrent info-hash (xt=urn:btih:… or urn:btmh:…).")
    return InfoHashes(v1=next(iter(v1), None), v2=next(iter(v2), None))


def _btih(text: str) -> bytes:
    try:
        if len(text) == 40:
            return _not_zero(binascii.unhexlify(text))
        if len(text) == 32:
            return _not_zero(base64.b32decode(text, casefold=True))
    except ValueError:
        pass
    raise BadMagnet("magnet_bad_hash", "A urn:btih: hash is 40 hexadecimal digits or 32 of base32.")


def _btmh(text: str) -> bytes:
    try:
        if len(text) == 68 and text.startswith("1220"):
            return _not_zero(binascii.unhexlify(text[4:]))
    except ValueError:
        pass
    raise BadMagnet("magnet_bad_hash", "A urn:btmh: hash is 1220 followed by 64 hexadecimal digits.")


def _not_zero(digest: bytes) -> bytes:
    """Engines take all zeros for no hash at all."""
    if not any(digest):
        raise ValueError
    return digest


def _name(values: list[str]) -> str | None:
    return clean_name(unquote_to_bytes(values[0].replace("+", " "))) if values else None


def _urls(values: list[str], count_max: int, code: str, what: str) -> tuple[str, ...]:
    urls = [url for url in map(unquote, values) if not _UNPRINTABLE.search(url) and len(url) <= URL_CHARS_MAX]
    return _few(urls, count_max, code, what)


def _peers(values: list[str]) -> tuple[str, ...]:
    peers = [peer for peer in map(unquote, values) if _PEER.fullmatch(peer) and not _UNPRINTABLE.search(peer)]
    return _few(peers, PEERS_MAX, "magnet_too_many_peers", "peers")


def _few(values: Iterable[str], count_max: int, code: str, what: str) -> tuple[str, ...]:
    kept = tuple(dict.fromkeys(values))
    if len(kept) > count_max:
        raise BadMagnet(code, f"A magnet link names at most {count_max} {what}; this one names {len(kept)}.")
    return kept


def _selected(values: list[str]) -> tuple[tuple[int, int], ...] | None:
    if not values:
        return None
    texts = [text for text in unquote(",".join(values)).split(",") if text.strip()]
    if len(texts) > RANGES_MAX:
        raise BadMagnet("magnet_bad_selection", f"so= names at most {RANGES_MAX:,} ranges of files.")
    merged: list[tuple[int, int]] = []
    for first, last in sorted(map(_range, texts)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged) or None


def _range(text: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(text.strip())
    if found:
        first, last = int(found[1]), int(found[2] or found[1])
        if first <= last <= FILE_INDEX_MAX:
            return first, last
    raise BadMagnet("magnet_bad_selection", "so= is a list of file numbers and ranges, as in 0,2,4-6.")


def _size(values: list[str]) -> int | None:
    """A hint; one that is no number is no hint."""
    text = values[0] if values else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= SIZE_MAX else None
