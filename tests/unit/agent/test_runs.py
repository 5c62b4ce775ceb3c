"""Runs of pieces: what is asked of a web server next, and that nothing is asked twice or forgotten."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine.runs import Pieces, Run
from wire.units import MIB


def test_what_is_wanted_most_comes_first_and_neighbours_come_with_it() -> None:
    pieces = Pieces([1, 1, 0, 7, 1, 1], MIB)
    assert pieces.take() == Run(3, 5)
    assert pieces.take() == Run(0, 1)
    assert pieces.take() is None


def test_one_run_is_no_longer_than_a_part() -> None:
    pieces = Pieces([1] * 20, MIB)
    assert [pieces.take(), pieces.take(), pieces.take()] == [Run(0, 7), Run(8, 15), Run(16, 19)]
    assert Pieces([1] * 3, 64 * MIB).take() == Run(0, 0)


def test_what_did_not_come_is_asked_for_again_unless_it_is_not_wanted_any_more() -> None:
    pieces = Pieces([1] * 4, MIB)
    run = pieces.take()
    assert run == Run(0, 3)
    pieces.arrived(0)
    pieces.ask([(1, 0), (2, 7), (0, 7)])
    pieces.give_back(run)
    assert [pieces.take(), pieces.take()] == [Run(2, 3), None]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 5, 7])), max_size=30))
def test_every_wanted_piece_is_on_its_way_once(changes: list[tuple[int, int]]) -> None:
    pieces, away, asked = Pieces([1] * 10, 4 * MIB), list[Run](), [1] * 10
    for piece, priority in changes:
        pieces.ask([(piece, priority)])
        asked[piece] = priority
        if run := pieces.take():
            away.append(run)
    while run := pieces.take():
        away.append(run)
    fetched = [piece for run in away for piece in range(run.first, run.last + 1)]
    assert len(fetched) == len(set(fetched))
    assert {piece for piece, priority in enumerate(asked) if priority} <= set(fetched)
