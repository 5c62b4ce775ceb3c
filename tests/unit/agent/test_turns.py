"""Upload slots: shared evenly however long each is kept, and never idle while somebody wants one."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from agent.turns import Turns
from wire.ids import TransferId, new_id

SMALL, LARGE, LATE = (TransferId(new_id()) for _ in range(3))


def lent_to(turns: Turns, wanting: set[TransferId]) -> list[TransferId]:
    """As many as can be."""
    lent = []
    while (transfer := turns.lend(lambda t: t if t in wanting else None)) is not None:
        lent.append(transfer)
    return lent


def turns_of(slots: int, *transfers: TransferId) -> Turns:
    turns = Turns(slots)
    for transfer in transfers:
        turns.join(transfer)
    return turns


def test_one_that_is_alone_has_every_slot() -> None:
    assert lent_to(turns_of(4, SMALL, LARGE), {LARGE}) == [LARGE] * 4


def test_slots_are_halved_between_two_that_want_all() -> None:
    assert Counter(lent_to(turns_of(4, SMALL, LARGE), {SMALL, LARGE})) == {SMALL: 2, LARGE: 2}


def test_who_comes_late_has_the_next_slots_until_he_has_as_many() -> None:
    turns = turns_of(4, SMALL)
    assert lent_to(turns, {SMALL}) == [SMALL] * 4
    turns.join(LATE)
    for _ in range(2):
        turns.give_back(SMALL)
    assert lent_to(turns, {SMALL, LATE}) == [LATE, LATE]


def test_who_keeps_his_slots_long_has_no_more_of_them_than_others() -> None:
    turns = turns_of(4, SMALL, LARGE)
    held = Counter(lent_to(turns, {SMALL, LARGE}))
    for _ in range(50):  # the small one's batches end again and again, the large one's parts do not
        turns.give_back(SMALL)
        held[SMALL] -= 1
        held.update(lent_to(turns, {SMALL, LARGE}))
    assert held == {SMALL: 2, LARGE: 2}


def test_with_one_slot_they_take_turns() -> None:
    turns = turns_of(1, SMALL, LARGE, LATE)
    seen = []
    for _ in range(6):
        (transfer,) = lent_to(turns, {SMALL, LARGE, LATE})
        seen.append(transfer)
        turns.give_back(transfer)
    assert seen == [SMALL, LARGE, LATE] * 2


def test_a_slot_of_one_that_left_comes_back_and_still_counts_when_it_joins_again() -> None:
    turns = turns_of(2, SMALL, LARGE)
    assert lent_to(turns, {SMALL}) == [SMALL, SMALL]
    turns.leave(SMALL)
    turns.join(SMALL)
    turns.give_back(SMALL)
    assert lent_to(turns, {SMALL, LARGE}) == [LARGE]
    turns.give_back(SMALL)
    turns.give_back(LARGE)
    assert len(lent_to(turns, {SMALL, LARGE})) == 2


@given(st.integers(1, 8), st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=20))
def test_nobody_is_two_slots_ahead_of_another_who_wants_one_when_it_is_lent(slots: int, rounds: list[set[int]]) -> None:
    everybody = [TransferId(new_id()) for _ in range(5)]
    turns, held = turns_of(slots, *everybody), Counter[TransferId]()
    for wanting in ({everybody[n] for n in chosen} for chosen in rounds):
        for transfer in lent_to(turns, wanting):
            assert held[transfer] == min(held[each] for each in wanting)
            held[transfer] += 1
        assert sum(held.values()) == slots or not wanting
        for transfer in [each for each in held if held[each]][:2]:
            turns.give_back(transfer)
            held[transfer] -= 1
