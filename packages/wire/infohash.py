"""Info-hashes, what a torrent is known by: the SHA-1 (v1) or SHA-256 (v2) of its info dict as it stands, or both."""

import hashlib
from collections.abc import Mapping
from typing import Self

from msgspec import Struct

from wire.bencode import Bencoded

V1_BYTES = 20
V2_BYTES = 32


class InfoHashes(Struct, frozen=True):
    v1: bytes | None = None
    v2: bytes | None = None

    def __post_init__(self) -> None:
        if self.v1 is None and self.v2 is None:
            raise ValueError("a torrent has at least one info-hash")
        if self.v1 is not None and len(self.v1) != V1_BYTES:
            raise ValueError("a v1 info-hash has 20 bytes")
        if self.v2 is not None and len(self.v2) != V2_BYTES:
            raise ValueError("a v2 info-hash has 32 bytes")

    @property
    def v1_hex(self) -> str | None:
        return self.v1.hex() if self.v1 is not None else None

    @property
    def v2_hex(self) -> str | None:
        return self.v2.hex() if self.v2 is not None else None

    @property
    def known(self) -> tuple[bytes, ...]:
        return tuple(each for each in (self.v1, self.v2) if each is not None)

    @property
    def is_hybrid(self) -> bool:
        return self.v1 is not None and self.v2 is not None

    @classmethod
    def of_hex(cls, v1: str | None, v2: str | None) -> Self:
        """ValueError if either is not hex of the right length."""
        return cls(v1=_unhex(v1), v2=_unhex(v2))

    def proves(self, claimed: "InfoHashes") -> bool:
        """These were computed from an info dict; `claimed` stood in a magnet. Is it the torrent that was asked for?"""
        return claimed.v1 in (None, self.v1) and claimed.v2 in (None, self.v2)


def hashes_of(raw_info: bytes, info: Mapping[bytes, Bencoded]) -> InfoHashes | None:
    """Of an info dict as it stands, and the same decoded. None: it is neither v1 nor v2."""
    v1 = hashlib.sha1(raw_info, usedforsecurity=False).digest() if b"pieces" in info else None
    v2 = hashlib.sha256(raw_info).digest() if info.get(b"meta version") == 2 else None
    return InfoHashes(v1=v1, v2=v2) if v1 or v2 else None


def _unhex(text: str | None) -> bytes | None:
    if text is None:
        return None
    if not text.isalnum():  # bytes.fromhex skips spaces
        raise ValueError("not hex")
    return bytes.fromhex(text)
