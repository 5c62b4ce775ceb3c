"""The demo's swarm gives its content away, to whoever asks its tracker; and no faster than it is told to."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import libtorrent as lt
import pytest

from stack.demo import seeder, torrent, tracker
from tests.support.until import until
from wire.units import KIB, MIB

HOST = "127.77.0.1"
WAIT_S = 30.0


@pytest.fixture
async def content(tmp_path: Path) -> Path:
    folder = tmp_path / "given" / "content"
    folder.mkdir(parents=True)
    (folder / "large").write_bytes(bytes(range(256)) * 4 * KIB)
    (folder / "empty").touch()
    return folder


@pytest.fixture
async def announce() -> AsyncIterator[str]:
    async with tracker.serve(HOST, 0) as port:
        yield f"http://{HOST}:{port}/announce"


def leecher(tmp_path: Path, add: lt.add_torrent_params) -> tuple[lt.session, lt.torrent_handle]:
    session = lt.session({
        "listen_interfaces": "127.0.0.1:0", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
        "enable_natpmp": False, "enable_outgoing_utp": False, "enable_incoming_utp": False, "stop_tracker_timeout": 0,
    })  # fmt: skip
    add.save_path = str(tmp_path / "taken")
    return session, session.add_torrent(add)


async def finished(handle: lt.torrent_handle) -> None:
    deadline = time.monotonic() + WAIT_S
    while not (status := handle.status()).is_seeding:
        assert time.monotonic() < deadline, f"{status.state} {status.progress}"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["v1", "hybrid"])
async def test_by_magnet_and_tracker_all_bytes_arrive(
    tmp_path: Path, content: Path, announce: str, kind: torrent.Kind
) -> None:
    file = tmp_path / "content.torrent"
    file.write_bytes(torrent.create(content, trackers=[announce], kind=kind))
    with seeder.seeding({file: content.parent}, HOST, 0):
        magnet = torrent.magnet(file.read_bytes(), trackers=[announce], peers=[])
        session, handle = leecher(tmp_path, lt.parse_magnet_uri(magnet))
        await finished(handle)
        session.pause()
    taken = tmp_path / "taken" / "content" / "large"
    await until(lambda: taken.exists() and taken.read_bytes() == (content / "large").read_bytes())  # written behind


async def test_a_rate_limited_seeder_limits_peers_on_loopback_too(tmp_path: Path, content: Path, announce: str) -> None:
    """Without the peer class filter the mebibyte is there at once; with it, most of it is not yet."""
    file = tmp_path / "content.torrent"
    file.write_bytes(torrent.create(content, trackers=[announce], piece_bytes=16 * KIB))
    with seeder.seeding({file: content.parent}, HOST, 0, rate_bytes=64 * KIB) as port:
        add = lt.parse_magnet_uri(torrent.magnet(file.read_bytes(), trackers=[], peers=[f"{HOST}:{port}"]))
        session, handle = leecher(tmp_path, add)
        deadline = time.monotonic() + WAIT_S
        while handle.status().total_done < 64 * KIB:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert handle.status().total_done < MIB // 2
        session.pause()
