"""The time that is left: right in the end, and never jumping on the way."""

from collections.abc import Callable, Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.eta import Eta, step
from wire.units import MIB

TOTAL = 1000 * MIB


def run(there: Callable[[int], int], stored: Callable[[int], int], seconds: int) -> list[float | None]:
    eta, told = Eta(0, there(0), stored(0)), []
    for second in range(1, seconds + 1):
        eta = step(eta, second, there(second), stored(second), TOTAL)
        told.append(eta.left_s)
    return told


def steps(told: Iterable[float | None]) -> list[float]:
    known = [left for left in told if left is not None]
    return [after - before for before, after in pairwise(known)]


def test_a_steady_transfer_counts_down() -> None:
    told = run(lambda s: min(TOTAL, s * MIB), lambda s: min(TOTAL, s * MIB // (8 * MIB) * 8 * MIB), 900)
    assert told[-1] is not None
    assert abs(told[-1] - 100) < 20
    assert max(steps(told[30:])) <= 0.5, "it does not grow"


def test_parts_that_are_stored_in_lumps_do_not_make_it_jump() -> None:
    told = run(lambda s: s * 2 * MIB, lambda s: s // 20 * 40 * MIB, 400)
    known = [left for left in told[60:] if left is not None]
    assert all(abs(by) <= 0.02 * left + 2 for by, left in zip(steps(known), known, strict=False))


def test_the_slower_leg_decides() -> None:
    fast = run(lambda s: min(TOTAL, s * 10 * MIB), lambda s: s * 2 * MIB, 100)[-1]
    assert fast is not None
    assert abs(fast - 400) < 40


def test_nobody_knows_while_nothing_comes() -> None:
    assert run(lambda s: 0, lambda s: 0, 5) == [None] * 5
    assert run(lambda s: MIB, lambda s: MIB, 2_000)[-1] is None


def test_all_stored_is_no_time_left() -> None:
    assert run(lambda s: TOTAL, lambda s: TOTAL, 1) == [0.0]


@given(st.lists(st.tuples(st.floats(0, 60), st.integers(-MIB, 64 * MIB), st.integers(-MIB, 64 * MIB)), max_size=60))
def test_whatever_happens_it_is_no_nonsense(happened: list[tuple[float, int, int]]) -> None:
    """A part may be lost again, and a tick may come late or twice."""
    eta, now_s = Eta(0, 0, 0), 0.0
    for passed_s, there, stored in happened:
        now_s += passed_s
        eta = step(eta, now_s, max(0, eta.there_bytes + there), max(0, eta.stored_bytes + stored), TOTAL)
        assert eta.left_s is None or eta.left_s >= 0
