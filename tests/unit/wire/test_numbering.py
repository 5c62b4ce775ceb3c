"""The numbers of files are libtorrent's: what wire accepts libtorrent accepts too, with the same list.

The whole pipeline hangs on it: the control plane says "file 3", the agent asks its engine for file 3.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.bencode import encode
from wire.errors import BadTorrent
from wire.filelist import FileKind
from wire.metainfo import parse_torrent
from wire.units import KIB

Dict = dict[bytes, Any]
PIECE = 16 * KIB


def check_same(data: bytes) -> None:
    ours = parse_torrent(data).info
    theirs = lt.load_torrent_buffer(data).ti
    assert theirs is not None
    files = theirs.layout()
    assert [(f.size_bytes, f.offset, f.kind is FileKind.PAD, f.kind is FileKind.SYMLINK) for f in ours.files] == [
        (
            files.file_size(i),
            files.file_offset(i),
            bool(files.file_flags(i) & lt.file_storage.flag_pad_file),
            bool(files.file_flags(i) & lt.file_storage.flag_symlink),
        )
        for i in range(files.num_files())
    ]
    assert ours.piece_count == theirs.num_pieces()
    assert ours.piece_length == theirs.piece_length()
    assert ours.is_private is theirs.priv()
    hashes = theirs.info_hashes()
    assert ours.hashes.v1 == (hashes.v1.to_bytes() if hashes.has_v1() else None)
    assert ours.hashes.v2 == (hashes.v2.to_bytes() if hashes.has_v2() else None)


FILES = {
    "top/b": 20_000,
    "top/a.txt": PIECE,
    "top/sub/z": 1,
    "top/sub/y": 0,
    "top/Z": 40_000,
    "top/subx": 5,
    "top/é": 7,
}


@pytest.mark.parametrize(
    "flags",
    [
        lt.create_torrent.v1_only,
        lt.create_torrent.v1_only | lt.create_torrent.canonical_files,
        lt.create_torrent.v1_only | lt.create_torrent.canonical_files_no_tail_padding,
        lt.create_torrent.v2_only,
        0,
        lt.create_torrent.canonical_files_no_tail_padding,
    ],
    ids=["v1", "v1-padded", "v1-no-tail", "v2", "hybrid", "hybrid-no-tail"],
)
@pytest.mark.parametrize("names", [list(FILES), ["top/b"], ["single"]], ids=["many", "folder-of-one", "single"])
def test_torrents_that_libtorrent_makes(tmp_path: Path, flags: int, names: list[str]) -> None:
    sizes = {name: FILES.get(name, 50_000) for name in names}
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"q" * size)
    made = lt.create_torrent([lt.create_file_entry(name, size) for name, size in sizes.items()], PIECE, flags)
    lt.set_piece_hashes(made, str(tmp_path))
    check_same(lt.bencode(made.generate()))


names = st.sampled_from(["a", "b", "a.b", "sub", "Sub", "é", "z", "_____padding_file_1", ".", ".."])
sizes = st.sampled_from([0, 1, 5, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE]) | st.integers(0, 5 * PIECE)
attributes = st.sampled_from([b"", b"", b"", b"x", b"h", b"p", b"l", b"lx"])


@st.composite
def entries(draw: st.DrawFn) -> Dict:
    attr = draw(attributes)
    entry: Dict = {
        b"length": draw(sizes),
        b"path": [part.encode() for part in draw(st.lists(names, min_size=1, max_size=3))],
    }
    if attr:
        entry[b"attr"] = attr
    if b"l" in attr and draw(st.booleans()):
        entry[b"symlink path"] = [part.encode() for part in draw(st.lists(names | st.just(""), max_size=2))]
    return entry


@given(st.lists(entries(), min_size=1, max_size=8), st.sampled_from([PIECE, 3, 1000, 1 << 20]))
@settings(max_examples=80, deadline=None)
def test_lists_of_version_one(files: list[Dict], piece_length: int) -> None:
    total = total_of([f for f in files if f.get(b"attr") not in (b"l", b"lx")])
    pieces = bytes(20 * -(-total // piece_length))
    info: Dict = {b"name": b"n", b"piece length": piece_length, b"pieces": pieces, b"files": list(files)}
    same_or_refused(info)


def leaf(size: int, attr: bytes = b"") -> Dict:
    file: Dict = {b"length": size}
    return {b"": file | ({b"pieces root": b"r" * 32} if size else {}) | ({b"attr": attr} if attr else {})}


folders = st.recursive(
    st.builds(leaf, sizes, attributes.filter(lambda attr: b"p" not in attr)),
    lambda inner: st.dictionaries(names.map(str.encode), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(names.map(str.encode), folders, min_size=1, max_size=4), st.sampled_from([PIECE, 4 * PIECE]))
@settings(max_examples=80, deadline=None)
def test_trees_of_version_two(tree: Dict, piece_length: int) -> None:
    same_or_refused({b"name": b"n", b"piece length": piece_length, b"meta version": 2, b"file tree": tree})


@given(
    st.dictionaries(st.sampled_from([b"a", b"b", b"c.txt", b"d"]), sizes, min_size=1),
    st.sampled_from(["padded", "no tail", "not padded", "another size"]),
)
@settings(max_examples=80, deadline=None)
def test_hybrids(content: dict[bytes, int], manner: str) -> None:
    content = dict(sorted(content.items()))
    files: list[Dict] = []
    for name, size in content.items():
        files.append({b"length": size + (manner == "another size"), b"path": [name]})
        if manner != "not padded" and size % PIECE:
            files.append({b"length": -size % PIECE, b"path": [b".pad", b"x"], b"attr": b"p"})
    while manner == "no tail" and b"attr" in files[-1]:
        files.pop()
    tree = {name: leaf(size) for name, size in content.items()}
    same_or_refused(
        {b"name": b"n", b"piece length": PIECE, b"meta version": 2, b"file tree": tree, b"files": files}
        | {b"pieces": bytes(20 * -(-total_of(files) // PIECE))},
        expected=manner in ("padded", "no tail") and any(content.values()),
    )


def same_or_refused(info: Dict, *, expected: bool = False) -> None:
    data = encode({b"info": info})
    try:
        parse_torrent(data)
    except BadTorrent:
        assert not expected
    else:
        check_same(data)


def total_of(files: Sequence[Dict]) -> int:
    return sum(f[b"length"] for f in files)
