"""The budget: what is promised never exceeds it, and whatever was let in comes to its end."""

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.budget import CLAIM_BYTES, SHARE_MAX_BYTES, Budget, Kept, floor_of
from agent.parts import Book
from tests.unit.agent.test_parts import layout_of
from wire.ids import TransferId, new_id
from wire.parts import PART_MIN_BYTES
from wire.units import GIB, KIB, MIB

NOTHING: dict[TransferId, int] = {}


def some_id() -> TransferId:
    return TransferId(new_id())


def test_what_fits_is_plain_and_what_does_not_is_windowed() -> None:
    budget = Budget(100 * MIB)
    assert budget.admit(some_id(), 60 * MIB, 12 * MIB, NOTHING) is Kept.PLAIN
    assert budget.admit(some_id(), 60 * MIB, 12 * MIB, NOTHING) is Kept.WINDOWED
    assert budget.admit(some_id(), 29 * MIB, 12 * MIB, NOTHING) is Kept.WINDOWED
    assert budget.admit(some_id(), 20 * MIB, 17 * MIB, NOTHING) is None


def test_a_plain_transfer_waits_until_windows_have_given_back_what_they_had_beyond_their_floors() -> None:
    budget, windowed = Budget(100 * MIB), some_id()
    budget.admit(windowed, GIB, 12 * MIB, NOTHING)
    plain, held = some_id(), {windowed: 100 * MIB}
    assert budget.admit(plain, 80 * MIB, 80 * MIB, held) is Kept.WINDOWED
    budget.leave(plain)
    assert budget.admit(plain, 80 * MIB, 80 * MIB, {windowed: 20 * MIB}) is Kept.PLAIN


def test_a_newcomer_gets_room_as_the_others_come_down_to_their_new_share() -> None:
    budget, first, second = Budget(100 * MIB), some_id(), some_id()
    budget.admit(first, GIB, 10 * MIB, NOTHING)
    assert budget.rooms(NOTHING) == {first: 100 * MIB}
    budget.admit(second, GIB, 10 * MIB, {first: 90 * MIB})
    assert budget.rooms({first: 90 * MIB}) == {first: 0, second: 10 * MIB}
    assert budget.rooms({first: 50 * MIB, second: 10 * MIB}) == {first: 0, second: 40 * MIB}


def test_a_window_is_no_larger_than_helps() -> None:
    budget, alone = Budget(100 * GIB), some_id()
    budget.admit(alone, 200 * GIB, 12 * MIB, NOTHING)
    assert budget.rooms(NOTHING) == {alone: SHARE_MAX_BYTES}


def test_without_holes_only_what_fits_whole_is_taken() -> None:
    budget = Budget(100 * MIB, can_punch=False)
    assert not budget.can_ever(101 * MIB, 12 * MIB)
    assert budget.admit(some_id(), 60 * MIB, 12 * MIB, NOTHING) is Kept.PLAIN
    assert budget.admit(some_id(), 60 * MIB, 12 * MIB, NOTHING) is None


def test_what_is_thrown_away_counts_until_it_is_swept() -> None:
    budget, transfer = Budget(100 * MIB), some_id()
    budget.admit(transfer, 100 * MIB, 12 * MIB, NOTHING)
    number = budget.discard(transfer, 0)
    assert budget.admit(transfer, 100 * MIB, 12 * MIB, NOTHING) is None
    budget.swept(number)
    assert budget.admit(transfer, 100 * MIB, 12 * MIB, NOTHING) is Kept.PLAIN


def test_what_an_earlier_life_left_counts_until_it_is_admitted_anew() -> None:
    budget, found = Budget(100 * MIB), some_id()
    budget.found(found, 60 * MIB)
    assert budget.admit(some_id(), 50 * MIB, 50 * MIB, NOTHING) is None
    assert budget.admit(found, 100 * MIB, 12 * MIB, NOTHING) is Kept.PLAIN
    budget.found(found, 60 * MIB)
    assert budget.admit(found, 200 * MIB, 12 * MIB, NOTHING) is Kept.WINDOWED
    assert budget.promised_bytes == 12 * MIB


