"""Torrents: what is read out of one, and what is refused by which code."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.bencode import decode, encode
from wire.errors import BadTorrent
from wire.filelist import FILES_MAX, FileKind
from wire.merkle import root_of
from wire.metainfo import TRACKERS_MAX, parse_info, parse_torrent
from wire.units import KIB, MIB

Dict = dict[bytes, Any]
PIECE = 16 * KIB
ROOT = b"r" * 32


def one(size: int = 5, **more: Any) -> Dict:
    """A v1 info with a single file."""
    pieces = b"x" * 20 * min(-(-max(size, 0) // PIECE), 1000)
    return {b"name": b"n", b"piece length": PIECE, b"length": size, b"pieces": pieces} | keys(more)


def many(*files: Any, **more: Any) -> Dict:
    total = sum(size for file in files if isinstance(file, dict) and isinstance(size := file.get(b"length"), int))
    pieces = b"x" * 20 * min(-(-total // PIECE), 1000)
    info: Dict = {b"name": b"n", b"piece length": PIECE, b"files": list(files), b"pieces": pieces}
    return info | keys(more)


def tree(**files: Any) -> Dict:
    """A v2 info."""
    return {b"name": b"n", b"piece length": PIECE, b"meta version": 2, b"file tree": keys(files)}


def leaf(size: int, **more: Any) -> Dict:
    file: Dict = {b"length": size} | ({b"pieces root": ROOT} if size else {})
    return {b"": file | keys(more)}


def file(size: int, *path: str, **more: Any) -> Dict:
    return {b"length": size, b"path": [part.encode() for part in path]} | keys(more)


def keys(more: dict[str, Any]) -> Dict:
    return {name.replace("_", " ").encode(): value for name, value in more.items()}


def refusal(info: Any, **around: Any) -> str:
    with pytest.raises(BadTorrent) as bad:
        parse_torrent(encode({b"info": info} | keys(around)))
    assert str(bad.value).endswith(".")
    return bad.value.code


def test_a_single_file() -> None:
    info = one(3 * PIECE + 1, private=1)
    parsed = parse_info(encode(info))
    assert parsed.hashes.v1 == hashlib.sha1(encode(info)).digest()
    assert (parsed.name, parsed.piece_length, parsed.piece_count, parsed.total_bytes) == ("n", PIECE, 4, 3 * PIECE + 1)
    assert [(f.index, f.path, f.size_bytes, f.offset) for f in parsed.files] == [(0, ("n",), 3 * PIECE + 1, 0)]
    assert parsed.is_private


def test_many_files_with_pads_symlinks_and_attributes() -> None:
    parsed = parse_info(
        encode(
            many(
                file(1, "a", "é.txt", attr=b"x"),
                file(PIECE - 1, ".pad", "16383", attr=b"p"),
                file(9, "link", attr=b"l", symlink_path=[b"a", b"b"]) | {b"length": 0},
                file(2, "a", "É.TXT", attr=b"h"),
                file(7, "_____padding_file_0"),
            )
        )
    )
    assert [(f.path, f.size_bytes, f.offset, f.kind) for f in parsed.files] == [
        (("a", "é.txt"), 1, 0, FileKind.FILE),
        ((".pad", "16383"), PIECE - 1, 1, FileKind.PAD),
        (("link",), 0, PIECE, FileKind.SYMLINK),
        (("a", "É (2).TXT"), 2, PIECE, FileKind.FILE),
        ((".pad", "7"), 7, PIECE + 2, FileKind.PAD),
    ]
    assert parsed.total_bytes == 3
    assert [f.index for f in parsed.content] == [0, 3]
    assert parsed.files[0].executable
    assert parsed.files[3].hidden


def test_version_two_counts_the_gaps_between_its_files() -> None:
    info = tree(a={b"b": leaf(1), b"c": leaf(0)}, d=leaf(PIECE), e=leaf(PIECE + 1))
    parsed = parse_info(encode(info))
    assert parsed.hashes.v1 is None
    assert parsed.hashes.v2 == hashlib.sha256(encode(info)).digest()
    assert [(f.path[-1], f.size_bytes) for f in parsed.files] == [
        ("b", 1),
        (str(PIECE - 1), PIECE - 1),
        ("c", 0),
        ("d", PIECE),
        ("e", PIECE + 1),
        (str(PIECE - 1), PIECE - 1),
    ]
    assert (parsed.piece_count, parsed.total_bytes) == (4, 2 * PIECE + 2)


def test_a_hybrid_says_everything_twice_and_must_agree() -> None:
    v2 = tree(a=leaf(1), b=leaf(2))
    pad = file(PIECE - 1, attr=b"p") | {b"path": [b".pad", b"1"]}
    tail = file(PIECE - 2, attr=b"p") | {b"path": [b".pad", b"2"]}
    both = parse_info(encode(v2 | many(file(1, "a"), pad, file(2, "b"), tail)))
    assert both.hashes.is_hybrid
    assert [f.kind.value for f in both.files] == ["file", "pad", "file", "pad"]
    older = parse_info(encode(v2 | many(file(1, "a"), pad, file(2, "b"))))
    assert [f.kind.value for f in older.files] == ["file", "pad", "file"]
    assert refusal(v2 | many(file(1, "a"), file(2, "b"))) == "torrent_inconsistent"
    assert refusal(v2 | many(file(1, "a"), pad, file(2, "c"))) == "torrent_inconsistent"
    assert refusal(v2 | many(file(1, "a"), pad, file(3, "b"))) == "torrent_inconsistent"
    assert refusal(v2 | many(file(2, "b"), pad, file(1, "a"))) == "torrent_inconsistent"


def test_what_stands_around_the_info() -> None:
    around: Dict = {
        b"announce": b"http://only.example/if-no-list",
        b"announce-list": [
            [b"udp://a.example:1", b"udp://b.example:2"],
            [],
            [b"udp://a.example:1", 5, b"http://c.example/\0"],
            7,
        ],
        b"url-list": b"http://w.example/",
        b"httpseeds": [b"http://h.example/", b"http://h.example/"],
        b"comment": b"by\0 hand \xff",
        b"creation date": 1_700_000_000,
    }
    torrent = parse_torrent(encode({b"info": one()} | around))
    assert torrent.trackers == (("udp://a.example:1", "udp://b.example:2"),)
    assert torrent.web_seeds == ("http://w.example/",)
    assert torrent.http_seeds == ("http://h.example/",)
    assert torrent.comment == "by hand \ufffd"
    assert torrent.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert torrent.raw_info == encode(one())
    assert torrent.info == parse_info(torrent.raw_info)


def test_nonsense_around_the_info_is_left_out() -> None:
    nonsense: Dict = {b"announce": 5, b"announce-list": b"x", b"url-list": {}, b"comment": [], b"creation date": 2**62}
    torrent = parse_torrent(encode({b"info": one()} | nonsense))
    assert (torrent.trackers, torrent.web_seeds, torrent.comment, torrent.created_at) == ((), (), None, None)


def test_trackers_beyond_the_limit_are_left_out() -> None:
    tiers: Any = [[b"udp://%d.example" % n for n in range(150)], [b"udp://%d.test" % n for n in range(150)]]
    trackers = parse_torrent(encode({b"info": one(), b"announce-list": tiers})).trackers
    assert [len(tier) for tier in trackers] == [150, TRACKERS_MAX - 150]


def test_the_info_is_hashed_as_it_stands() -> None:
    raw = b"d6:pieces20:" + b"x" * 20 + b"4:name1:n12:piece lengthi16384e6:lengthi5ee"
    torrent = parse_torrent(b"d4:info" + raw + b"8:announce1:xe")
    assert torrent.raw_info == raw
    assert torrent.info.hashes.v1 == hashlib.sha1(raw).digest()
    assert raw != encode(decode(raw))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "torrent_malformed"),
        (b"<html>", "torrent_malformed"),
        (b"le", "torrent_malformed"),
        (b"de", "torrent_malformed"),
        (b"d4:infoi1ee", "torrent_malformed"),
        (encode({b"info": one()})[:-1], "torrent_malformed"),
        (encode({b"info": one()}) + b"e", "torrent_malformed"),
        (b"d4:infode4:infodee", "torrent_duplicate_key"),
        (b"d4:info" + b"l" * 100, "torrent_too_deep"),
        (b"0" * (33 * MIB), "torrent_too_large"),
        (b"d4:infol" + b"0:" * MIB + b"ee", "torrent_too_large"),
    ],
)
def test_bytes_that_are_no_torrent(data: bytes, code: str) -> None:
    with pytest.raises(BadTorrent) as bad:
        parse_torrent(data)
    assert bad.value.code == code


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({}, "torrent_malformed"),
        (one() | {b"pieces": 5}, "torrent_bad_pieces"),
        (one() | {b"pieces": b"x" * 19}, "torrent_bad_pieces"),
        (one() | {b"pieces": b"x" * 40}, "torrent_bad_pieces"),
        ({k: v for k, v in one().items() if k != b"pieces"}, "torrent_malformed"),
        ({k: v for k, v in one().items() if k != b"name"}, "torrent_bad_name"),
        (one(name=5), "torrent_bad_name"),
        (one(name=b".."), "torrent_bad_name"),
        (one(name=b""), "torrent_bad_name"),
        (one(piece_length=0), "torrent_bad_piece_length"),
        (one(piece_length=-1), "torrent_bad_piece_length"),
        (one(piece_length=b"x"), "torrent_bad_piece_length"),
        (one(piece_length=2**29), "torrent_bad_piece_length"),
        (one(-1), "torrent_bad_size"),
        (one(length=b"5"), "torrent_bad_size"),
        (one(length=2**62), "torrent_bad_size"),
        (one(length=2**44), "torrent_bad_size"),
        (one(0), "torrent_empty"),
        (many(), "torrent_empty"),
        (many(file(0, "a")), "torrent_empty"),
        (many(file(9, "a", attr=b"p")), "torrent_empty"),
        (many(file(1, "a"), 5), "torrent_malformed"),
        (many(file(1, "a")) | {b"files": b"a"}, "torrent_malformed"),
        (many({b"length": 1}), "torrent_bad_name"),
        (many({b"length": 1, b"path": b"a"}), "torrent_bad_name"),
        (many({b"length": 1, b"path": []}), "torrent_bad_name"),
        (many({b"length": 1, b"path": [1]}), "torrent_bad_name"),
        (many({b"path": [b"a"]}), "torrent_bad_size"),
        (many(file(-1, "a"), file(2, "b")), "torrent_bad_size"),
        (many(file(1, *"a" * 70)), "torrent_too_deep"),
        (many(file(1, "a", attr=b"pl")), "torrent_malformed"),
        (many(*[file(2**43, str(n)) for n in range(32)], pieces=b""), "torrent_bad_size"),
        (one(meta_version=3), "torrent_unknown_version"),
        (one(meta_version=2), "torrent_malformed"),
        (tree(a=leaf(1)) | {b"meta version": 1}, "torrent_malformed"),
        (tree(a=leaf(1)) | {b"pieces": b""}, "torrent_malformed"),
        (tree(a=leaf(1)) | {b"piece length": 8 * KIB}, "torrent_bad_piece_length"),
        (tree(a=leaf(1)) | {b"piece length": 3 * PIECE}, "torrent_bad_piece_length"),
        (tree(), "torrent_empty"),
        (tree(a={}), "torrent_empty"),
        (tree(a=5), "torrent_malformed"),
        (tree(a={b"": 5}), "torrent_malformed"),
        (tree(a=leaf(1) | {b"b": leaf(1)}), "torrent_malformed"),
        (tree(a=leaf(1, attr=b"p")), "torrent_malformed"),
        (tree(a=leaf(1, pieces_root=b"short")), "torrent_bad_pieces"),
        (tree(a=leaf(1, pieces_root=bytes(32))), "torrent_bad_pieces"),
        (tree(a=leaf(-1)), "torrent_bad_size"),
        (tree(a=leaf(2**43)), "torrent_too_many_pieces"),
    ],
)
def test_each_refusal_has_its_code(info: Dict, code: str) -> None:
    assert refusal(info) == code


def test_the_number_of_files_has_a_limit() -> None:
    raw = encode(many(file(1, "a"), pieces=b"x" * 20 * 7))
    a_file = encode(file(1, "a"))
    with pytest.raises(BadTorrent, match="100,001 files") as bad:
        parse_info(raw.replace(a_file, a_file * (FILES_MAX + 1)))
    assert bad.value.code == "torrent_too_many_files"


def test_version_two_wants_sorted_keys() -> None:
    unsorted = b"d4:name1:n" + encode(tree(a=leaf(1)))[1:].replace(b"4:name1:n", b"")
    with pytest.raises(BadTorrent, match="sorted"):
        parse_info(unsorted)


def test_a_piece_layer_is_that_of_its_file() -> None:
    layer = b"h" * 32 * 3
    root = root_of(layer, PIECE)
    info = tree(a=leaf(3 * PIECE, pieces_root=root), b=leaf(PIECE))
    right: Any = {root: layer}
    known = parse_torrent(encode({b"info": info, b"piece layers": right}))
    assert (known.info.piece_count, known.layers) == (4, encode(right))
    assert refusal(info, piece_layers={root: b"h" * 32 * 2}) == "torrent_bad_pieces"
    assert refusal(info, piece_layers={root: b"g" + layer[1:]}) == "torrent_bad_pieces"
    assert refusal(info, piece_layers={root: 5}) == "torrent_bad_pieces"
    assert refusal(info, piece_layers=5) == "torrent_malformed"


def test_piece_layers_are_known_where_all_are_there() -> None:
    info = tree(a=leaf(3 * PIECE))
    nothing: Any = {}
    for torrent in ({b"info": info}, {b"info": info, b"piece layers": nothing}):
        assert parse_torrent(encode(torrent)).layers is None
    assert parse_torrent(encode({b"info": one(), b"piece layers": nothing})).layers is None


@pytest.mark.parametrize("piece_length", [16 * KIB, 64 * KIB])
@pytest.mark.parametrize("leaves", [5, 8, 9, 31])
def test_a_root_is_that_of_the_whole_tree(piece_length: int, leaves: int) -> None:
    hashes = [bytes([number]) * 32 for number in range(leaves)]
    per_piece = piece_length // (16 * KIB)
    pieces = [hashes[at : at + per_piece] for at in range(0, leaves, per_piece)]
    layer = b"".join(tree_root(piece + [bytes(32)] * (per_piece - len(piece))) for piece in pieces)
    whole = 1 << (leaves - 1).bit_length()
    assert root_of(layer, piece_length) == tree_root(hashes + [bytes(32)] * (whole - leaves))


def tree_root(hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    half = len(hashes) // 2
    return hashlib.sha256(tree_root(hashes[:half]) + tree_root(hashes[half:])).digest()


scraps = st.recursive(
    st.integers(-3, 2**40) | st.binary(max_size=6) | st.sampled_from([b"x" * 20, ROOT, b"p", b"l"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([b"", b"a", b"length", b"path", b"attr", b"pieces root", b"symlink path"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
known_keys = st.sampled_from(
    [b"name", b"name.utf-8", b"piece length", b"pieces", b"length", b"files", b"file tree", b"meta version", b"attr"]
)


@given(st.dictionaries(known_keys, scraps, max_size=4), st.sampled_from([one(), many(file(5, "a")), tree(a=leaf(5))]))
@settings(max_examples=300, deadline=None)
def test_any_info_is_read_or_refused(scrap: Dict, base: Dict) -> None:
    try:
        parsed = parse_info(encode(base | scrap))
    except BadTorrent:
        return
    assert parsed.total_bytes == sum(f.size_bytes for f in parsed.content) > 0
    assert [f.index for f in parsed.files] == list(range(len(parsed.files)))


@given(st.binary(max_size=100), st.integers(0, 200), st.integers(0, 200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(noise: bytes, at: int, cut: int) -> None:
    whole = encode({b"info": one(), b"announce": b"udp://a.example:1"})
    for data in (noise, whole[:at] + noise + whole[at + cut :]):
        try:
            parse_torrent(data)
        except BadTorrent as bad:
            assert bad.code.startswith("torrent_")  # noqa: PT017 - it may also be read
