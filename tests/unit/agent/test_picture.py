"""The picture of a transfer: a piece map that fits any screen, and the files that are under way."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine.api import TrackerSaid
from agent.parts import Book, Span, lay_out
from agent.picture import picture
from agent.running import begin, fold
from tests.unit.agent.specs import spec
from wire.messages import CELLS_MAX, Cells, FileTold, PieceIs, TrackerTold

PIECE = 16


def book(*sizes: int, piece_bytes: int = PIECE) -> Book:
    ends = [sum(sizes[: index + 1]) for index in range(len(sizes))]
    spans = [Span(index, end - size, size) for index, (size, end) in enumerate(zip(sizes, ends, strict=True))]
    return Book(lay_out(spans, piece_bytes, -(-sum(sizes) // piece_bytes)))


def test_pieces_are_missing_there_or_stored_and_a_shared_one_is_as_far_as_its_last_file() -> None:
    two = book(2 * PIECE + 8, PIECE)  # pieces 0 1 [2] 3; the third belongs to both
    run = begin(spec())
    assert picture(run, two).cells == [Cells(PieceIs.MISSING, 4)]
    for piece in (0, 1, 2):
        two.verified(piece)
    two.stored(0)
    told = picture(run, two)
    assert told.cells == [Cells(PieceIs.STORED, 2), Cells(PieceIs.THERE, 1), Cells(PieceIs.MISSING, 1)]
    assert told.files == [FileTold(1, 8, 0)], "the first is stored, of the second half has come"
    two.verified(3)
    two.stored(1)
    told = picture(run, two)
    assert (told.cells, told.files, told.pieces_count) == ([Cells(PieceIs.STORED, 4)], [], 4)


def test_what_nobody_chose_is_told_as_such_and_never_as_missing() -> None:
    two = book(2 * PIECE + 8, PIECE)
    two.choose([0])
    run = begin(spec())
    assert picture(run, two).cells == [Cells(PieceIs.MISSING, 3), Cells(PieceIs.UNWANTED, 1)]
    two.verified(2)
    assert [told.file for told in picture(run, two).files] == [0]
    two.stored(0)
    assert picture(run, two).cells == [Cells(PieceIs.STORED, 3), Cells(PieceIs.UNWANTED, 1)]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 1_500), st.data())
def test_a_map_has_few_cells_each_telling_the_worst_of_its_pieces(pieces: int, data: st.DataObject) -> None:
    whole = book(pieces * PIECE)
    missing = data.draw(st.integers(0, pieces - 1))
    for piece in range(pieces):
        if piece != missing:
            whole.verified(piece)
    cells = picture(begin(spec()), whole).cells
    count = min(pieces, CELLS_MAX)
    assert sum(run.count for run in cells) == count
    assert [run.count for run in cells if run.state is PieceIs.MISSING] == [1]


def test_before_the_metadata_there_are_only_trackers() -> None:
    asked = spec()
    run = fold(begin(asked), TrackerSaid(asked.transfer, "http://t/a", "away", "timed out"))
    told = picture(run, None)
    assert (told.pieces_count, told.cells, told.files) == (0, [], [])
    assert told.trackers == [TrackerTold("http://t/a", "away", "timed out", 0)]
