"""What a link says of a file: always to be saved, with its true name, and only inert kinds are named."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.links import OCTETS, content_disposition, content_type, is_media
from wire.names import clean_name

SHAPE = re.compile(r"attachment; filename=\"([^\"\\%]+)\"(?:; filename\*=UTF-8''([A-Za-z0-9!#$&+\-.^_`|~%]+))?")


@given(st.text(st.characters(exclude_categories=[]), max_size=80))
@settings(max_examples=250, deadline=None)
def test_no_name_breaks_out_of_the_header(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    found = SHAPE.fullmatch(header)
    assert found, header
    assert unquote(found[2] or found[1]) == clean_name(name)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ("README", 'attachment; filename="README"'),
        ("naïve.mkv", "attachment; filename=\"naive.mkv\"; filename*=UTF-8''na%C3%AFve.mkv"),
        ("日本.srt", "attachment; filename=\"download.srt\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.srt"),
        ('x"\r\nSet-Cookie: a=b', 'attachment; filename="x___Set-Cookie_ a=b"'),
        ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt"),
    ],
)
def test_the_header_word_by_word(name: str, header: str) -> None:
    assert content_disposition(name) == header


@pytest.mark.parametrize(
    "name", ["x.svg", "x.html", "x.HTM", "x.xhtml", "x.xml", "x.pdf", "x.js", "x.png.html", "png", "", "x."]
)
def test_whatever_a_browser_could_run_is_octets(name: str) -> None:
    assert content_type(name) == OCTETS


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.PNG", "image/png"),
        ("a.html.mp4", "video/mp4"),
        ("x.srt", "text/plain; charset=utf-8"),
        (".wav", "audio/wav"),
    ],
)
def test_inert_kinds_are_named(name: str, kind: str) -> None:
    assert content_type(name) == kind


def test_sound_and_pictures_are_known_by_their_names() -> None:
    assert [is_media(name) for name in ("a.MKV", "b.flac", "c.srt", "d.jpg", "mp4", "e.mp4.part")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
