"""Trackers as people may see them: an address without its passkey, and what one said, made safe to show."""

import re
from urllib.parse import urlsplit

WORD_CHARS_MAX = 200
SECRET_CHARS_MIN = 6
"""Of a piece of an address that may be a passkey; shorter ones are words like `announce`, or guessed anyway."""
HIDDEN = "[hidden]"
_PIECES = re.compile(r"[/?&=;.]+")
_PLAIN = frozenset({"announce", "announce.php", "scrape", "passkey"})


def origin(url: str) -> str:
    """All of an address that is surely no secret: private trackers put passkeys into path and query alike."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    host = parts.hostname or HIDDEN
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def word(text: str, url: str) -> str:
    """What a tracker said, on one short line, without what its own address holds secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    own = {*_PIECES.split(parts.path), *_PIECES.split(parts.query), parts.username or "", parts.password or ""}
    for secret in sorted(own - _PLAIN, key=len, reverse=True):
        if len(secret) >= SECRET_CHARS_MIN:
            text = text.replace(secret, HIDDEN)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(text.split())[:WORD_CHARS_MAX]
