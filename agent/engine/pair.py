"""Two sessions as one engine: the first shares while it downloads, the second gives nothing to anybody.

The second is there once a windowed transfer needs it. It cannot take back that it had a piece (the protocol has no
word for it), so it never lets a peer ask for one.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from agent.config import Settings
from agent.engine.api import Add, EngineEvent, NotThere, Steering
from agent.engine.paces import Paces
from agent.engine.session import Session
from agent.engine.silence import NotSilent
from wire.ids import TransferId
from wire.messages import Pace


class Pair:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._giving = Session(settings)
        self._taking: Session | None = None
        self._of: dict[TransferId, Session] = {}
        self._allowed: Sequence[str] = ()
        self._paces = Paces()
        self._heard: Callable[[EngineEvent], None] = lambda event: None

    def listen(self, heard: Callable[[EngineEvent], None]) -> None:
        def hear(event: EngineEvent) -> None:
            self._paces.hear(event)
            heard(event)

        self._heard = hear
        for session in self._sessions():
            session.listen(hear)

    def allow(self, ranges: Sequence[str]) -> None:
        self._allowed = ranges
        for session in self._sessions():
            session.allow(ranges)

    def add(self, add: Add) -> None:
        self.remove(add.transfer)
        session = self._giving if add.gives else self._taker()
        session.add(replace(add, steering=self._paces.steer(add.transfer, add.steering)))
        self._of[add.transfer] = session

    def remove(self, transfer: TransferId) -> None:
        self._paces.leave(transfer)
        if (session := self._of.pop(transfer, None)) is not None:
            session.remove(transfer)

    def pause(self, transfer: TransferId) -> None:
        if (session := self._of.get(transfer)) is not None:
            session.pause(transfer)

    def resume(self, transfer: TransferId) -> None:
        if (session := self._of.get(transfer)) is not None:
            session.resume(transfer)

    def steer(self, transfer: TransferId, steering: Steering) -> None:
        if (session := self._of.get(transfer)) is not None:
            session.steer(transfer, self._paces.steer(transfer, steering))

    def limit(self, pace: Pace) -> None:
        if self._paces.limit(pace):
            for session in self._sessions():
                session.limit(pace)
            self._divide()

    def announce(self, transfer: TransferId) -> None:
        if (session := self._of.get(transfer)) is not None:
            session.announce(transfer)

    def ask(self, transfer: TransferId, pieces: Sequence[tuple[int, int]]) -> None:
        if (session := self._of.get(transfer)) is not None:
            session.ask(transfer, pieces)

    def known_peers(self, transfer: TransferId) -> Sequence[tuple[str, int]]:
        session = self._of.get(transfer)
        return session.known_peers(transfer) if session else ()

    def tick(self, *, availability: bool) -> None:
        self._divide()
        for session in self._sessions():
            session.tick(availability=availability)

    async def read(self, transfer: TransferId, piece: int) -> bytes:
        session = self._of.get(transfer)
        if session is None:
            raise NotThere("the torrent is not in a session")
        return await session.read(transfer, piece)

    async def aclose(self) -> None:
        for session in self._sessions():
            await session.aclose()

    def _divide(self) -> None:
        for transfer, steering in self._paces.divide():
            self._of[transfer].steer(transfer, steering)

    def _sessions(self) -> Sequence[Session]:
        return (self._giving, self._taking) if self._taking else (self._giving,)

    def _taker(self) -> Session:
        if self._taking is None:
            try:
                self._taking = Session(self._settings, gives=False)
            except NotSilent as failure:
                raise RuntimeError(f"the second session cannot be opened: {failure}") from failure
            self._taking.listen(self._heard)
            self._taking.allow(self._allowed)
            self._taking.limit(self._paces.total)
        return self._taking
