"""Limits, as plans give them: what fits, what does not and why, what stands above a plan, when somebody is warned."""

import msgspec
import pytest

from control.errors import Shortage
from control.plans.limits import Held, Limits, Need, OwnLimits, Use, merged, over, reached, sentence, short
from control.seeding import Seeding, SeedWhen
from wire.units import GB, MB

FREE = Limits(
    active=2,
    open_jobs=100,
    storage_bytes=5 * GB,
    file_bytes=500 * MB,
    traffic_bytes=50 * GB,
    kept_days=7,
    sessions=5,
    seeding=Seeding(SeedWhen.NEVER),
)
NONE = Limits(
    active=1,
    open_jobs=1,
    storage_bytes=None,
    file_bytes=None,
    traffic_bytes=None,
    kept_days=None,
    sessions=1,
    seeding=None,
)


def test_to_the_last_byte_it_fits_and_not_one_more() -> None:
    assert short(FREE, Use(storage=4 * GB), Need(storage=1 * GB)) is None
    assert short(FREE, Use(storage=4 * GB), Need(storage=GB + 1)) == Shortage("quota_spent", GB + 1, GB, 5 * GB)
    assert short(FREE, Use(), Need(largest=500 * MB)) is None
    assert short(FREE, Use(), Need(largest=500 * MB + 1)) == Shortage(
        "file_too_large", 500 * MB + 1, 500 * MB, 500 * MB
    )
    assert short(FREE, Use(traffic=50 * GB), Need(traffic=1)) == Shortage("traffic_spent", 1, 0, 50 * GB)
    assert short(FREE, Use(open_jobs=100), Need(jobs=1)) == Shortage("too_many_jobs", 1, 0, 100)


def test_who_asks_for_nothing_is_not_refused_for_what_others_hold() -> None:
    assert short(FREE, Use(storage=9 * GB, traffic=99 * GB, open_jobs=200), Need()) is None


def test_no_limit_is_none() -> None:
    assert short(NONE, Use(storage=2**60, traffic=2**60), Need(2**60, 2**60, 2**60)) is None
    assert over(NONE, Held(storage_bytes=2**60, file_bytes=2**60, traffic_bytes=2**60)) == []
    assert reached(2**60, None) == 0


def test_own_limits_stand_above_the_plans_one_by_one_and_null_is_no_limit() -> None:
    own = msgspec.json.decode(b'{"active": 9, "traffic_bytes": null}', type=OwnLimits)
    assert merged(FREE, own) == msgspec.structs.replace(FREE, active=9, traffic_bytes=None)
    assert merged(FREE, OwnLimits()) == FREE
    assert merged(FREE, OwnLimits(seeding=None)).seeding is None
    assert msgspec.to_builtins(own) == {"active": 9, "traffic_bytes": None}


@pytest.mark.parametrize("bad", ["active", "open_jobs", "sessions"])
def test_nobody_is_given_no_jobs_or_sessions_at_all(bad: str) -> None:
    for value in (b"0", b"null", b"-1"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(b'{"%s": %s}' % (bad.encode(), value), type=OwnLimits)


def test_a_refusal_says_which_limit_how_much_is_left_and_where_there_is_room() -> None:
    said = sentence(Shortage("quota_spent", 7 * GB, 1 * GB, 5 * GB, ["pro", "business"]))
    assert said == (
        "This needs 7.00 GB of storage, and 1.00 GB of 5.00 GB are left: remove jobs first."
        " Plans with room: pro, business."
    )
    assert "Plans" not in sentence(Shortage("traffic_spent", 7 * GB, 0, 5 * GB))
    assert "0.60 GB" in sentence(Shortage("file_too_large", 600 * MB, 500 * MB, 500 * MB))
    assert "100 jobs" in sentence(Shortage("too_many_jobs", 1, 0, 100))


def test_what_does_not_fit_any_more_is_named_with_what_becomes_of_it() -> None:
    held = Held(active=3, open_jobs=3, storage_bytes=5 * GB, file_bytes=GB, traffic_bytes=51 * GB, kept_days=7)
    found = over(FREE, held)
    assert [(each.limit, each.used, each.allowed) for each in found] == [
        ("active", 3, 2),
        ("file_bytes", GB, 500 * MB),
        ("traffic_bytes", 51 * GB, 50 * GB),
    ]
    assert all("on" in each.sentence for each in found)
    (sooner,) = over(FREE, Held(kept_days=None))
    assert (sooner.limit, sooner.used, sooner.allowed) == ("kept_days", None, 7)
    assert over(FREE, Held(kept_days=3)) == []


@pytest.mark.parametrize(("used", "percent"), [(0, 0), (79, 0), (80, 80), (99, 80), (100, 100), (250, 100)])
def test_eighty_and_a_hundred_percent_are_told(used: int, percent: int) -> None:
    assert reached(used, 100) == percent
    assert reached(used, 0) == 0, "who has nothing need not be told"
