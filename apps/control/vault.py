"""The vault: what must be readable again later and is nobody else's, encrypted at rest (AES-256-GCM, versioned keys).

    version (1 byte) | nonce (12) | ciphertext and tag

The newest key encrypts, every key that is still there decrypts. What it was encrypted for is authenticated with it, so
that a row's secret opens nothing in another row.
"""

import hmac
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
DERIVED = 0
"""The version of the key that hangs on the app's secret: for whoever names no keys."""


class CannotOpen(Exception):
    """Its key is gone, or it was meant for something else."""


class Vault:
    def __init__(self, keys: Mapping[int, bytes], earlier: Iterable[bytes] = ()) -> None:
        """`earlier` are of the version `DERIVED` too, and only decrypt."""
        self._ciphers = {version: [AESGCM(key)] for version, key in keys.items()}
        self._ciphers.setdefault(DERIVED, []).extend(AESGCM(key) for key in earlier)
        self._newest = max(keys)

    def put(self, what: bytes, purpose: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return bytes([self._newest]) + nonce + self._ciphers[self._newest][0].encrypt(nonce, what, purpose.encode())

    def open(self, kept: bytes, purpose: str) -> bytes:
        ciphers = self._ciphers.get(kept[0]) if kept else None
        if not ciphers:
            raise CannotOpen(f"the key of version {kept[:1].hex()} is not here")
        nonce, rest = kept[1 : 1 + NONCE_BYTES], kept[1 + NONCE_BYTES :]
        for cipher in ciphers:
            with suppress(InvalidTag, ValueError):
                return cipher.decrypt(nonce, rest, purpose.encode())
        raise CannotOpen("it was not encrypted for this, or is damaged")


def derived(secret: bytes) -> bytes:
    return hmac.digest(secret, b"seedlift vault", "sha256")


def read_keys(text: str) -> dict[int, bytes]:
    """Lines of `<version 1..255> <64 hexadecimal digits>`; the highest version encrypts."""
    keys: dict[int, bytes] = {}
    for line in text.splitlines():
        version, _, digits = line.strip().partition(" ")
        if not version or version.startswith("#"):
            continue
        key = bytes.fromhex(digits)
        if not 0 < int(version) < 256 or len(key) != KEY_BYTES or int(version) in keys:
            raise ValueError(f"vault key {version}: a version of 1 to 255, once, and {KEY_BYTES} bytes as hexadecimal")
        keys[int(version)] = key
    return keys
