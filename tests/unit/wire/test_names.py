"""Names: whatever a torrent calls its files, what is shown and saved is safe, readable and unique."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.names import clean_name, clean_path, unique_paths

hostile_text = st.text(st.characters(exclude_categories=[]), max_size=300) | st.text(
    st.sampled_from("a.B \u202eé\u0301/\\:*\0\ud800"), max_size=12
)
hostile = hostile_text | st.binary(max_size=300)


@given(hostile)
@settings(max_examples=300, deadline=None)
def test_any_name_becomes_a_safe_one(raw: str | bytes) -> None:
    name = clean_name(raw)
    assert name not in ("", ".", "..")
    assert len(name.encode()) <= 255
    assert not name.endswith((" ", "."))
    assert not set(name) & set('/\\<>:"|?*')
    assert not any(
        unicodedata.category(c) in ("Cc", "Cs") or unicodedata.bidirectional(c) in ("RLO", "RLE") for c in name
    )
    assert unicodedata.is_normalized("NFC", name)
    assert clean_name(name) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Readme.txt", "Readme.txt"),
        (".hidden", ".hidden"),
        ("..", "_"),
        (".", "_"),
        ("   ", "_"),
        ("a/b\\c", "a_b_c"),
        ("C:\\autoexec.bat", "C__autoexec.bat"),
        ("a\0b\nc", "a_b_c"),
        ("CON", "_CON"),
        ("aux.txt", "_aux.txt"),
        ("com1 .tar.gz", "_com1 .tar.gz"),
        ("lpt².x", "_lpt².x"),
        ("console.txt", "console.txt"),
        ("name. . ", "name"),
        ("exe.\u202etxt.exe", "exe.txt.exe"),
        ("cafe\u0301", "café"),
        (b"caf\xc3\xa9", "café"),
        (b"caf\xe9", "caf\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        ("\ud800x", "_x"),
        ("日本語 – résumé.srt", "日本語 – résumé.srt"),
        ("👩\u200d👩\u200d👧.png", "👩\u200d👩\u200d👧.png"),
        ("x" * 300 + ".mkv", "x" * 251 + ".mkv"),
        ("é" * 200 + ".mkv", "é" * 125 + ".mkv"),
        ("x" * 300, "x" * 255),
        ("a." + "y" * 300, "a." + "y" * 253),
        ("CON" + " " * 300 + "x", "_CON"),
    ],
)
def test_known_mischief(raw: str | bytes, name: str) -> None:
    assert clean_name(raw) == name


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ([b"a", b"b.txt"], ("a", "b.txt")),
        ([b"", b"etc", b"passwd"], ("etc", "passwd")),
        ([b"..", b"..", b"etc"], ("_", "_", "etc")),
        ([b".", b"a"], ("a",)),
        ([], ("_",)),
        ([b"", b"."], ("_",)),
    ],
)
def test_a_path_stays_below_where_it_begins(parts: list[bytes], path: tuple[str, ...]) -> None:
    assert clean_path(parts) == path


NAMES = st.sampled_from(["a", "A", "b.txt", "B.TXT", "a (2)", "b (2).txt", "ß", "SS", "x" * 255])
paths = st.lists(st.lists(NAMES, min_size=1, max_size=3).map(clean_path), max_size=12)


@given(paths)
@settings(max_examples=200, deadline=None)
def test_no_two_paths_are_the_same_where_case_does_not_count(given_paths: list[tuple[str, ...]]) -> None:
    unique = unique_paths(given_paths)
    folded = ["/".join(path).casefold() for path in unique]
    assert len(unique) == len(given_paths)
    assert len(set(folded)) == len(folded)
    folders = {"/".join(path[:depth]).casefold() for path in unique for depth in range(1, len(path))}
    assert not folders & set(folded)
    for before, after in zip(given_paths, unique, strict=True):
        assert after[:-1] == before[:-1]
        assert clean_path(after) == after
    assert unique_paths(unique) == unique


def test_the_first_keeps_its_name_and_a_number_goes_before_the_extension() -> None:
    assert unique_paths([("a.txt",), ("A.txt",), ("a (2).txt",), ("a.txt",), ("d", "x"), ("D",)]) == [
        ("a.txt",),
        ("A (3).txt",),
        ("a (2).txt",),
        ("a (4).txt",),
        ("d", "x"),
        ("D (2)",),
    ]


def test_twenty_thousand_files_of_one_name_are_told_apart() -> None:
    unique = unique_paths([("x" * 255,)] * 20_000)
    assert len(set(unique)) == 20_000
    assert max(len(path[0]) for path in unique) <= 255
