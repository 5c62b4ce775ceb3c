"""Two sessions and a web client as one engine: the first shares while it downloads, the second gives nothing away.

The second is there once a windowed transfer needs it. It cannot take back that it had a piece (the protocol has no
word for it), so it never lets a peer ask for one.
"""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from agent.config import Settings
from agent.engine.api import Add, Engine, EngineEvent, NotThere, Steering
from agent.engine.paces import Paces
from agent.engine.session import Session
from agent.engine.silence import NotSilent
from wire.ids import TransferId
from wire.messages import Pace


class Pair:
    def __init__(self, settings: Settings, web: Engine) -> None:
        """`web` brings what is no torrent."""
        self._settings = settings
        self._web = web
        self._giving = Session(settings)
        self._taking: Session | None = None
        self._of: dict[TransferId, Engine] = {}
        self._allowed: Sequence[str] = ()
        self._paces = Paces()
        self._heard: Callable[[EngineEvent], None] = lambda event: None

    def listen(self, heard: Callable[[EngineEvent], None]) -> None:
        def hear(event: EngineEvent) -> None:
            self._paces.hear(event)
            heard(event)

        self._heard = hear
        for engine in self._engines():
            engine.listen(hear)

    def allow(self, ranges: Sequence[str]) -> None:
        self._allowed = ranges
        for engine in self._engines():
            engine.allow(ranges)

    def add(self, add: Add) -> None:
        engine = self._web if add.url else self._giving if add.gives else self._taker()
        if self._of.get(add.transfer) is not engine:
            self.remove(add.transfer)
        engine.add(replace(add, steering=self._paces.steer(add.transfer, add.steering)))
        self._of[add.transfer] = engine

    def remove(self, transfer: TransferId) -> None:
        self._paces.leave(transfer)
        if (engine := self._of.pop(transfer, None)) is not None:
            engine.remove(transfer)

    def pause(self, transfer: TransferId) -> None:
        if (engine := self._of.get(transfer)) is not None:
            engine.pause(transfer)

    def resume(self, transfer: TransferId) -> None:
        if (engine := self._of.get(transfer)) is not None:
            engine.resume(transfer)

    def steer(self, transfer: TransferId, steering: Steering) -> None:
        if (engine := self._of.get(transfer)) is not None:
            engine.steer(transfer, self._paces.steer(transfer, steering))

    def limit(self, pace: Pace) -> None:
        if self._paces.limit(pace):
            for engine in self._engines():
                engine.limit(pace)
            self._divide()

    def announce(self, transfer: TransferId, *, at_once: bool) -> None:
        if (engine := self._of.get(transfer)) is not None:
            engine.announce(transfer, at_once=at_once)

    def ask(self, transfer: TransferId, pieces: Sequence[tuple[int, int]]) -> None:
        if (engine := self._of.get(transfer)) is not None:
            engine.ask(transfer, pieces)

    def known_peers(self, transfer: TransferId) -> Sequence[tuple[str, int]]:
        engine = self._of.get(transfer)
        return engine.known_peers(transfer) if engine else ()

    def tick(self, *, availability: bool) -> None:
        self._divide()
        for engine in self._engines():
            engine.tick(availability=availability)

    async def read(self, transfer: TransferId, piece: int) -> bytes:
        engine = self._of.get(transfer)
        if engine is None:
            raise NotThere("the torrent is not in a session")
        return await engine.read(transfer, piece)

    async def aclose(self) -> None:
        for engine in self._engines():
            await engine.aclose()

    def _divide(self) -> None:
        for transfer, steering in self._paces.divide():
            self._of[transfer].steer(transfer, steering)

    def _engines(self) -> Sequence[Engine]:
        return (self._web, self._giving, *((self._taking,) if self._taking else ()))

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
