"""Names out of torrents, made safe to show, to zip and to save. What a human could have made is cleaned, not refused.

Names exist only as data (on disk and in the store a file is its number), so nothing can escape through them here.
This is for who downloads: no component means anything to Windows, macOS or Linux, none hides its direction, no two
files of a torrent have the same path even where case does not count.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

NAME_BYTES_MAX = 255
"""What ext4, NTFS and APFS take."""
SUFFIX_BYTES_MAX = 20
"""A longer one is not an extension, and is cut with the rest."""
NUMBER_BYTES = 12
"""Room kept for ` (123456)`."""

_CLEAN = re.compile(r"[A-Za-z0-9_\-+()\[\]{},;=@#$!&'~ .]+")
_UNWRITABLE = re.compile(r'[\x00-\x1f\x7f-\x9f/\\<>:"|?*\ud800-\udfff]')
_INVISIBLE = re.compile("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""Marks that change the direction of what follows, or that nobody sees. The joiners of emoji and scripts are kept."""
_RESERVED = frozenset({"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"}) | {
    f"{port}{n}" for port in ("COM", "LPT") for n in "0123456789¹²³"
}


def clean_name(raw: bytes | str) -> str:
    """One component: never empty, `.` or `..`, at most 255 bytes, NFC; cleaning it again changes nothing."""
    name = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if not _CLEAN.fullmatch(name):
        name = unicodedata.normalize("NFC", _INVISIBLE.sub("", _UNWRITABLE.sub("_", name)))
    name = name.rstrip(" .")
    if not name:
        return "_"
    name = _fit(name, NAME_BYTES_MAX)
    if name.partition(".")[0].rstrip(" ").upper() in _RESERVED:
        name = _fit("_" + name, NAME_BYTES_MAX)
    return name


def clean_path(parts: Sequence[bytes | str]) -> tuple[str, ...]:
    """All components of a path; those that say nothing (empty, `.`) are dropped, `..` becomes `_`."""
    kept = tuple(clean_name(part) for part in parts if part not in (b"", b".", "", "."))
    return kept or ("_",)


def unique_paths(paths: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The same clean paths in the same order; of those that differ in case at most, all but the first get a number.

    A file that has the name of another's folder gets one too. Linear, whatever the names are.
    """
    wanted = list(paths)
    folders: dict[tuple[int, str], int] = {}
    inside = []
    for path in wanted:
        at = 0
        for part in path[:-1]:
            at = folders.setdefault((at, _fold(part)), len(folders) + 1)
        inside.append(at)
    taken = set(folders)
    again = []
    for i, (at, path) in enumerate(zip(inside, wanted, strict=True)):
        place = (at, _fold(path[-1]))
        if place in taken:
            again.append(i)
        taken.add(place)
    numbers: dict[tuple[int, str], int] = {}
    for i in again:
        stem, suffix = _split(_fit(wanted[i][-1], NAME_BYTES_MAX - NUMBER_BYTES))
        series = (inside[i], _fold(stem + suffix))
        while True:
            number = numbers[series] = numbers.get(series, 1) + 1
            name = f"{stem} ({number}){suffix}"
            if (inside[i], _fold(name)) not in taken:
                break
        taken.add((inside[i], _fold(name)))
        wanted[i] = (*wanted[i][:-1], name)
    return wanted


def _fit(name: str, bytes_max: int) -> str:
    """Cut at a character, keeping the extension."""
    if len(name) * 4 <= bytes_max or len(name.encode()) <= bytes_max:
        return name
    stem, suffix = _split(name)
    room = bytes_max - len(suffix.encode())
    return (stem.encode()[:room].decode("utf-8", "ignore") + suffix).rstrip(" .")


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) >= SUFFIX_BYTES_MAX:
        return name, ""
    return stem, dot + suffix


def _fold(name: str) -> str:
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())
