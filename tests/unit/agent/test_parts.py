"""Units, pieces and the book: which bytes belong where, and what is ready when."""

from collections.abc import Collection
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.parts import EARLY_BYTES, Book, Is, Layout, Span, lay_out
from agent.window import BANDS, LATER, Window
from wire.parts import PART_MIN_BYTES, part_count
from wire.units import GIB, KIB, MIB, TIB

SIZES = [0, 1, 7, 100, 4096, PART_MIN_BYTES, PART_MIN_BYTES + 1, 3 * PART_MIN_BYTES]

FIRST = BANDS[0][0]


def layout_of(sizes: list[int], piece_bytes: int, gaps: list[int] | None = None, media: Collection[int] = ()) -> Layout:
    spans, offset = [], 0
    for file, size in enumerate(sizes):
        spans.append(Span(file, offset, size, file in media))
        offset += size + (gaps[file % len(gaps)] if gaps else 0)
    return lay_out(spans, piece_bytes, -(-offset // piece_bytes))


layouts = st.builds(
    layout_of,
    st.lists(
        st.sampled_from([0, 1, 7, 100, 4096, PART_MIN_BYTES, PART_MIN_BYTES + 1, 3 * PART_MIN_BYTES]),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([256 * KIB, MIB, 16 * MIB]),
    st.sampled_from([None, [0, 16_000], [3]]),
)


@settings(deadline=None)
@given(layouts)
def test_units_cover_every_byte_of_every_file_once(layout: Layout) -> None:
    assert sum(unit.size_bytes for unit in layout.units) == layout.total_bytes
    assert all(a.end <= b.start for a, b in zip(layout.units, layout.units[1:], strict=False))


@settings(deadline=None)
@given(layouts)
def test_a_piece_knows_exactly_the_units_whose_pieces_it_is(layout: Layout) -> None:
    by_unit = {(index, piece) for index, unit in enumerate(layout.units) for piece in layout.pieces_of(unit)}
    by_piece = {(index, piece) for piece in range(layout.pieces) for index in layout.units_of(piece)}
    assert by_unit == by_piece


@settings(deadline=None)
@given(layouts, st.randoms(use_true_random=False))
def test_a_unit_is_ready_exactly_when_its_last_piece_is_verified(layout: Layout, random: Random) -> None:
    book = Book(layout)
    order = list(range(layout.pieces))
    random.shuffle(order)
    there: set[int] = set()
    for piece in order:
        book.verified(piece)
        there.add(piece)
        for index, unit in enumerate(layout.units):
            assert (book.state[index] == Is.READY) == there.issuperset(layout.pieces_of(unit))
    assert book.unready == 0
    assert book.there_bytes == layout.total_bytes
    assert sorted(drain(book)) == list(range(len(layout.units)))


def drain(book: Book) -> list[int]:
    taken = []
    while batch := book.take(PART_MIN_BYTES, 64):
        taken.extend(batch)
        for index in batch:
            book.stored(index)
    return taken


@settings(deadline=None)
@given(layouts, st.randoms(use_true_random=False))
def test_the_window_slides_to_the_end_and_keeps_its_first_band_at_the_front(layout: Layout, random: Random) -> None:
    book = Book(layout)
    asked = dict(enumerate(book.priorities()))
    wanted = {piece for unit in layout.units for piece in layout.pieces_of(unit)}
    assert {piece for piece, priority in asked.items() if priority} == wanted
    missing = sorted(wanted)
    while missing:
        first = [piece for piece in missing if asked[piece] == FIRST]
        assert first == missing[: len(first)]
        assert len(first) == min(len(missing), max(1, BANDS[0][1] // layout.piece_bytes))
        arrived = random.choice(first)
        book.verified(arrived)
        missing.remove(arrived)
        asked.update(book.slide())
    assert book.unready == 0


def first_of(book: Book, *, bounded: bool = False) -> list[int]:
    asked = dict(enumerate(book.priorities(bounded=bounded)))
    asked.update(book.slide(book.layout.total_bytes if bounded else 0))
    return [piece for piece, priority in asked.items() if priority == FIRST]


def test_what_is_early_goes_first_and_all_else_in_the_torrents_order() -> None:
    window = Window(bytearray(b"\1" * 8), bytearray(8), BANDS[0][1], early=[5, 7, 2])
    order = []
    while first := [piece for piece, priority in window.slide().items() if priority == FIRST]:
        order += first
        window.arrived(first[0])
    assert order == [5, 7, 2, 0, 1, 3, 4, 6]


def test_first_and_last_part_of_a_film_are_asked_for_before_anything_else() -> None:
    film = 3 * PART_MIN_BYTES + 3 * MIB
    layout = layout_of([2 * PART_MIN_BYTES, film, 100], MIB, media=[1])
    start, end = 16, 16 + 27
    book = Book(layout)
    early = [*range(start, start + 8), *range(end - 3, end)]
    others = [piece for piece in range(layout.pieces) if piece not in early]
    assert first_of(book) == sorted(early + others[: 16 - len(early)])
    for piece in early:
        book.verified(piece)
    drained = [book.layout.units[index] for index in drain(book)]
    assert [(unit.file, unit.part) for unit in drained] == [(1, 1), (1, 4)]
    assert first_of(book) == others[:16], "and then the rest stands where it did"


def test_of_many_films_only_the_first_few_go_before_the_rest() -> None:
    book = Book(layout_of([3 * PART_MIN_BYTES] * 10, PART_MIN_BYTES, media=range(10)))
    order = []
    while first := first_of(book):
        order += first
        for piece in first:
            book.verified(piece)
    few = EARLY_BYTES // (2 * PART_MIN_BYTES)
    early = [piece for film in range(few) for piece in (3 * film, 3 * film + 2)]
    assert order[: 2 * few] == early


def test_what_is_stored_or_not_wanted_is_not_early_and_in_a_bounded_window_nothing_is() -> None:
    layout = layout_of([4 * PART_MIN_BYTES, 4 * PART_MIN_BYTES], PART_MIN_BYTES, media=[0, 1])
    book = Book(layout)
    assert first_of(book, bounded=True) == [0, 1]
    assert first_of(book) == [0, 3]
    book.already_stored([(0, 1)], [])
    assert first_of(book) == [3, 4]
    book.choose([1])
    assert first_of(book) == [4, 7]


def test_pieces_of_what_is_already_stored_are_not_asked_for() -> None:
    layout = layout_of([4 * PART_MIN_BYTES], MIB)
    book = Book(layout)
    book.already_stored([(0, 1), (0, 3)], [])
    asked = book.priorities()
    assert [bool(any(asked[piece] for piece in layout.pieces_of(unit))) for unit in layout.units] == [
        False,
        True,
        False,
        True,
    ]
    assert book.unstored == 2
    assert book.stored_bytes == book.there_bytes == 2 * PART_MIN_BYTES


def test_an_empty_file_is_ready_at_once_and_needs_no_piece() -> None:
    book = Book(layout_of([0], MIB))
    assert book.take(PART_MIN_BYTES, 64) == [0]
    assert book.unready == 0
    assert book.priorities() == []


def test_a_batch_is_one_part_or_several_small_files() -> None:
    layout = layout_of([100, 200, 2 * PART_MIN_BYTES, 300], MIB)
    book = Book(layout)
    for piece in range(layout.pieces):
        book.verified(piece)
    batches = []
    while batch := book.take(PART_MIN_BYTES, 64):
        batches.append([(layout.units[i].file, layout.units[i].part) for i in batch])
    assert all(len(batch) == 1 or all(part == 0 for _, part in batch) for batch in batches)
    assert sorted(unit for batch in batches for unit in batch) == [(0, 0), (1, 0), (2, 1), (2, 2), (3, 0)]


def test_a_unit_given_back_is_taken_again() -> None:
    book = Book(layout_of([10], MIB))
    book.verified(0)
    assert book.take(1, 1) == [0]
    assert book.take(1, 1) == []
    book.give_back(0)
    assert book.take(1, 1) == [0]


def test_a_file_whose_upload_is_gone_is_wanted_again_but_for_the_new_parts() -> None:
    layout = layout_of([3 * PART_MIN_BYTES], MIB)
    book = Book(layout)
    book.already_stored([(0, 1)], [])
    book.priorities()
    for piece in [*layout.pieces_of(layout.units[1]), *layout.pieces_of(layout.units[2])]:
        book.verified(piece)
    for index in (1, 2):
        book.stored(index)
    assert book.unstored == 0
    book.forget_file(0, keep={3})
    assert [book.state[i] for i in range(3)] == [Is.WAITING, Is.READY, Is.STORED]
    assert book.unstored == 2
    assert book.unready == 1
    assert book.stored_bytes == PART_MIN_BYTES
    asked = book.priorities()
    assert all(asked[piece] == FIRST for piece in layout.pieces_of(layout.units[0]))


def test_a_tebibyte_and_twenty_thousand_files_are_laid_out() -> None:
    big = layout_of([TIB], 16 * MIB)
    assert len(big.units) == part_count(TIB)
    book = Book(big)
    asked = book.priorities()
    assert 0 < asked.count(FIRST) < asked.count(LATER)
    many = Book(layout_of([50_000] * 20_000, MIB))
    for piece in range(many.layout.pieces):
        many.verified(piece)
    assert many.unready == 0
    assert many.layout.total_bytes < GIB


def test_only_chosen_files_are_asked_for_counted_and_put() -> None:
    """Files 0 and 1 share piece 1; file 2 lies beyond both."""
    book = Book(lay_out([Span(0, 0, 96), Span(1, 96, 64), Span(2, 160, 96)], 64, 4))
    book.choose([1])
    assert (book.total_bytes, book.unstored, book.unready) == (64, 1, 1)
    assert [piece for piece, priority in enumerate(book.priorities()) if priority] == [1, 2]
    assert book.verified(1) == 0
    assert book.there_bytes == 32
    book.verified(0)  # had from another life; file 0 is whole on disk, and nobody wants it
    assert book.take(1000, 10) == []
    assert book.verified(2) == 1
    assert [book.layout.units[index].file for index in book.take(1000, 10)] == [1]
    book.stored(1)
    assert (book.unstored, book.stored_bytes, book.there_bytes) == (0, 64, 64)


def test_choosing_more_goes_on_with_what_is_there_already() -> None:
    book = Book(lay_out([Span(0, 0, 96), Span(1, 96, 64), Span(2, 160, 96)], 64, 4))
    book.choose([1])
    for piece in (0, 1, 2):
        book.verified(piece)
    book.stored(1)
    book.choose(None)
    assert (book.total_bytes, book.stored_bytes, book.there_bytes) == (256, 64, 64 + 96 + 32)
    assert (book.unstored, book.unready) == (2, 1)
    assert [piece for piece, priority in enumerate(book.priorities()) if priority] == [2, 3]
    assert [book.layout.units[index].file for index in book.take(1000, 10)] == [0]


def test_what_is_being_put_when_it_is_not_wanted_any_more_is_not_put_again() -> None:
    book = Book(lay_out([Span(0, 0, 64), Span(1, 64, 64)], 64, 2))
    book.verified(0)
    (taken,) = book.take(1000, 10)
    book.choose([1])
    book.give_back(taken)
    assert book.take(1000, 10) == []
    book.choose([0, 1])
    assert book.take(1000, 10) == [taken]
    book.choose([1])
    book.stored(taken)
    assert (book.unstored, book.stored_bytes) == (1, 0)
    book.choose(None)
    assert (book.unstored, book.stored_bytes) == (1, 64)


def test_an_upload_that_is_lost_counts_for_nothing_while_its_file_is_not_wanted() -> None:
    size = 17 * MIB
    book = Book(lay_out([Span(0, 0, size), Span(1, size, 64)], MIB, 18))
    book.already_stored([(0, 1), (0, 2)], [])
    book.choose([1])
    book.forget_file(0, keep=set())
    assert (book.unstored, book.stored_bytes) == (1, 0)
    book.choose(None)
    assert (book.unstored, book.stored_bytes) == (4, 0)


def three() -> Book:
    """Files 0 and 1 share piece 1, files 1 and 2 piece 2; of a transfer that is windowed."""
    book = Book(lay_out([Span(0, 0, 96), Span(1, 96, 64), Span(2, 160, 96)], 64, 4))
    book.choose([0])
    book.priorities(bounded=True)
    return book


def put(book: Book, index: int) -> list[int]:
    assert index in book.take(1000, 10)
    book.stored(index)
    return book.is_safe(index)


def test_a_window_asks_for_pieces_of_chosen_files_alone_and_lets_them_go_with_these() -> None:
    book = three()
    assert sorted(book.slide(1000)) == [0, 1]
    book.verified(0)
    book.verified(1)
    assert book.held_bytes == 2 * 64
    assert put(book, 0) == [0, 1], "nobody wants the file that has the other half of piece 1"
    book.left([0, 1])
    assert book.held_bytes == 0


def test_a_window_is_shut_while_all_that_it_asked_for_is_there() -> None:
    book = three()
    book.choose(None)
    book.priorities(bounded=True)
    assert book.is_shut, "nothing has been asked for"
    assert sorted(book.slide(2 * 64)) == [0, 1]
    book.verified(0)
    assert not book.is_shut
    book.verified(1)
    assert book.is_shut
    assert sorted(book.slide(64)) == [2]
    assert not book.is_shut
    book.choose([0])
    book.priorities()
    assert not book.is_shut, "what is not bounded never is"


def test_what_a_choice_makes_needless_leaves_and_is_not_held_in_the_next_window() -> None:
    book = three()
    book.slide(1000)
    book.verified(0)
    book.verified(1)
    assert book.choose([1]) == [0]
    book.priorities(bounded=True)
    assert book.held_bytes == 64
    assert sorted(book.slide(1000)) == [2]


def test_what_has_left_and_is_chosen_again_is_noticed() -> None:
    book = three()
    for piece in book.slide(1000):
        book.verified(piece)
    book.leaves(put(book, 0))
    book.choose([0, 2])
    assert not book.wants_back(), "file 2 shares nothing with what is gone"
    book.choose([0, 1])
    assert book.wants_back()


def test_what_is_being_put_is_needed_until_it_is_safe_or_given_back() -> None:
    book = three()
    for piece in book.slide(1000):
        book.verified(piece)
    (taken,) = book.take(1000, 10)
    assert book.choose([2]) == []
    assert book.give_back(taken) == [0, 1]
