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
from agent.engine.web import Web
from tests.integration.agent.swarm import LOOPBACK, Seeded, new_transfer, seed, settings
from tests.support.until import until

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
