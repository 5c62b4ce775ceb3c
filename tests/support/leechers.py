"""Leechers of one torrent, each with its share of the pieces; they give to whoever gives to them, and count.

`python -m tests.support.leechers TORRENT CONTENT FOLDER COUNT RATE_BYTES` prints their addresses, and at SIGTERM how
many bytes they had from peers that call themselves seedlift. One alone begins with nothing, and has all it gets from
whoever connects to it.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import libtorrent as lt

from stack.demo.seeder import limit_loopback_too
from wire.metainfo import parse_torrent

NET = "127.77.1"
"""Each has an address of its own, since two peers of one address are one peer to most."""
SEEDERS = ("127.77.0.0", "127.77.0.255")
"""Kept out: they hear of us by peer exchange."""
AGENT = b"seedlift"
LOOK_S = 0.1
START_S = 60
SLOTS = 2
"""Unchoked at once, one of them at random: less than there are leechers, so that who gives nothing waits."""


class Leechers:
    def __init__(self, peers: Sequence[str], process: asyncio.subprocess.Process) -> None:
        self.peers = peers
        self._process = process

    async def count(self) -> int:
        """Ends them; the bytes that they had from our agents."""
        self._process.send_signal(signal.SIGTERM)
        said, _ = await self._process.communicate()
        return int(said.split()[-1])


@asynccontextmanager
async def leechers(torrent: Path, content: Path, folder: Path, count: int, rate_bytes: int) -> AsyncIterator[Leechers]:
    given = [str(torrent), str(content), str(folder), str(count), str(rate_bytes)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.leechers", *given, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            peers = (await process.stdout.readline()).decode().split()
        assert len(peers) == count, "the leechers did not start"
        yield Leechers(peers, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _session(host: str, rate_bytes: int) -> lt.session:
    session = lt.session(
        {
            "listen_interfaces": f"{host}:0",
            "outgoing_interfaces": host,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "upload_rate_limit": rate_bytes,
            "unchoke_slots_limit": SLOTS,
            "unchoke_interval": 2,
            "optimistic_unchoke_interval": 4,
            "num_optimistic_unchoke_slots": 1,
            "close_redundant_connections": False,
            "stop_tracker_timeout": 0,
            "alert_mask": lt.alert.category_t.status_notification,
            "user_agent": "leecher",
        }
    )
    limit_loopback_too(session)
    strangers = lt.ip_filter()
    strangers.add_rule(*SEEDERS, 1)
    session.set_ip_filter(strangers)
    return session


def _join(session: lt.session, torrent: Path, folder: Path) -> lt.torrent_handle:
    add = lt.load_torrent_file(str(torrent))
    add.trackers = []
    add.save_path = str(folder)
    flags = lt.torrent_flags
    add.flags = flags.apply_ip_filter | flags.disable_pex | flags.update_subscribe
    return session.add_torrent(add)


def _deal(torrent: Path, content: Path, folder: Path, number: int, count: int) -> None:
    """Every piece to one of them, in turn."""
    info = parse_torrent(torrent.read_bytes()).info
    for file in info.content:
        place = folder / content.name / Path(*file.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with content.joinpath(*file.path).open("rb") as whole, place.open("wb") as part:
            part.truncate(file.size_bytes)
            for piece in range(number, info.piece_count, count):
                at = piece * info.piece_length - file.offset
                if 0 <= at < file.size_bytes:
                    whole.seek(at)
                    part.seek(at)
                    part.write(whole.read(info.piece_length))


async def main(torrent: Path, content: Path, folder: Path, count: int, rate_bytes: int) -> None:
    """Of several every one knows those before it."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sessions: list[lt.session] = []
    handles: list[lt.torrent_handle] = []
    places: list[tuple[str, int]] = []
    for number in range(count):
        host, home = f"{NET}.{number + 1}", folder / f"leecher-{number}"
        home.mkdir(parents=True)
        if count > 1:
            _deal(torrent, content, home, number, count)
        session = _session(host, rate_bytes)
        handle = _join(session, torrent, home)
        while handle.status().state in (lt.torrent_status.checking_files, lt.torrent_status.checking_resume_data):
            await asyncio.sleep(LOOK_S)
        for place in places:
            handle.connect_peer(place)
        places.append((host, session.listen_port()))
        sessions.append(session)
        handles.append(handle)
    print(*(f"{host}:{port}" for host, port in places), flush=True)
    had: dict[tuple[int, tuple[str, int]], int] = {}
    while not stop.is_set():
        for number, handle in enumerate(handles):
            for peer in handle.get_peer_info():
                if peer.client == AGENT:
                    had[(number, peer.ip)] = peer.total_download
        await asyncio.sleep(LOOK_S)
    print(sum(had.values()), flush=True)


if __name__ == "__main__":
    torrent_file, content_dir, own_dir, how_many, rate = sys.argv[1:]
    asyncio.run(main(Path(torrent_file), Path(content_dir), Path(own_dir), int(how_many), int(rate)))
