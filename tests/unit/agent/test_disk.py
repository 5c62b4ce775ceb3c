"""The agent's folder: what an earlier life left is found or thrown away, and two agents never share one."""

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.disk import AnotherAgent, Disk
from agent.journal import Held, Journal
from wire.ids import TransferId, new_id
from wire.messages import Found
from wire.units import GIB, MIB


def held(disk: Disk, epoch: int, journal_of: TransferId | None = None) -> TransferId:
    """A transfer with some data, as a crash leaves it."""
    transfer = TransferId(new_id())
    journal = Journal(disk.journal(transfer))
    journal.append([Held(journal_of or transfer, epoch)])
    journal.close()
    disk.data(transfer).mkdir()
    (disk.data(transfer) / "0").write_bytes(b"x" * 100)
    return transfer


def trash(folder: Path) -> list[Path]:
    return list((folder / "trash").iterdir())


def test_a_new_life_finds_what_the_last_one_held(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    transfer = held(disk, 3)
    disk.close()
    again = Disk(tmp_path)
    assert again.found() == [Found(transfer, 3)]
    assert (again.data(transfer) / "0").exists()
    again.close()


def test_where_the_file_system_can_transfers_are_laid_far_apart(tmp_path: Path) -> None:
    def flags() -> str | None:
        if shutil.which("lsattr") is None:
            return None
        said = subprocess.run(["lsattr", "-d", tmp_path / "transfers"], capture_output=True, text=True, check=False)
        return said.stdout.split()[0] if said.returncode == 0 else None

    Disk(tmp_path).close()
    Disk(tmp_path).close()  # again, as each agent does that starts
    if (known := flags()) is None or "e" not in known:
        pytest.skip("not on ext4")
    assert "T" in known


def test_what_says_nothing_readable_is_thrown_away(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    held(disk, 1, journal_of=TransferId(new_id()))
    torn = disk.journal(held(disk, 1))
    torn.write_bytes(torn.read_bytes()[:-1])
    (tmp_path / "transfers" / str(new_id())).mkdir()
    (tmp_path / "transfers" / "no-id").mkdir()
    (tmp_path / "transfers" / "file").write_bytes(b"")
    assert disk.found() == []
    assert list((tmp_path / "transfers").iterdir()) == []
    assert len(trash(tmp_path)) == 5
    disk.sweep()
    assert trash(tmp_path) == []
    disk.close()


def test_what_is_dropped_is_out_of_sight_at_once_and_gone_after_a_sweep(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    kept, dropped = held(disk, 1), held(disk, 2)
    disk.drop(dropped)
    assert disk.found() == [Found(kept, 1)]
    disk.sweep()
    assert trash(tmp_path) == []
    disk.drop(dropped)  # again: nothing to complain of
    disk.close()


def test_a_second_agent_is_kept_out_until_the_first_has_gone(tmp_path: Path) -> None:
    first = Disk(tmp_path)
    with pytest.raises(AnotherAgent):
        Disk(tmp_path)
    first.close()
    Disk(tmp_path).close()


def test_there_is_no_room_for_more_than_the_disk_has(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    assert disk.room_for(1)
    assert not disk.room_for(2**60)
    disk.close()


def test_the_budget_is_what_is_free_and_what_is_ours_already_or_less_if_that_is_wanted(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    transfer = held(disk, 1)
    with (disk.data(transfer) / "1").open("wb") as file:
        file.truncate(GIB)  # holes are nothing
    assert 0 < disk.occupied(transfer) < MIB
    assert disk.budget(5 * MIB).total_bytes == 5 * MIB
    assert 5 * MIB < disk.budget(None).total_bytes < shutil.disk_usage(tmp_path).total
    disk.clear(transfer)
    assert disk.occupied(transfer) == 0
    assert disk.found() == [Found(transfer, 1)]
    disk.close()


def test_folders_of_no_transfer_are_thrown_away_while_others_work(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    kept, orphan = held(disk, 1), held(disk, 1)
    assert disk.orphans([kept]) == [str(orphan)]
    assert disk.orphans([kept]) == []
    assert disk.found() == [Found(kept, 1)]
    disk.close()
