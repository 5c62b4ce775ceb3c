"""What a signed link tells the browser: to save, under which name; and never to run what a stranger made."""

import unicodedata
from urllib.parse import quote

from wire.names import clean_name

OCTETS = "application/octet-stream"
INERT = {
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mka": "audio/x-matroska",
    "mp3": "audio/mpeg",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    "wma": "audio/x-ms-wma",
    "avi": "video/x-msvideo",
    "flv": "video/x-flv",
    "m2ts": "video/mp2t",
    "m4v": "video/mp4",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "ogv": "video/ogg",
    "ts": "video/mp2t",
    "webm": "video/webm",
    "wmv": "video/x-ms-wmv",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "log": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",
    "nfo": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
}
"""Kinds that no browser runs. SVG, HTML, XML and PDF can carry scripts and are not here."""

_ATTR_CHARS = "!#$&+-.^_`|~"
"""What RFC 5987 lets stand beside letters and digits."""


def content_type(name: str) -> str:
    return INERT.get(name.rpartition(".")[2].lower(), OCTETS) if "." in name else OCTETS


def is_media(name: str) -> bool:
    """Sound or moving pictures, by its name."""
    return content_type(name).startswith(("audio/", "video/"))


def content_disposition(name: str) -> str:
    """Always `attachment`; the true name as RFC 6266 says, and an ASCII one for who does not know it."""
    true = clean_name(name)
    plain = "".join(c if _is_plain(c) else "_" for c in unicodedata.normalize("NFKD", true) if c.isascii())
    stem, dot, suffix = plain.rpartition(".")
    if not (stem if dot else plain).strip("_ "):  # nothing of the name itself is left
        plain = f"download{dot}{suffix}"
    if plain == true:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(true, safe=_ATTR_CHARS)}"


def _is_plain(char: str) -> bool:
    return char.isalnum() or char in " .-_()[]+,=@!~&'"
