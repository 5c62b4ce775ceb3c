"""A silent agent: it listens, so that it can announce, and nobody can tell."""

import os
import select
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.config import Settings
from agent.engine.api import PieceVerified
from agent.engine.silence import NotSilent, silence
from stack.demo import tracker
from tests.integration.agent.swarm import Listening, new_transfer, seed
from tests.support.until import until

EVERYWHERE = "0.0.0.0:0,[::]:0"
SILENT_MS = 300
"""Loopback answers while the packet is being sent; this is for a busy machine."""
TRACKER = "127.0.0.9"
UTP_SYN = struct.pack(">BBHIIIHH", 0x41, 0, 7, 1, 0, 65_536, 1, 0)
DHT_PING = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"


def silent(folder: Path) -> Settings:
    return Settings(agent_dir=folder, agent_listen=EVERYWHERE, agent_incoming=False)


def bound(kind: socket.SocketKind) -> set[tuple[str, int]]:
    """Where this process's sockets listen (TCP) or take datagrams (UDP)."""
    found = set()
    for entry in list(Path("/proc/self/fd").iterdir()):
        if not entry.is_socket():
            continue
        with socket.socket(fileno=os.dup(int(entry.name))) as copy:
            if copy.family not in (socket.AF_INET, socket.AF_INET6) or copy.type != kind:
                continue
            if kind == socket.SOCK_DGRAM or copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                address, port = copy.getsockname()[:2]
                if not address.startswith("fe80"):
                    found.add((address, port))
    return found


def answers_tcp(place: tuple[str, int]) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET) as knocking:
        knocking.setblocking(False)
        knocking.connect_ex(place)
        return happens(knocking, select.POLLOUT) and not knocking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def answers_udp(place: tuple[str, int]) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_DGRAM) as knocking:
        knocking.connect(place)
        try:
            knocking.send(UTP_SYN)
            knocking.send(DHT_PING)
        except ConnectionRefusedError:  # nobody is there
            return False
        return happens(knocking, select.POLLIN) and not knocking.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def happens(knocking: socket.socket, what: int) -> bool:
    poll = select.poll()
    poll.register(knocking, what)
    return bool(poll.poll(SILENT_MS))


def all_answer(opened: set[tuple[str, int]], answers: Callable[[tuple[str, int]], bool]) -> bool:
    """Not always at once on a busy machine, and not while libtorrent opens its places anew."""
    return "127.0.0.1" in {address for address, _ in opened} and all(map(answers, opened))


async def test_an_agent_with_incoming_answers_where_it_listens(tmp_path: Path) -> None:
    streams, datagrams = bound(socket.SOCK_STREAM), bound(socket.SOCK_DGRAM)
    open_to_all = replace(silent(tmp_path), agent_incoming=True, agent_utp=True, agent_dht=True)
    async with Listening(tmp_path, open_to_all):
        await until(lambda: all_answer(bound(socket.SOCK_STREAM) - streams, answers_tcp))
        await until(lambda: all_answer(bound(socket.SOCK_DGRAM) - datagrams, answers_udp))


async def test_a_silent_agent_has_its_places_and_nothing_answers_there(tmp_path: Path) -> None:
    streams, datagrams = bound(socket.SOCK_STREAM), bound(socket.SOCK_DGRAM)
    async with Listening(tmp_path, replace(silent(tmp_path), agent_utp=True, agent_dht=True)):
        assert bound(socket.SOCK_STREAM) - streams == set()
        opened = bound(socket.SOCK_DGRAM) - datagrams  # TCP has the same ports
        assert "127.0.0.1" in {address for address, _ in opened}
        assert not any(map(answers_tcp, opened))
        assert not any(map(answers_udp, opened))


async def test_listeners_that_are_not_the_engines_stay_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as metrics:
        async with Listening(tmp_path, silent(tmp_path)):
            assert answers_tcp(metrics.getsockname())


async def test_a_silent_agent_finds_peers_by_a_tracker_and_downloads(tmp_path: Path) -> None:
    async with tracker.serve(TRACKER, 0) as port:
        announce = f"http://{TRACKER}:{port}/announce"
        with seed(tmp_path / "seeder", {"big.bin": 300_000}, announce) as seeded:
            async with Listening(tmp_path, silent(tmp_path)) as engine:
                add = seeded.add(tmp_path / "data", new_transfer(), seeded.book())
                engine.session.add(replace(add, peers=[], trackers=[[announce]]))
                pieces = set(range(seeded.info.piece_count))
                await engine.until(lambda said: {e.piece for e in said if isinstance(e, PieceVerified)} == pieces)


def test_a_port_that_is_not_ours_cannot_be_silenced() -> None:
    with pytest.raises(NotSilent, match="AGENT_INCOMING"):
        silence({("127.0.0.1", 1)})
