"""The journal: what was appended is read back, and what a crash tore off is cut."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal import Held, Journal, Stored, read_held
from wire.ids import TransferId, new_id
from wire.messages import PartStored

TRANSFER = TransferId(new_id())
FULL_BYTES = 1_000
stored_parts = st.builds(
    Stored,
    upload=st.sampled_from(["u1", "u2"]),
    part=st.builds(
        PartStored,
        file=st.integers(0, 3),
        part=st.integers(1, 9),
        size_bytes=st.integers(0, 2**40),
        crc32=st.integers(0, 2**32 - 1),
        etag=st.text(max_size=40),
    ),
)


def written(path: Path, parts: list[Stored]) -> bytes:
    journal = Journal(path)
    journal.append([Held(TRANSFER, 7)])
    for part in parts:
        journal.append([part])
    journal.close()
    return path.read_bytes()


def reread(path: Path) -> tuple[int | None, dict[tuple[int, int], Stored]]:
    journal = Journal(path)
    journal.close()
    return journal.epoch, journal.stored


@settings(deadline=None)
@given(st.lists(stored_parts, max_size=12))
def test_what_was_appended_is_read_back_and_the_last_word_counts(parts: list[Stored]) -> None:
    with TemporaryDirectory() as folder:
        written(Path(folder) / "j", parts)
        epoch, found = reread(Path(folder) / "j")
    assert epoch == 7
    assert found == {(one.part.file, one.part.part): one for one in parts}


@settings(deadline=None)
@given(st.lists(stored_parts, min_size=1, max_size=6), st.data())
def test_a_torn_tail_costs_only_itself_and_the_next_record_stands(parts: list[Stored], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        before = len(written(path, parts[:-1]))
        journal = Journal(path)
        journal.append(parts[-1:])
        journal.close()
        whole = path.read_bytes()
        cut = data.draw(st.integers(before, len(whole) - 1))
        path.write_bytes(whole[:cut])
        again = Journal(path)
        assert again.stored == {(one.part.file, one.part.part): one for one in parts[:-1]}
        again.append(parts[-1:])
        again.close()
        assert path.read_bytes() == whole


@settings(deadline=None)
@given(st.lists(stored_parts, min_size=1, max_size=6), st.data())
def test_a_flipped_bit_is_never_believed(parts: list[Stored], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        raw = bytearray(written(path, parts))
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(raw)
        _, found = reread(path)
    assert set(found.values()) <= set(parts)


def test_the_last_claim_names_the_epoch(tmp_path: Path) -> None:
    path = tmp_path / "j"
    written(path, [])
    journal = Journal(path)
    journal.append([Held(TRANSFER, 9)])
    journal.close()
    assert read_held(path) == Held(TRANSFER, 9)


def test_a_file_of_noise_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b"\xff" * 64)
    assert read_held(path) is None
    assert reread(path) == (None, {})


def test_a_disk_that_fills_up_in_the_middle_of_a_record_leaves_the_journal_whole(tmp_path: Path) -> None:
    """What came after a torn record would never be read. In a process of its own, which may write no more than so."""
    script = f"""
import resource
from pathlib import Path
from agent.journal import Held, Journal
from wire.ids import TransferId, new_id
journal = Journal(Path({str(tmp_path / "j")!r}))
journal.append([Held(TransferId(new_id()), 1)])
resource.setrlimit(resource.RLIMIT_FSIZE, ({FULL_BYTES}, resource.RLIM_INFINITY))
try:
    for epoch in range(2, 100):
        journal.append([Held(TransferId(new_id()), epoch)])
except OSError as full:
    print(epoch)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append([Held(TransferId(new_id()), 100)])
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    records = len((tmp_path / "j").read_bytes()) / len(written(tmp_path / "one", []))
    assert int(said) == records, "the refused one is not there, the one after it is"
    last = read_held(tmp_path / "j")
    assert last is not None
    assert last.epoch == 100
