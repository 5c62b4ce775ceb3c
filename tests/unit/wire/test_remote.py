"""What an agent says of a file on a web server: kept as it is, or refused; cut into pieces that stay few."""

import pytest

from wire.errors import BadRemote
from wire.remote import PIECES_MAX, Remote, parse_remote
from wire.units import MIB, TIB


def test_it_lists_one_file_with_a_clean_name() -> None:
    listing = Remote(name="../a:b", size_bytes=3 * MIB + 1).listing()
    assert [(file.index, file.path, file.size_bytes, file.offset) for file in listing.content] == [
        (0, (".._a_b",), 3 * MIB + 1, 0)
    ]
    assert (listing.piece_length, listing.piece_count, listing.is_private) == (MIB, 4, False)


@pytest.mark.parametrize("size", [0, 1, MIB, PIECES_MAX * MIB, PIECES_MAX * MIB + 1, 5 * TIB])
def test_its_pieces_stay_few_however_large_it_is(size: int) -> None:
    known = Remote(name="a", size_bytes=size)
    assert known.piece_count <= PIECES_MAX
    assert (known.piece_count - 1) * known.piece_bytes < max(size, 1) <= max(1, known.piece_count * known.piece_bytes)


def test_what_is_kept_is_read_again() -> None:
    known = Remote(name="a", size_bytes=5, etag='W/"1"', modified="then", ranges=True)
    assert parse_remote(known.json()) == known


@pytest.mark.parametrize(
    "raw",
    [b"", b"{}", b'{"name":"","size_bytes":1}', b'{"name":"a","size_bytes":-1}', b'{"name":"a","size_bytes":1e99}',
     b'{"name":"a","size_bytes":1,"more":2}', b'{"name":"' + b"a" * 5_000 + b'"}', b"\xff"],
)  # fmt: skip
def test_what_says_nothing_of_a_file_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRemote):
        parse_remote(raw)
