"""When a transfer is tried again."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from control.transfers import retry


@given(st.integers(0, 50), st.randoms(use_true_random=False))
def test_delays_double_from_15_s_to_ten_minutes_give_or_take_a_fifth(tries: int, chance: Random) -> None:
    middle = min(600.0, 15.0 * 2 ** min(5, max(0, tries - 1)))
    assert 0.8 * middle <= retry.delay_s(tries, chance, 15, 600) <= 1.2 * middle


def test_five_tries_are_all() -> None:
    assert [tries for tries in range(8) if retry.is_last(tries)] == [5, 6, 7]
