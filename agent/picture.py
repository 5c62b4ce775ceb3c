"""The heavy part of progress, made only when somebody asks: which pieces, which files, what the trackers said. Pure."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice, pairwise

from agent.engine.api import TrackerSaid
from agent.parts import Book, Is
from agent.running import Run
from wire.messages import CELLS_MAX, FILES_TOLD_MAX, TRACKERS_TOLD_MAX, Cells, Detail, FileTold, PieceIs, TrackerTold


def picture(run: Run, book: Book | None) -> Detail:
    return Detail(
        pieces_count=book.layout.pieces if book else 0,
        cells=list(_cells(book)) if book else [],
        files=list(islice(_files(book), FILES_TOLD_MAX)) if book else [],
        trackers=list(_words(islice(run.trackers.values(), TRACKERS_TOLD_MAX))),
    )


def _cells(book: Book) -> Iterator[Cells]:
    """A cell stands for one piece, or for several neighbours of which it tells the worst."""
    pieces = _pieces(book)
    count = min(len(pieces), CELLS_MAX)
    edges = [cell * len(pieces) // count for cell in range(count + 1)] if count else [0]
    states = (min(pieces[first:last]) for first, last in pairwise(edges))
    for state, same in groupby(states):
        yield Cells(PieceIs(state), sum(1 for _ in same))


def _pieces(book: Book) -> bytearray:
    """A piece is stored once every wanted unit that shares bytes with it is."""
    pieces = bytearray([PieceIs.UNWANTED]) * book.layout.pieces
    wanted = [index for index, is_wanted in enumerate(book.wanted) if is_wanted]
    for index in wanted:
        there = book.layout.pieces_of(book.layout.units[index])
        pieces[there.start : there.stop] = bytes([PieceIs.STORED]) * len(there)
    for index in wanted:
        if book.state[index] != Is.STORED:
            there = book.layout.pieces_of(book.layout.units[index])
            pieces[there.start : there.stop] = book.have[there.start : there.stop]
    return pieces


def _files(book: Book) -> Iterator[FileTold]:
    """Wanted ones that are begun and not stored; of all others the job's list of files says enough."""
    units = book.layout.units
    for file, indices in book.by_file.items():
        stored = sum(units[index].size_bytes for index in indices if book.state[index] == Is.STORED)
        unstored = [index for index in indices if book.state[index] != Is.STORED]
        there = stored + sum(book.there_of(index) for index in unstored)
        if unstored and there and book.wanted[unstored[0]]:
            yield FileTold(file, there, stored)


def _words(said: Iterable[TrackerSaid]) -> Iterator[TrackerTold]:
    for one in said:
        yield TrackerTold(one.url, one.kind, one.text, one.peers)
