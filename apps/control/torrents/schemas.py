"""What the API gives about a torrent that somebody shows it."""

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
