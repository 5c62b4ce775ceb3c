"""Merkle trees of version 2 (BEP 52), as far as a `.torrent` has them: hashes of a file's pieces, and their root."""

from hashlib import sha256

from wire.infohash import V2_BYTES
from wire.units import KIB

LEAF_BYTES = 16 * KIB


def root_of(layer: bytes, piece_length: int) -> bytes:
    """Of the hashes of a file's pieces. What is missing to a whole tree counts as leaves of zeros."""
    hashes = [layer[at : at + V2_BYTES] for at in range(0, len(layer), V2_BYTES)]
    pad = bytes(V2_BYTES)
    for _ in range((piece_length // LEAF_BYTES).bit_length() - 1):
        pad = sha256(pad + pad).digest()
    while len(hashes) > 1:
        if len(hashes) % 2:
            hashes.append(pad)
        hashes = [sha256(left + right).digest() for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
        pad = sha256(pad + pad).digest()
    return hashes[0]
