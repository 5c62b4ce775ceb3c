"""The sim engine: behind the real one's protocol pieces come out of nothing, as a script says; for tests and demos.

Everything around it is real: claims, fold, plan, book, uploads, syncs. So hundreds of transfers need no swarm, and
failures come when they are wanted. There is no network and no disk: a magnet finds no metadata, and after a restart
nothing is there but what was stored. What it stores is a pattern, not the torrent's content.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

from agent.engine.api import (
    Add,
    Broke,
    Checked,
    EngineEvent,
    Figures,
    NotThere,
    PieceVerified,
    Steering,
    TrackerSaid,
)  # fmt: skip
from agent.engine.paces import Paces
from agent.engine.script import ALL, Break, Give, Lie, Script, Stall, dealt, parse
from wire.ids import TransferId
from wire.messages import Pace
from wire.metainfo import Info, parse_info

GONE_READS = 2
"""So often a piece that is a lie cannot be read."""
LATER_S = 0.0
"""On the loop's next turn: a torrent of thousands of pieces holds nobody up."""

Heard = Callable[[EngineEvent], None]


def content_of(v1: str, piece: int, size: int) -> bytes:
    """What a piece holds, always."""
    pattern = hashlib.blake2b(f"{v1}:{piece}".encode()).digest()
    return (pattern * -(-size // len(pattern)))[:size]


class Sim:
    def __init__(self, text: str) -> None:
        self._scripts = parse(text)
        self._torrents: dict[TransferId, _Torrent] = {}
        self._paces = Paces()
        self._heard: Heard = lambda event: None

    def listen(self, heard: Heard) -> None:
        self._heard = heard

    def allow(self, ranges: Sequence[str]) -> None:
        """Nobody is talked to."""

    def add(self, add: Add) -> None:
        self.remove(add.transfer)
        info = parse_info(add.info) if add.info is not None else None
        torrent = _Torrent(add, info, dealt(self._scripts, add.v1 or add.v2 or "0"), self._heard)
        self._torrents[add.transfer] = torrent
        torrent.steering = self._paces.steer(add.transfer, add.steering)
        torrent.begin()

    def remove(self, transfer: TransferId) -> None:
        self._paces.leave(transfer)
        if (torrent := self._torrents.pop(transfer, None)) is not None:
            torrent.pause()

    def pause(self, transfer: TransferId) -> None:
        if (torrent := self._torrents.get(transfer)) is not None:
            torrent.pause()

    def resume(self, transfer: TransferId) -> None:
        if (torrent := self._torrents.get(transfer)) is not None:
            torrent.go_on()

    def steer(self, transfer: TransferId, steering: Steering) -> None:
        if (torrent := self._torrents.get(transfer)) is not None:
            torrent.steering = self._paces.steer(transfer, steering)

    def limit(self, pace: Pace) -> None:
        self._paces.limit(pace)

    def announce(self, transfer: TransferId, *, at_once: bool) -> None:
        if (torrent := self._torrents.get(transfer)) is not None:
            torrent.announce()

    def ask(self, transfer: TransferId, pieces: Sequence[tuple[int, int]]) -> None:
        if (torrent := self._torrents.get(transfer)) is not None:
            torrent.ask(pieces)

    def known_peers(self, transfer: TransferId) -> Sequence[tuple[str, int]]:
        return ()

    def tick(self, *, availability: bool) -> None:
        for torrent in self._torrents.values():
            figures = torrent.figures(availability=availability)
            self._paces.hear(figures)
            self._heard(figures)
        for transfer, steering in self._paces.divide():
            self._torrents[transfer].steering = steering

    async def read(self, transfer: TransferId, piece: int) -> bytes:
        if (torrent := self._torrents.get(transfer)) is None:
            raise NotThere("the torrent is not in the engine")
        return torrent.read(piece)

    async def aclose(self) -> None:
        for transfer in list(self._torrents):
            self.remove(transfer)


class _Torrent:
    """One torrent on its way through its script."""

    def __init__(self, add: Add, info: Info | None, script: Script, heard: Heard) -> None:
        self.steering = add.steering
        self._add = add
        self._info = info
        self._heard = heard
        self._steps = list(script)
        self._given = 0
        """Of the step that is being done."""
        self._wanted = list(add.priorities)
        self._have = bytearray(len(self._wanted))
        self._end = max((file.offset + file.size_bytes for file in info.files), default=0) if info else 0
        self._next_is_gone = False
        self._gone: dict[int, int] = {}
        """Pieces that cannot be read so many times."""
        self._fetched = self._wrong = self._told = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def begin(self) -> None:
        self.announce()
        if self._info is not None:
            self._heard(Checked(self._add.transfer, ()))
            self.go_on()

    def pause(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def go_on(self) -> None:
        self._stopped = False
        self._wait(LATER_S)

    def announce(self) -> None:
        for url in (url for tier in self._add.trackers for url in tier):
            self._heard(TrackerSaid(self._add.transfer, url, "ok", "", peers=1))

    def ask(self, pieces: Sequence[tuple[int, int]]) -> None:
        for piece, priority in pieces:
            self._wanted[piece] = priority
        if not self._stopped and self._timer is None:
            self._wait(LATER_S)

    def read(self, piece: int) -> bytes:
        if self._gone.get(piece, 0):
            self._gone[piece] -= 1
            raise NotThere("the piece is a lie")
        if not self._have[piece]:
            raise NotThere("the piece is not there")
        return content_of(self._add.v1 or "", piece, self._size_of(piece))

    def figures(self, *, availability: bool) -> Figures:
        fresh, self._told = self._fetched - self._told, self._fetched
        return Figures(
            self._add.transfer,
            down_rate=fresh,  # the driver ticks once a second
            up_rate=0,
            peers=1,
            seeds=1,
            fetched_bytes=self._fetched,
            wrong_bytes=self._wrong,
            availability=1.0 if availability else None,
        )

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._next)

    def _next(self) -> None:
        """One step, or one piece of it."""
        self._timer = None
        if not self._steps or self._stopped:
            return
        match self._steps[0]:
            case Give() as give:
                self._give(give)
            case Stall(for_s=for_s):
                self._steps.pop(0)
                self._wait(for_s)
            case Break(code=code):
                self._steps.clear()
                self._heard(Broke(self._add.transfer, code, "so says the script"))
            case Lie(how=how):
                self._steps.pop(0)
                self._lie(how)
                self._wait(LATER_S)

    def _give(self, give: Give) -> None:
        piece = self._best()
        if piece is None:
            if len(self._steps) > 1:
                self._steps.pop(0)
                self._wait(LATER_S)
            return  # else until another is asked for
        size = self._size_of(piece)
        self._have[piece] = 1
        if self._next_is_gone:
            self._next_is_gone, self._gone[piece] = False, GONE_READS
        self._fetched += size
        self._given += 1
        if self._given == give.pieces != ALL:
            self._steps.pop(0)
            self._given = 0
        self._heard(PieceVerified(self._add.transfer, piece))
        self._wait(max(give.every_s, size / self.steering.down_max if self.steering.down_max else 0.0))

    def _lie(self, how: str) -> None:
        if how == "gone":
            self._next_is_gone = True
        else:
            self._fetched += self._size_of(0)
            self._wrong += self._size_of(0)

    def _best(self) -> int | None:
        """Of those that are missing, the first of the highest priority."""
        missing = (piece for piece, want in enumerate(self._wanted) if want and not self._have[piece])
        return max(missing, key=self._wanted.__getitem__, default=None)

    def _size_of(self, piece: int) -> int:
        assert self._info is not None
        return min(self._info.piece_length, self._end - piece * self._info.piece_length)
