"""Addresses of files on web servers, as people paste them: checked, and written in the one way that all of us read.

A secret may stand in one (a signed link), so like a tracker's it belongs to its job, and only its origin is shown.
"""

import re
from urllib.parse import quote, unquote, urlsplit

from wire.errors import BadUrl
from wire.names import clean_name

CHARS_MAX = 4_096
"""Signed ones have some 2,000."""

_SHAPE = re.compile(r"(https?)://([^/?#@\\\s]+)(/[^?#]*)?(\?[^#]*)?(#.*)?", re.IGNORECASE)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
_PLAIN = "!$&'()*+,;=:@/?%~-._[]"
"""Neither quoted nor changed; whatever else is there is quoted."""


def parse_url(text: str) -> str:
    """Raises BadUrl."""
    text = text.strip()
    if len(text) > CHARS_MAX:
        raise BadUrl("url_too_long", f"A link has at most {CHARS_MAX:,} characters; this one has {len(text):,}.")
    found = _SHAPE.fullmatch(text)
    if found is None or not _HOST.fullmatch(found[2]) or any(ord(letter) < 32 for letter in text):
        raise BadUrl("url_malformed", "A link begins with http:// or https:// and a host, and has no password in it.")
    rest = quote((found[3] or "/") + (found[4] or ""), safe=_PLAIN)
    url = f"{found[1].lower()}://{found[2].lower()}{rest}"
    if len(url) > CHARS_MAX:
        raise BadUrl("url_too_long", f"A link has at most {CHARS_MAX:,} characters once it is quoted.")
    return url


def name_of(url: str) -> str:
    """As a file would be called that is saved from there."""
    parts = urlsplit(url)
    last = unquote(parts.path.rstrip("/").rpartition("/")[2], errors="replace")
    return clean_name(last or parts.hostname or "file")
