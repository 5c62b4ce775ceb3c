"""The small pure pieces of the bus."""

from hypothesis import given
from hypothesis import strategies as st

from bus.connect import BACKOFF_MAX_S, BACKOFF_S, backoff
from bus.pull import PRIORITY_MAX, priority


@given(st.floats(min_value=-10, max_value=10))
def test_a_priority_is_one_of_ten_steps(load: float) -> None:
    assert 0 <= priority(load) <= PRIORITY_MAX


def test_the_idle_are_served_first_and_the_full_last() -> None:
    assert priority(0.0) == 0
    assert priority(0.55) == 5
    assert priority(1.0) == PRIORITY_MAX


@given(st.integers(min_value=1, max_value=1_000_000))
def test_waiting_grows_and_is_bounded(tries: int) -> None:
    assert BACKOFF_S / 2 <= backoff(tries) <= BACKOFF_MAX_S
