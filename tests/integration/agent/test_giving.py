"""What peers get from us: from a torrent that shares, what they ask for; from a windowed one, not a byte."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libtorrent as lt
import pytest
from msgspec.structs import replace

from agent.engine.api import PieceVerified
from agent.engine.pair import Pair
from agent.engine.session import Session
from agent.engine.web import Web
from tests.integration.agent.swarm import LOOPBACK, Seeded, new_transfer, seed, settings
from tests.support.until import until
from wire.messages import Pace
from wire.units import MIB

SIZES = {"big.bin": 3_000_000}
OWN_ADDRESS = "127.0.0.2"
"""Two peers of one address are one peer."""


@contextmanager
def leecher(seeded: Seeded, folder: Path) -> Iterator[tuple[lt.torrent_handle, tuple[str, int]]]:
    """Wants everything, and knows nobody."""
    session = lt.session(
        {
            "listen_interfaces": f"{OWN_ADDRESS}:0",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
        }
    )
    add = lt.load_torrent_buffer(b"d4:info" + seeded.raw_info + b"e")
    add.save_path = str(folder)
    add.flags = lt.torrent_flags.disable_pex
    handle = session.add_torrent(add)
    yield handle, (OWN_ADDRESS, session.listen_port())
    session.pause()


@pytest.mark.parametrize("gives", [True, False])
async def test_a_peer_gets_pieces_only_where_we_give(tmp_path: Path, gives: bool) -> None:
    verified: set[int] = set()
    async with asyncio.TaskGroup() as group:
        pair = Pair(settings(tmp_path), Web(settings(tmp_path), group))
        pair.listen(lambda event: verified.add(event.piece) if isinstance(event, PieceVerified) else None)
        pair.allow(LOOPBACK)
        with seed(tmp_path / "seeder", SIZES) as seeded, leecher(seeded, tmp_path / "leecher") as (peer, place):
            add = seeded.add(tmp_path / "data", new_transfer(), seeded.book())
            pair.add(replace(add, peers=[*add.peers, place], gives=gives))
            await until(lambda: len(verified) == seeded.info.piece_count)
            if gives:
                await until(lambda: peer.status().is_seeding)
            else:  # it has heard of the last piece, wants it, and would have been given the first long ago
                await until(lambda: any(all(other.pieces) for other in peer.get_peer_info()))
            assert (peer.status().total_payload_download > 0) is gives
        await pair.aclose()


def limits(session: Session) -> tuple[int, int, list[int]]:
    """Of the session, down and up; and of its torrents, down."""
    pack = session._live.get_settings()
    torrents = [handle.download_limit() for handle in session._handles.values()]
    return pack["download_rate_limit"], pack["upload_rate_limit"], torrents


async def test_an_agents_limit_is_one_for_both_sessions_and_shared_by_torrents(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        pair = Pair(settings(tmp_path), Web(settings(tmp_path), group))
        with seed(tmp_path / "seeder", SIZES) as seeded:
            pair.limit(Pace(down_max=4 * MIB, up_max=MIB))
            first = replace(seeded.add(tmp_path / "first", new_transfer(), seeded.book()), peers=[])
            pair.add(first)
            assert limits(pair._giving) == (4 * MIB, MIB, [4 * MIB])
            second = replace(first, transfer=new_transfer(), folder=tmp_path / "second", gives=False)
            pair.add(second)
            pair.tick(availability=False)
            assert pair._taking is not None
            assert limits(pair._giving) == limits(pair._taking) == (4 * MIB, MIB, [2 * MIB])
            pair.remove(second.transfer)
            pair.tick(availability=False)
            assert limits(pair._giving) == (4 * MIB, MIB, [4 * MIB])
            pair.limit(Pace())
            assert limits(pair._giving) == (0, 0, [0])
        await pair.aclose()
