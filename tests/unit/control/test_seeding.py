"""What pools and plans say of seeding, together."""

import pytest

from control.errors import BadInput
from control.seeding import EVERYTHING, SEED_S_MAX, Seeding, SeedWhen, check, strictest


def test_the_strictest_of_several_counts_and_of_each_of_its_parts() -> None:
    plan, pool = Seeding(SeedWhen.AFTER, ratio=2.0), Seeding(SeedWhen.AFTER, ratio=3.0, seconds=60)
    assert strictest(plan, pool) == Seeding(SeedWhen.AFTER, ratio=2.0, seconds=60)
    assert strictest(plan, Seeding(SeedWhen.NEVER)).gives is False
    assert strictest(EVERYTHING, Seeding()) == Seeding()
    assert not strictest(EVERYTHING, Seeding()).goes_on


def test_nothing_is_seeded_for_ever() -> None:
    assert EVERYTHING.lasts_s == SEED_S_MAX
    assert Seeding(SeedWhen.AFTER, seconds=60).lasts_s == 60


@pytest.mark.parametrize("when", [SeedWhen.NEVER, SeedWhen.DOWNLOADING])
def test_a_ratio_of_what_is_not_seeded_after_is_refused(when: SeedWhen) -> None:
    check(Seeding(when))
    with pytest.raises(BadInput):
        check(Seeding(when, ratio=1.0))
