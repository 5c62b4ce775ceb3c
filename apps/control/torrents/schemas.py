"""What the API takes and gives about torrents: one that somebody shows it, and the blocklist."""

import datetime as dt

from msgspec import Struct


class FileEntry(Struct, frozen=True):
    index: int
    path: str
    size_bytes: int


class TorrentView(Struct, frozen=True):
    """What a magnet or a `.torrent` says of itself; nothing else was asked."""

    name: str | None
    v1: str | None
    v2: str | None
    size_bytes: int | None
    private: bool | None
    trackers: list[str]
    """Passkeys hidden."""
    files: list[FileEntry] | None
    """Null for a magnet: it does not say."""


class AddBlocks(Struct, frozen=True, forbid_unknown_fields=True):
    hashes: list[str]
    """Of v1 (40 hexadecimal digits, or 32 of base32), of v2 (64), or magnets."""
    reason: str


class RemoveBlocks(Struct, frozen=True, forbid_unknown_fields=True):
    hashes: list[str]
    reason: str
    """Why not any more; for the log."""


class Blocked(Struct, frozen=True):
    added: int
    known: int
    """Were on the list already, and keep their reason."""


class Unblocked(Struct, frozen=True):
    removed: int


class BlockView(Struct, frozen=True):
    hash: str
    reason: str
    blocked_by: str
    created_at: dt.datetime


class Blocklist(Struct, frozen=True):
    items: list[BlockView]
    next_cursor: str | None
