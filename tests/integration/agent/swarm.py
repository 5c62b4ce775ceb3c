"""A real swarm of one seeder on loopback, with a torrent of random bytes."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import libtorrent as lt
from msgspec import Struct

from agent.config import Settings
from agent.engine.api import Add, EngineEvent
from agent.engine.session import Session
from agent.parts import Book
from agent.prepare import layout_of
from stack.demo.seeder import limit_loopback_too
from wire.ids import TransferId, new_id
from wire.metainfo import Info, parse_info

LOOPBACK = ["127.0.0.0/8"]
LIMIT_S = 20.0
PIECE_BYTES = 65_536


class Seeded(Struct, frozen=True):
    raw_info: bytes
    info: Info
    port: int
    content: dict[int, bytes]
    """By the file's index."""

    @property
    def v1(self) -> str:
        return hashlib.sha1(self.raw_info, usedforsecurity=False).hexdigest()

    def book(self) -> Book:
        return Book(layout_of(self.info))

    def add(self, folder: Path, transfer: TransferId, book: Book | None = None) -> Add:
        """With a book all its pieces are wanted; without one, metadata alone."""
        return Add(
            transfer=transfer,
            folder=folder,
            v1=self.v1,
            v2=None,
            trackers=[],
            web_seeds=[],
            peers=[("127.0.0.1", self.port)],
            info=self.raw_info if book else None,
            priorities=book.priorities() if book else (),
            sizes=[(file.index, file.size_bytes) for file in self.info.content] if book else (),
        )


@contextmanager
def seed(folder: Path, sizes: dict[str, int], announce: str | None = None, *, rate_bytes: int = 0) -> Iterator[Seeded]:
    """`rate_bytes` a second over all peers; 0 is no limit."""
    root = folder / "torrent"
    for name, size in sizes.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))
    made = lt.create_torrent(lt.list_files(str(root)), PIECE_BYTES, lt.create_torrent.v1_only)
    lt.set_piece_hashes(made, str(folder))
    raw_info = lt.bencode(made.generate()[b"info"])
    info = parse_info(raw_info)
    params = lt.session_params()
    params.settings = {
        "listen_interfaces": "127.0.0.1:0",
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_incoming_utp": False,
        "enable_outgoing_utp": False,
        "allow_multiple_connections_per_ip": True,
        "stop_tracker_timeout": 0,  # it ends while nobody listens
        "upload_rate_limit": rate_bytes,
    }
    session = lt.session(params)
    limit_loopback_too(session)
    torrent = lt.load_torrent_buffer(b"d4:info" + raw_info + b"e")
    torrent.save_path = str(folder)
    torrent.flags = lt.torrent_flags.seed_mode
    torrent.trackers = [announce] if announce else []
    session.add_torrent(torrent)
    content = {file.index: root.joinpath(*file.path).read_bytes() for file in info.content}
    yield Seeded(raw_info, info, session.listen_port(), content)


def settings(folder: Path) -> Settings:
    return Settings(agent_dir=folder, agent_listen="127.0.0.1:0")


class Listening:
    """An engine, and all that it said."""

    def __init__(self, folder: Path, chosen: Settings | None = None, *, gives: bool = True) -> None:
        self.session = Session(chosen or settings(folder), gives=gives)
        self.said: list[EngineEvent] = []
        self._more = asyncio.Event()
        self.session.listen(self._heard)
        self.session.allow(LOOPBACK)

    async def __aenter__(self) -> "Listening":
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.session.aclose()

    async def until(self, holds: Callable[[list[EngineEvent]], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds(self.said):
                self._more.clear()
                await self._more.wait()

    def _heard(self, event: EngineEvent) -> None:
        self.said.append(event)
        self._more.set()


def new_transfer() -> TransferId:
    return TransferId(new_id())
