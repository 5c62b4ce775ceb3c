"""ARCHITECTURE.md's map and the files' first lines say the same."""

from tests.support import archmap


def test_every_file_opens_with_the_sentence_that_says_what_it_is() -> None:
    assert archmap.files_without_a_first_line() == []


def test_the_map_in_the_architecture_page_is_the_files_first_lines() -> None:
    assert archmap.written() == archmap.render().strip("\n"), "run: python -m tests.support.archmap"
