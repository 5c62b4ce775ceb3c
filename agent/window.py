"""The window: which pieces are asked for first, so that parts finish while the rest still arrives.

    |  there  |  band 7  |  band 6  |  band 5  |  later (1) … |

Pieces are taken in the torrent's order, and so in that of parts. A band holds so many bytes of missing pieces; inside a
band libtorrent takes the rarest first, and it goes on to the next band when a peer has nothing of this one.
"""

from wire.units import MIB

BANDS = ((7, 16 * MIB), (6, 32 * MIB), (5, 64 * MIB))
"""Priority, and missing bytes from the front. One peer has 8 MiB of requests on the way, so the first band keeps it
busy; wider bands leave more unfinished parts, and the upload idle until the first of them is whole."""
LATER = 1


class Window:
    def __init__(self, wanted: bytearray, have: bytearray, piece_bytes: int) -> None:
        self._wanted = wanted
        self._have = have
        self._room = [max(1, size // piece_bytes) for _, size in BANDS]
        self._ends = [0] * len(BANDS)
        self._missing = [0] * len(BANDS)

    def arrived(self, piece: int) -> None:
        if self._wanted[piece]:
            for band, end in enumerate(self._ends):
                self._missing[band] -= piece < end

    def slide(self) -> dict[int, int]:
        """Pieces whose priority changes, with the new one."""
        changes: dict[int, int] = {}
        for band in reversed(range(len(BANDS))):  # a piece that is in several has the highest, said last
            end = self._ends[band]
            while self._missing[band] < self._room[band] and end < len(self._wanted):
                if self._wanted[end] and not self._have[end]:
                    changes[end] = BANDS[band][0]
                    self._missing[band] += 1
                end += 1
            self._ends[band] = end
        return changes
