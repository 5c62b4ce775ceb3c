"""The checker finds each kind of damage, and nothing where there is none."""

from typing import Any

import msgspec
import pytest

from tests.support.chaos.checker import Fault, JobSeen, Picture, Stored, wrong
from tests.support.chaos.schedule import drawn

SCOPE, TORRENT = "01a1fe8a-67c8-79c4-a6b3-b145aa6a9dff", "01a1fe8a-d0a1-717f-ad3f-bd42dbc1ecc6"
PREFIX = f"{SCOPE}/{TORRENT}/"
KEY, SECOND = f"{PREFIX}0/1", f"{PREFIX}0/2"
JOB = JobSeen(
    id="1",
    wanted="completed",
    state="completed",
    moves=[(None, "submitted"), ("submitted", "downloading"), ("downloading", "completed")],
    prefix=PREFIX,
    source={0: "aa"},
)
CLEAN = Picture(
    jobs=[JOB],
    named=[Stored(KEY, file=0, epoch=1, transfer_epoch=1)],
    objects={KEY: "aa"},
    open_uploads=[],
    in_progress=frozenset(),
    going={},
    on_disks={"local-1": []},
    held={},
    server_errors=[],
)


def of_job(**changed: Any) -> dict[str, Any]:
    return {"jobs": [msgspec.structs.replace(JOB, **changed)]}


def test_a_clean_picture_is_clean() -> None:
    assert wrong(CLEAN) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (of_job(state="failed", moves=[*JOB.moves[:2], ("downloading", "failed")]), Fault.LOST_JOB),
        (of_job(state=None), Fault.LOST_JOB),
        (of_job(moves=JOB.moves[1:]), Fault.ILLEGAL_MOVE),
        (of_job(moves=[*JOB.moves[:1], ("downloading", "completed")]), Fault.ILLEGAL_MOVE),
        (of_job(moves=[*JOB.moves, ("completed", "paused"), ("paused", "completed")]), Fault.ILLEGAL_MOVE),
        (of_job(moves=JOB.moves[:2]), Fault.ILLEGAL_MOVE),
        ({"objects": {KEY: "aa", SECOND: "aa"}}, Fault.DUPLICATE_STORE),
        ({"named": [Stored(KEY, file=0, epoch=2, transfer_epoch=2)]}, Fault.DUPLICATE_STORE),
        (
            {"named": [Stored(SECOND, file=0, epoch=2, transfer_epoch=1)], "objects": {SECOND: "aa"}},
            Fault.DUPLICATE_STORE,
        ),
        ({"objects": {}}, Fault.CORRUPT_OBJECT),
        ({"objects": {KEY: "bb"}}, Fault.CORRUPT_OBJECT),
        ({"named": [], "objects": {}}, Fault.CORRUPT_OBJECT),
        ({"open_uploads": [KEY]}, Fault.LEFTOVER),
        ({"on_disks": {"local-1": ["x"]}}, Fault.LEFTOVER),
        ({"objects": {KEY: "aa", f"{SCOPE}/{SCOPE}/0/1": "aa"}}, Fault.LEFTOVER),
        ({"objects": {KEY: "aa", f"{SCOPE}/{SCOPE}/0/2": "aa"}, "going": {f"{SCOPE}/{SCOPE}/": 1}}, Fault.LEFTOVER),
        ({"server_errors": ["GET /x: bug"]}, Fault.SERVER_ERROR),
    ],
)
def test_damage_is_found(damage: dict[str, Any], fault: Fault) -> None:
    assert fault in {each.fault for each in wrong(msgspec.structs.replace(CLEAN, **damage))}


def test_what_is_told_of_a_job_that_stays_where_it_is_is_no_move() -> None:
    lost = [("downloading", "queued"), ("queued", "queued"), ("queued", "completed")]
    assert wrong(msgspec.structs.replace(CLEAN, **of_job(moves=[*JOB.moves[:2], *lost]))) == []


def test_a_pause_may_come_too_late_but_then_all_must_be_there() -> None:
    late = msgspec.structs.replace(CLEAN, **of_job(wanted="paused"))
    assert wrong(late) == []
    broken = msgspec.structs.replace(late, named=[], objects={})
    assert {each.fault for each in wrong(broken)} == {Fault.CORRUPT_OBJECT}


def test_what_a_paused_job_still_needs_is_no_leftover() -> None:
    paused = msgspec.structs.replace(
        CLEAN, open_uploads=[KEY], in_progress=frozenset({KEY}), on_disks={"a": ["t"]}, held={"a": frozenset({"t"})}
    )
    assert wrong(paused) == []
    unsaid = msgspec.structs.replace(paused, objects={KEY: "aa", f"{SCOPE}/{SCOPE}/0/1": "aa"})
    assert wrong(msgspec.structs.replace(unsaid, going={f"{SCOPE}/{SCOPE}/": 1})) == []


def test_a_round_is_drawn_from_its_seed_and_number_alone() -> None:
    assert drawn(1, 7) == drawn(1, 7)
    assert drawn(1, 7) != drawn(1, 8)
    assert drawn(2, 7) != drawn(1, 7)
