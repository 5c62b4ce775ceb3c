"""What a log line must never show: secrets by their key, and passkeys, signatures and passwords inside URLs."""

import re
from collections.abc import Mapping
from functools import lru_cache

from structlog.typing import EventDict, WrappedLogger

HIDDEN = "[hidden]"
SECRET_KEYS = re.compile(r"secret|token|password|passwd|passkey|authorization|cookie|seed$|jwt|api_?key", re.IGNORECASE)

_IN_QUERY = re.compile(
    r"([?&](?:passkey|torrent_pass|authkey|auth|key|pid|uk|secret|token|sig|x-amz-signature|x-amz-credential"
    r"|x-amz-security-token)=)[^&\s\"']+",
    re.IGNORECASE,
)
_IN_PATH = re.compile(r"/[A-Za-z0-9_-]{16,128}(?=/(?:announce|scrape)\b)")
"""Private trackers put the passkey before `announce`."""
_USER_INFO = re.compile(r"(?<=://)[^/\s@\"']+@")
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_SPELLED_OUT = re.compile(r"\b(password|passwd|secret|token)=[^\s&\"',;)]+", re.IGNORECASE)
"""As connection strings and error messages have it."""
_SPACE = re.compile(r"\s")
_DEPTH_MAX = 6
"""Log fields are flat; whatever is nested deeper is not worth walking."""


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: HIDDEN if _is_secret(key, value) else _clean(value, 0) for key, value in event.items()}


def clean_text(text: str) -> str:
    """Most texts have none of what a secret comes with, and are looked at no further: each log line has several."""
    if "=" in text:
        text = _IN_QUERY.sub(rf"\1{HIDDEN}", text)
        text = _SPELLED_OUT.sub(rf"\1={HIDDEN}", text)
    if "/announce" in text or "/scrape" in text:
        text = _IN_PATH.sub(f"/{HIDDEN}", text)
    if "://" in text:
        text = _USER_INFO.sub(f"{HIDDEN}@", text)
    return _BEARER.sub(rf"\1 {HIDDEN}", text) if _SPACE.search(text) else text


def _is_secret(key: object, value: object) -> bool:
    """A number or a truth is no secret: `tokens_left=3` may be seen."""
    return isinstance(key, str) and not isinstance(value, bool | int | float | None) and _names_a_secret(key)


@lru_cache(maxsize=1024)
def _names_a_secret(key: str) -> bool:
    return SECRET_KEYS.search(key) is not None


def _clean(value: object, depth: int) -> object:
    match value:
        case str():
            return clean_text(value)
        case Mapping() if depth < _DEPTH_MAX:
            return {k: HIDDEN if _is_secret(k, v) else _clean(v, depth + 1) for k, v in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _DEPTH_MAX:
            return [_clean(v, depth + 1) for v in value]
        case bytes():
            return f"{len(value)} bytes"
        case _:
            return value
