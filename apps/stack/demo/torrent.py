"""A `.torrent` of a folder or a file, and its magnet."""

from pathlib import Path
from typing import Literal
from urllib.parse import quote

import libtorrent as lt

Kind = Literal["v1", "padded", "v2", "hybrid"]
"""Padded: v1, with pad files (BEP 47) so that every file begins with a piece."""
PIECE_BYTES = 256 * 1024
_FLAGS = {
    "v1": lt.create_torrent.v1_only,
    "padded": lt.create_torrent.v1_only | lt.create_torrent.canonical_files,
    "v2": lt.create_torrent.v2_only,
    "hybrid": 0,
}


def create(content: Path, *, trackers: list[str], kind: Kind = "v1", piece_bytes: int = PIECE_BYTES) -> bytes:
    """v1 unless asked: a hybrid pads every small file to a whole piece."""
    files = sorted(
        lt.list_files(str(content), flags=lt.create_torrent.symlinks), key=lambda file: file.filename
    )  # a folder's own order is its disk's affair
    made = lt.create_torrent(files, piece_bytes, _FLAGS[kind] | lt.create_torrent.symlinks)
    for tier, tracker in enumerate(trackers):
        made.add_tracker(tracker, tier)
    made.set_creation_date(0)  # the same content, the same file
    lt.set_piece_hashes(made, str(content.parent))
    return bytes(lt.bencode(made.generate()))


def magnet(torrent: bytes, *, trackers: list[str], peers: list[str]) -> str:
    info = lt.torrent_info(torrent)
    hashes = info.info_hashes()
    topics = []
    if hashes.has_v1():
        topics.append(f"xt=urn:btih:{hashes.v1}")
    if hashes.has_v2():
        topics.append(f"xt=urn:btmh:1220{hashes.v2}")
    parts = [*topics, f"dn={quote(info.name(), safe='')}"]
    parts += [f"tr={quote(tracker, safe='')}" for tracker in trackers]
    parts += [f"x.pe={peer}" for peer in peers]
    return "magnet:?" + "&".join(parts)
