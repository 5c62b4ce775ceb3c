"""The data folder: one stack at a time, half-made ones go on, unusable ones are refused with what to do."""

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from stack import data
from stack.accounts import for_postgres
from stack.errors import CannotStart

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
Usage = namedtuple("Usage", "total used free")


def test_a_new_folder_is_made_and_marked(tmp_path: Path) -> None:
    with data.opened(tmp_path / "a" / "data") as found:
        assert found.marker.exists()


def test_a_second_instance_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with (
        data.opened(tmp_path),
        pytest.raises(CannotStart, match=rf"another instance \(process {os.getpid()}\)"),
        data.opened(tmp_path),
    ):
        pass
    with data.opened(tmp_path):
        pass


def test_a_folder_with_other_files_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(CannotStart, match=r"holiday\.jpg"), data.opened(tmp_path):
        pass


def test_a_folder_where_only_the_lock_was_made_goes_on(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / ".stack.json.new").touch()
    with data.opened(tmp_path) as found:
        assert found.marker.exists()


def test_data_without_its_secrets_is_refused(tmp_path: Path) -> None:
    with data.opened(tmp_path) as found:
        (found.postgres / "data").mkdir(parents=True)
    with pytest.raises(CannotStart, match="secrets is gone"), data.opened(tmp_path):
        pass


def test_a_newer_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"layout": 99}')
    with pytest.raises(CannotStart, match="newer Seedlift"), data.opened(tmp_path):
        pass


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10 << 40, 10 << 40, 300 << 20))
    with pytest.raises(CannotStart, match="only 300 MiB are free"), data.opened(tmp_path):
        pass


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(CannotStart, match="cannot be made a data folder"), data.opened(tmp_path / "data"):
        pass


@as_root
def test_root_does_not_take_over_somebodys_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(CannotStart, match="belongs to another account"), data.opened(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


@as_root
def test_where_the_project_is_private_its_data_is_kept_outside_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "OUTSIDE", tmp_path / "outside")
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    account = for_postgres(private / "data")
    assert data.lead_out(private / "data", account) is not None
    with data.opened(private / "data") as first:
        assert first.dir.parent == tmp_path / "outside"
    assert data.lead_out(private / "data", account) is None
    with data.opened(private / "data") as again:
        assert again.dir == first.dir
    assert private.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(first.dir)
    assert data.lead_out(private / "data", account) is not None
    with data.opened(private / "data") as anew:
        assert anew.dir != first.dir


def test_an_ordinary_users_private_folder_is_used_as_it_is(tmp_path: Path) -> None:
    assert data.lead_out(tmp_path / "data", None) is None
    assert not (tmp_path / "data").is_symlink()


OPEN = "import sys; from pathlib import Path; from stack import data; data.opened(Path(sys.argv[1])).__enter__()"


@as_root
@pytest.mark.parametrize(
    ("closed", "opened", "says"),
    [
        ("parent", "parent/data", "may not enter"),
        ("data", "data", "may not use"),
    ],
)
def test_a_folder_that_is_closed_to_us_is_refused(tmp_path: Path, closed: str, opened: str, says: str) -> None:
    """As somebody who may enter nothing of ours: everything is imported before the account changes."""
    (tmp_path / opened).mkdir(parents=True)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    (tmp_path / closed).chmod(0o700)
    script = f"import os; from stack import data; os.setgid(65534); os.setuid(65534)\n{OPEN}"
    result = subprocess.run([sys.executable, "-c", script, str(tmp_path / opened)], capture_output=True, text=True)
    assert says in result.stderr
    assert "CannotStart" in result.stderr
