"""Info-hashes: which a dict has, how they are written, and what proves a claim."""

import hashlib

import pytest

from wire.bencode import Bencoded, decode, encode
from wire.infohash import InfoHashes, hashes_of

V1, V2 = b"\x01" * 20, b"\x02" * 32


def of(raw: bytes) -> InfoHashes | None:
    info = decode(raw)
    assert isinstance(info, dict)
    return hashes_of(raw, info)


def test_version_one_two_and_both() -> None:
    v1: dict[bytes, Bencoded] = {b"pieces": b""}
    v2: dict[bytes, Bencoded] = {b"meta version": 2}
    assert of(encode(v1)) == InfoHashes(v1=hashlib.sha1(encode(v1)).digest())
    assert of(encode(v2)) == InfoHashes(v2=hashlib.sha256(encode(v2)).digest())
    both = of(encode(v1 | v2))
    assert both is not None
    assert both.is_hybrid
    assert of(b"de") is None


def test_the_hash_is_of_the_bytes_as_they_stand() -> None:
    assert of(b"d6:pieces0:1:ai1ee") != of(b"d1:ai1e6:pieces0:e")


def test_hex_there_and_back() -> None:
    hashes = InfoHashes(v1=V1, v2=V2)
    assert InfoHashes.of_hex(hashes.v1_hex, hashes.v2_hex) == hashes


@pytest.mark.parametrize("text", ["", "01", "zz" * 20, "01 " * 20, "01" * 21])
def test_bad_hex_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        InfoHashes.of_hex(text, None)


def test_no_hash_at_all_is_not_a_torrent() -> None:
    with pytest.raises(ValueError, match="at least one"):
        InfoHashes()


def test_a_claim_is_proven_only_by_every_hash_it_makes() -> None:
    computed = InfoHashes(v1=V1, v2=V2)
    assert computed.proves(InfoHashes(v1=V1))
    assert computed.proves(InfoHashes(v2=V2))
    assert computed.proves(computed)
    assert not computed.proves(InfoHashes(v1=V1, v2=bytes(32)))
    assert not InfoHashes(v1=V1).proves(computed)
