"""Files of web servers, behind the same protocol as torrents: what is wanted, judged, cut, put and told is shared.

URL ──► what lies there (`probe`) ──► MetadataArrived ──► judged as any metadata ──► its pieces (`download`)
"""

import asyncio
from collections.abc import Callable, Sequence

from agent.config import Settings
from agent.engine.api import Add, Broke, Checked, EngineEvent, MetadataArrived, NotThere, Steering
from agent.engine.download import Download, Meter, Pace, Place, broke
from agent.engine.probe import BLIND_MAX_BYTES, TooLarge, find
from agent.engine.remote import Lies
from fetch.client import Client
from fetch.errors import FetchError
from fetch.socks import parse_proxy
from telemetry import logs
from wire.addresses import parse_allow
from wire.errors import BadRemote
from wire.ids import TransferId
from wire.messages import Pace as Share
from wire.remote import parse_remote

log = logs.get(__name__)

CONNECTIONS_MAX = 64
"""Of one agent, to all web servers together; who comes later waits."""
USER_AGENT = "seedlift"


class Life:
    """One transfer in the engine: what is done for it, and how."""

    def __init__(self, add: Add, place: Place) -> None:
        self.add = add
        self.place = place
        self.pace = Pace(add.steering.down_max)
        self.meter = Meter()
        self.download: Download | None = None
        self.task: asyncio.Task[None] | None = None


class Web:
    def __init__(self, settings: Settings, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._client = Client(
            connections=CONNECTIONS_MAX,
            user_agent=USER_AGENT,
            proxy=parse_proxy(settings.agent_proxy) if settings.agent_proxy else None,
            outgoing=settings.agent_outgoing,
        )
        self._blind_max = min(BLIND_MAX_BYTES, settings.agent_disk_bytes or BLIND_MAX_BYTES)
        self._lives: dict[TransferId, Life] = {}
        self._here: dict[TransferId, int] = {}
        """Files that came before their size was known, with it."""
        self._heard: Callable[[EngineEvent], None] = lambda event: None

    def listen(self, heard: Callable[[EngineEvent], None]) -> None:
        self._heard = heard

    def allow(self, ranges: Sequence[str]) -> None:
        self._client.allow = parse_allow(ranges)

    def add(self, add: Add) -> None:
        assert add.url is not None
        here = self._here.get(add.transfer)
        self.remove(add.transfer)
        add.folder.mkdir(parents=True, exist_ok=True)
        life = Life(add, Place(add.transfer, add.url, add.folder / "0", self._heard))
        if add.info is not None:
            life.download = self._download(life, add, here)
            there = life.download.pieces.have
            self._heard(Checked(add.transfer, tuple(piece for piece, is_there in enumerate(there) if is_there)))
        self._lives[add.transfer] = life
        self._start(life)

    def remove(self, transfer: TransferId) -> None:
        self._here.pop(transfer, None)
        if (life := self._lives.pop(transfer, None)) is not None:
            _stop(life)

    def pause(self, transfer: TransferId) -> None:
        if (life := self._lives.get(transfer)) is not None:
            _stop(life)

    def resume(self, transfer: TransferId) -> None:
        if (life := self._lives.get(transfer)) is not None and life.task is None:
            self._start(life)

    def steer(self, transfer: TransferId, steering: Steering) -> None:
        if (life := self._lives.get(transfer)) is not None:
            life.pace.rate = steering.down_max

    def limit(self, pace: Share) -> None:
        """Nothing of its own: each transfer's part of it is steered."""

    def announce(self, transfer: TransferId, *, at_once: bool) -> None:
        """Nobody is waited for longer than some seconds anyway."""

    def ask(self, transfer: TransferId, pieces: Sequence[tuple[int, int]]) -> None:
        life = self._lives.get(transfer)
        if life is not None and life.download is not None:
            life.download.ask(pieces)

    def known_peers(self, transfer: TransferId) -> Sequence[tuple[str, int]]:
        return ()

    def tick(self, *, availability: bool) -> None:
        for transfer, life in self._lives.items():
            self._heard(life.meter.figures(transfer))

    async def read(self, transfer: TransferId, piece: int) -> bytes:
        life = self._lives.get(transfer)
        if life is None or life.download is None:
            raise NotThere("the file is not in the engine")
        return await life.download.read(piece)

    async def aclose(self) -> None:
        for transfer in list(self._lives):
            self.remove(transfer)
        await self._client.aclose()

    def _download(self, life: Life, add: Add, here: int | None) -> Download:
        assert add.info is not None
        try:
            known = parse_remote(add.info)
        except BadRemote as bad:
            raise RuntimeError(f"what is known of the file cannot be read: {bad}") from None
        is_here = here == known.size_bytes and life.place.path.exists()  # a window has cleared the folder meanwhile
        have = bytes([is_here]) * known.piece_count
        return Download(life.place, known, add.priorities, self._client, life.pace, life.meter, have)

    def _start(self, life: Life) -> None:
        life.task = self._group.create_task(self._guarded(life))

    async def _guarded(self, life: Life) -> None:
        """What a stranger's server brings us to is not to end the agent, and every other transfer with it."""
        try:
            await (life.download.run() if life.download else self._find(life))
        except Exception as bug:
            log.exception("engine.bug", transfer=life.place.transfer)
            self._heard(Broke(life.place.transfer, "engine_error", type(bug).__name__))

    async def _find(self, life: Life) -> None:
        place = life.place
        try:
            found = await find(place, self._client, life.meter, life.pace, self._blind_max)
        except TooLarge as large:
            self._heard(Broke(place.transfer, "url_too_large", str(large)))
        except (FetchError, Lies, OSError) as failure:
            self._heard(broke(place, failure))
        else:
            if found.is_here:
                self._here[place.transfer] = parse_remote(found.raw).size_bytes
            self._heard(MetadataArrived(place.transfer, found.raw))


def _stop(life: Life) -> None:
    """What has come to its end stays there: a resume finds nothing out twice."""
    if life.task is not None and not life.task.done():
        life.task.cancel()
        life.task = None