def test_no_claim_is_made_for_which_no_window_is_left() -> None:
    budget = Budget(4 * CLAIM_BYTES)
    assert [budget.may_claim(unknown) for unknown in range(5)] == [True, True, True, True, False]
    budget.admit(some_id(), 4 * CLAIM_BYTES, CLAIM_BYTES, NOTHING)
    assert not budget.may_claim(0)
    assert Budget(MIB).may_claim(0)  # small as it is, it is tried with one


class Going:
    """A windowed transfer in a swarm and a store of chance."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.asked = {piece for piece, priority in enumerate(book.priorities(bounded=True)) if priority}
        self.on_disk: set[int] = set()

    def step(self, room_bytes: int, random: Random) -> None:
        """What can happen at any moment happens once, if at all."""
        self.asked |= set(self.book.slide(room_bytes))
        if self.asked and random.random() < 0.8:
            piece = random.choice(sorted(self.asked))
            self.asked.remove(piece)
            self.on_disk.add(piece)
            self.book.verified(piece)
        if random.random() < 0.5:
            for index in self.book.take(PART_MIN_BYTES, 64):
                self.book.stored(index)
                gone = self.book.is_safe(index)
                self.book.left(gone)
                self.on_disk -= set(gone)


layouts = st.builds(
    layout_of,
    st.lists(
        st.sampled_from([1, 4096, PART_MIN_BYTES, PART_MIN_BYTES + 1, 3 * PART_MIN_BYTES]), min_size=1, max_size=8
    ),
    st.sampled_from([512 * KIB, MIB, 5 * MIB]),
    st.sampled_from([None, [0, 16_000]]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(layouts, min_size=1, max_size=3), st.integers(0, 40), st.randoms(use_true_random=False))
def test_windows_never_hold_more_than_the_budget_and_all_of_them_finish(
    chosen: Sequence[object], more_mib: int, random: Random
) -> None:
    books = [Book(layout) for layout in chosen]  # type: ignore[arg-type] # the strategy builds layouts
    budget = Budget(sum(floor_of(book) for book in books) + more_mib * MIB)
    going: dict[TransferId, Going] = {}
    for book in books:
        held = {each: one.book.held_bytes for each, one in going.items()}
        transfer = some_id()
        assert budget.admit(transfer, GIB, floor_of(book), held) is Kept.WINDOWED
        going[transfer] = Going(book)
        for _ in range(random.randrange(30)):
            _all_step(budget, going, random)
    for _ in range(5_000):
        if not any(book.unstored for book in books):
            break
        _all_step(budget, going, random)
    assert [book.unstored for book in books] == [0] * len(books)
    assert sum(book.held_bytes for book in books) == 0


def _all_step(budget: Budget, going: dict[TransferId, Going], random: Random) -> None:
    rooms = budget.rooms({each: one.book.held_bytes for each, one in going.items()})
    for transfer, one in going.items():
        one.step(rooms[transfer], random)
    there = sum(len(one.asked | one.on_disk) * one.book.layout.piece_bytes for one in going.values())
    assert there <= sum(one.book.held_bytes for one in going.values()) <= budget.total_bytes


def test_more_of_a_transfer_may_come_only_where_it_fits() -> None:
    budget, plain, windowed = Budget(100 * MIB), some_id(), some_id()
    budget.admit(plain, 50 * MIB, 12 * MIB, NOTHING)
    budget.admit(windowed, GIB, 12 * MIB, NOTHING)
    assert not budget.grow(plain, 39 * MIB, 12 * MIB, NOTHING)
    assert not budget.grow(plain, 10 * MIB, 12 * MIB, NOTHING, plain_fits=False)
    assert not budget.grow(plain, 10 * MIB, 12 * MIB, {windowed: 45 * MIB})
    assert budget.grow(plain, 10 * MIB, 12 * MIB, NOTHING)
    assert budget.promised_bytes == 72 * MIB
    assert not budget.grow(windowed, GIB, 41 * MIB, NOTHING)
    assert budget.grow(windowed, GIB, 40 * MIB, NOTHING)
    assert budget.promised_bytes == 100 * MIB
    assert budget.grow(windowed, 0, 12 * MIB, NOTHING)
    assert budget.grow(plain, 0, 12 * MIB, {windowed: 60 * MIB}), "fewer files always fit"
