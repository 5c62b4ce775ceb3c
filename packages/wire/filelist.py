"""The files an info dict lists, as they stand, in libtorrent's order: v1's list, v2's tree, or both where they agree.

libtorrent numbers pad files like all others, and in v2 inserts those that a tree only implies. A hybrid has the list of
its tree. What libtorrent would refuse later is refused here.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Never, TypeAlias

from msgspec import Struct

from wire.bencode import Bencoded
from wire.errors import BadTorrent
from wire.infohash import V2_BYTES
from wire.units import KIB, MIB

Dict: TypeAlias = dict[bytes, Bencoded]

FILES_MAX = 100_000
"""Without pads; each becomes a row, an object and a journal entry."""
PIECE_BYTES_MAX = 256 * MIB
"""A piece is verified whole; libtorrent refuses 512 MiB."""
BLOCK_BYTES = 16 * KIB
FILE_BYTES_MAX = 2**44 - BLOCK_BYTES - 1
"""libtorrent counts a file's blocks in 30 bits."""
TOTAL_BYTES_MAX = 2**48 - 1
"""libtorrent's own limit for all files together, pads included."""
DEPTH_MAX = 60
"""Folders in a path: as many as a v2 tree may have before bencode is nested too deep."""

_UNSAID = dict.fromkeys(map(ord, "/\\\u200e\u200f\u202a\u202b\u202c\u202d\u202e"))
"""What libtorrent drops from names."""
_PAD_PREFIX = b"_____padding_file_"
"""BitComet's pads, from before there was an attribute for them."""


class FileKind(StrEnum):
    FILE = "file"
    PAD = "pad"
    """Zeros that make the next file begin with a piece; never stored."""
    SYMLINK = "symlink"
    """Has no bytes; never stored."""


class Entry(Struct):
    """A file as it stands in the torrent."""

    parts: tuple[bytes, ...]
    size_bytes: int
    kind: FileKind
    attr: bytes = b""
    root: bytes | None = None


def listed(info: Dict) -> list[Entry]:
    two = is_v2(info)
    v1 = _list(info) if b"files" in info else _only(info) if b"length" in info else None
    if v1 is None and not two:
        refuse("torrent_malformed", "it lists no files")
    if (v1 is None) != (b"pieces" not in info):
        refuse("torrent_malformed", "it has pieces without a list of files, or the other way round")
    entries = _padded(_tree(info.get(b"file tree")), piece_length_of(info)) if two else []
    if v1 is not None:
        entries = _agreed(entries, v1) if two else v1
    count = sum(entry.kind is not FileKind.PAD for entry in entries)
    if count > FILES_MAX:
        refuse("torrent_too_many_files", f"it has {count:,} files, and {FILES_MAX:,} are allowed")
    if sum(entry.size_bytes for entry in entries) > TOTAL_BYTES_MAX:
        refuse("torrent_bad_size", "its files are larger together than any torrent can be")
    if not any(entry.size_bytes for entry in entries if entry.kind is FileKind.FILE):
        refuse("torrent_empty", "there is nothing in it")
    return entries


def _only(info: Dict) -> list[Entry]:
    name = raw_name_of(info)
    if not says_something(name):
        refuse("torrent_bad_name", "its only file has no name")
    return [_entry((name,), info)]


def _list(info: Dict) -> list[Entry]:
    files = info[b"files"]
    if not isinstance(files, list):
        refuse("torrent_malformed", "its files are not a list")
    if _PAD_PREFIX in raw_name_of(info):
        refuse("torrent_empty", "its name makes all that is in it padding")
    return [_entry(_path(file), file) for file in map(_dict, files)]


def _dict(file: Bencoded) -> Dict:
    if not isinstance(file, dict):
        refuse("torrent_malformed", "one of its files is not a dictionary")
    return file


def _path(file: Dict) -> tuple[bytes, ...]:
    path = file.get(b"path.utf-8")
    if not isinstance(path, list):
        path = file.get(b"path")
    if not path and b"p" in _attr(file):
        return ()
    if not isinstance(path, list) or not path:
        refuse("torrent_bad_name", "one of its files has no path")
    if len(path) > DEPTH_MAX + 1:
        refuse("torrent_too_deep", f"one of its files lies more than {DEPTH_MAX} folders deep")
    parts = tuple(part for part in path if isinstance(part, bytes))
    if len(parts) != len(path):
        refuse("torrent_bad_name", "a part of a path is not a string")
    return parts


def _attr(file: Dict) -> bytes:
    attr = file.get(b"attr")
    return attr if isinstance(attr, bytes) else b""


def _entry(parts: tuple[bytes, ...], file: Dict) -> Entry:
    attr = _attr(file)
    is_pad = b"p" in attr or any(_PAD_PREFIX in part for part in parts)
    if b"l" in attr:
        if is_pad:
            refuse("torrent_malformed", "one of its files is a pad and a symlink")
        kind = FileKind.SYMLINK if _points_somewhere(file.get(b"symlink path")) else FileKind.FILE
        return Entry(parts=parts, size_bytes=0, kind=kind, attr=attr)
    return Entry(parts=parts, size_bytes=_size(file), kind=FileKind.PAD if is_pad else FileKind.FILE, attr=attr)


def _points_somewhere(target: Bencoded | None) -> bool:
    """To libtorrent a symlink that does not is an empty file."""
    if not isinstance(target, list):
        return False
    parts = [part for part in target if isinstance(part, bytes)]
    if len(parts) != len(target):
        refuse("torrent_bad_name", "a part of a symlink's path is not a string")
    return any(not part or says_something(part) for part in parts)


