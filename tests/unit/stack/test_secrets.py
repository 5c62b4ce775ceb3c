"""Secrets: made once, whole, private."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stack import secrets
from stack.errors import CannotStart

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_they_are_made_once(tmp_path: Path) -> None:
    first = secrets.opened(tmp_path / "secrets", "127.0.0.1", NOW)
    second = secrets.opened(tmp_path / "secrets", "127.0.0.1", NOW + timedelta(days=1))
    assert (first.kept, first.nats) == (second.kept, second.nats)
    assert first.app_file.read_bytes() == second.app_file.read_bytes()


def test_only_their_owner_may_read_them(tmp_path: Path) -> None:
    folder = secrets.opened(tmp_path / "secrets", "127.0.0.1", NOW).dir
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir() if path.stat().st_mode & 0o077} == {}


def test_a_power_cut_while_they_were_made_leaves_nothing_that_is_believed(tmp_path: Path) -> None:
    half = tmp_path / "secrets.new"
    half.mkdir()
    (half / "kept.json").write_text("{")
    found = secrets.opened(tmp_path / "secrets", "127.0.0.1", NOW)
    assert found.admin_password()
    assert not half.exists()


def test_damaged_ones_are_refused_and_not_made_anew(tmp_path: Path) -> None:
    folder = secrets.opened(tmp_path / "secrets", "127.0.0.1", NOW).dir
    (folder / "kept.json").write_text("{")
    with pytest.raises(CannotStart, match="bring them back from a backup"):
        secrets.opened(folder, "127.0.0.1", NOW)
    assert (folder / "kept.json").read_text() == "{"


def test_the_operators_key_has_the_form_of_an_api_key() -> None:
    assert re.fullmatch(r"slk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", secrets.new_operator_key())
