"""The window: which pieces are asked for first, so that parts finish while the rest still arrives.

    |  there  |  band 7  |  band 6  |  band 5  |  later (1) … |  beyond the horizon (0) … |

Pieces are taken in the torrent's order, and so in that of parts; before all others those that are wanted early, part by
part too. A band holds so many bytes of missing pieces; inside a band libtorrent takes the rarest first, and it goes on
to the next band when a peer has nothing of this one. The horizon is the torrent's end, but for a transfer whose disk is
bounded: there it goes as far as there is room, and on when pieces have left the disk.
"""

from array import array
from collections.abc import Sequence

from wire.units import MIB

BANDS = ((7, 16 * MIB), (6, 32 * MIB), (5, 64 * MIB))
"""Priority, and missing bytes from the front. One peer has 8 MiB of requests on the way, so the first band keeps it
busy; wider bands leave more unfinished parts, and the upload idle until the first of them is whole."""
LATER = 1


class Window:
    def __init__(
        self,
        wanted: bytearray,
        have: bytearray,
        piece_bytes: int,
        on_disk: bytearray | None = None,
        early: Sequence[int] = (),
    ) -> None:
        """`on_disk`, of a bounded window: pieces that are there, and from here on those that were asked for. `early`:
        different pieces, that go before all others in this order."""
        self._order, self._place = _ordered(early, len(wanted))
        self._wanted = wanted
        self._have = have
        self._room = [max(1, size // piece_bytes) for _, size in BANDS]
        self._ends = [0] * len(BANDS)
        self._missing = [0] * len(BANDS)
        self._on_disk = on_disk if on_disk is not None else bytearray()
        self._horizon = len(wanted) if on_disk is None else 0
        self.held = self._on_disk.count(1)
        """Pieces that a bounded window keeps room for."""
        self._asked = 0
        """Of these: what has not come yet."""

    @property
    def is_shut(self) -> bool:
        """All that was asked for is there: more is asked for when something of it has left the disk."""
        return bool(self._on_disk) and not self._asked

    def arrived(self, piece: int) -> None:
        if self._on_disk and self._on_disk[piece]:
            self._asked -= 1
        if self._wanted[piece]:
            place = self._place[piece]
            for band, end in enumerate(self._ends):
                self._missing[band] -= place < end

    def left(self, piece: int) -> None:
        """The disk."""
        if self._on_disk[piece]:
            self._on_disk[piece] = 0
            self.held -= 1

    def slide(self, room: int = 0) -> dict[int, int]:
        """Pieces whose priority changes, with the new one. `room`: how many more may be asked for, if it is bounded."""
        changes: dict[int, int] = {}
        while room > 0 and self._horizon < len(self._wanted):
            piece = self._order[self._horizon]
            if self._wanted[piece] and not self._have[piece]:
                changes[piece] = LATER
                self._on_disk[piece] = 1
                self.held += 1
                self._asked += 1
                room -= 1
            self._horizon += 1
        for band in reversed(range(len(BANDS))):  # a piece that is in several has the highest, said last
            end = self._ends[band]
            while self._missing[band] < self._room[band] and end < self._horizon:
                piece = self._order[end]
                if self._wanted[piece] and not self._have[piece]:
                    changes[piece] = BANDS[band][0]
                    self._missing[band] += 1
                end += 1
            self._ends[band] = end
        return changes


def _ordered(early: Sequence[int], pieces: int) -> tuple[Sequence[int], Sequence[int]]:
    """All pieces in their order, and each one's place in it."""
    if not early:
        return range(pieces), range(pieces)
    first = set(early)
    order = array("l", early)
    order.extend(piece for piece in range(pieces) if piece not in first)
    place = array("l", bytes(order.itemsize * pieces))
    for at, piece in enumerate(order):
        place[piece] = at
    return order, place