def _size(file: Dict) -> int:
    size = file.get(b"length")
    if not isinstance(size, int) or not 0 <= size <= FILE_BYTES_MAX:
        refuse("torrent_bad_size", "a file's length is missing, negative or more than any file can have")
    return size


def _tree(tree: Bencoded | None) -> list[Entry]:
    """The leaves of a v2 file tree, in the order in which they stand."""
    if not isinstance(tree, dict):
        refuse("torrent_malformed", "it is of version 2 and has no file tree")
    entries: list[Entry] = []
    left: list[tuple[tuple[bytes, ...], Dict]] = [((), tree)]
    while left:
        parts, box = left.pop()
        if len(parts) > DEPTH_MAX + 1:
            refuse("torrent_too_deep", f"one of its files lies more than {DEPTH_MAX} folders deep")
        if parts and b"" in box:
            entries.append(_leaf(parts, box))
            continue
        for name, inside in reversed(box.items()):
            if not name or not isinstance(inside, dict):
                refuse("torrent_malformed", "its file tree holds what is neither a file nor a folder")
            left.append(((*parts, name), inside))
    return entries


def _leaf(parts: tuple[bytes, ...], box: Dict) -> Entry:
    file = box[b""]
    if len(box) != 1 or not isinstance(file, dict):
        refuse("torrent_malformed", "its file tree holds what is neither a file nor a folder")
    if b"p" in _attr(file):
        refuse("torrent_malformed", "version 2 knows no pad files")
    entry = _entry(parts, file)
    entry.kind = FileKind.FILE if entry.kind is FileKind.PAD else entry.kind
    if entry.size_bytes:
        root = file.get(b"pieces root")
        if not isinstance(root, bytes) or len(root) != V2_BYTES or not any(root):
            refuse("torrent_bad_pieces", "one of its files has no root hash")
        entry.root = root
    return entry


def _padded(entries: list[Entry], piece_length: int) -> list[Entry]:
    """In v2 every file begins with a piece; libtorrent counts the gaps, the last one too, as files."""
    padded = []
    for entry in entries:
        padded.append(entry)
        if gap := -entry.size_bytes % piece_length:
            padded.append(Entry(parts=(), size_bytes=gap, kind=FileKind.PAD))
    return padded


def _agreed(v2: list[Entry], v1: list[Entry]) -> list[Entry]:
    """A hybrid says everything twice: v2's list, if v1's has the same content at the same indexes and offsets."""
    if len(v2) == len(v1) + 1:
        v2 = _without_last_pad(v2)
    if len(v1) != len(v2) or list(_marks(v1)) != list(_marks(v2)):
        refuse("torrent_inconsistent", "its two lists of files, for version 1 and version 2, do not agree")
    return v2


def _without_last_pad(entries: list[Entry]) -> list[Entry]:
    """Hybrids of older libtorrents have none."""
    for at in reversed(range(len(entries))):
        if entries[at].kind is FileKind.PAD:
            return entries[:at] + entries[at + 1 :]
        if entries[at].size_bytes:
            break
    return entries


def _marks(entries: list[Entry]) -> Iterator[object]:
    offset = 0
    for entry in entries:
        if entry.kind is FileKind.SYMLINK or (entry.kind is FileKind.FILE and entry.size_bytes):
            yield entry.parts, entry.size_bytes, entry.kind, offset
        else:
            yield None
        offset += entry.size_bytes
    yield offset


def is_v2(info: Dict) -> bool:
    version = info.get(b"meta version")
    if isinstance(version, int) and not 0 <= version <= 2:
        refuse("torrent_unknown_version", f"its meta version is {version}")
    if version != 2 and b"file tree" in info:
        refuse("torrent_malformed", "it has a file tree and is not of version 2")
    if version == 2 and not _is_sorted(info):
        refuse("torrent_malformed", "version 2 wants the keys of its info sorted")
    return version == 2


def _is_sorted(value: Bencoded) -> bool:
    """libtorrent reads unsorted keys in v1 only."""
    left = [value]
    while left:
        match left.pop():
            case dict() as box:
                keys = list(box)
                if any(a > b for a, b in pairwise(keys)):
                    return False
                left.extend(box.values())
            case list() as items:
                left.extend(items)
    return True


def piece_length_of(info: Dict) -> int:
    length = info.get(b"piece length")
    if not isinstance(length, int) or not 0 < length <= PIECE_BYTES_MAX:
        refuse("torrent_bad_piece_length", f"a piece length is from 1 byte to {PIECE_BYTES_MAX // MIB} MiB")
    if info.get(b"meta version") == 2 and (length < BLOCK_BYTES or length & (length - 1)):
        refuse("torrent_bad_piece_length", "in version 2 a piece length is a power of two, 16 KiB at least")
    return length


def raw_name_of(info: Dict) -> bytes:
    for key in (b"name.utf-8", b"name"):
        if isinstance(name := info.get(key), bytes):
            return name
    return refuse("torrent_bad_name", "it has no name")


def says_something(name: bytes) -> bool:
    return name.decode("utf-8", "replace").translate(_UNSAID) not in ("", ".", "..")


def refuse(code: str, reason: str) -> Never:
    raise BadTorrent(code, f"This torrent cannot be used: {reason}.")
