"""A small HTTP tracker: who has announced a torrent, told to whoever announces it. In memory, for loopback."""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from stack.listen import listening

INTERVAL_S = 30
AGAIN_S = 1
"""Who finds nobody may ask again so soon."""
READ_S = 10.0
LINE_BYTES = 8 * 1024
PEERS_MAX = 200
TORRENTS_MAX = 1_000


class Peer(Struct, frozen=True):
    host: str
    port: int
    id: bytes
    seed: bool


class Swarms:
    """Peers by torrent, newest last; a peer is its address."""

    def __init__(self) -> None:
        self._by_hash: dict[bytes, dict[tuple[str, int], Peer]] = {}

    def announce(self, torrent: bytes, peer: Peer, *, leaving: bool) -> list[Peer]:
        """The others."""
        if torrent not in self._by_hash and len(self._by_hash) >= TORRENTS_MAX:
            self._by_hash.pop(next(iter(self._by_hash)))
        swarm = self._by_hash.setdefault(torrent, {})
        swarm.pop((peer.host, peer.port), None)
        others = list(swarm.values())[-PEERS_MAX:]
        if not leaving:
            swarm[peer.host, peer.port] = peer
        return others


@asynccontextmanager
async def serve(host: str, port: int) -> AsyncIterator[int]:
    """Gives the port, which matters where 0 was asked for."""
    swarms = Swarms()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_S):
                head = await reader.readuntil(b"\r\n\r\n")
                body = reply(swarms, head.split(b" ", 2)[1].decode("latin-1"), writer.get_extra_info("peername")[0])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        except (OSError, TimeoutError, EOFError, ValueError, IndexError, asyncio.LimitOverrunError):
            pass  # not a tracker's client: hang up

    async with listening(answer, socket.create_server((host, port)), limit=LINE_BYTES) as found:
        yield found


def reply(swarms: Swarms, target: str, host: str) -> bytes:
    """The bencoded answer to one announce."""
    path, query = urlsplit(target).path, urlsplit(target).query
    asked = {
        name: value.encode("latin-1") for name, value in parse_qsl(query, encoding="latin-1", keep_blank_values=True)
    }
    torrent, port = asked.get("info_hash", b""), int(asked.get("port", b"0"))
    if path != "/announce" or len(torrent) != 20 or not 0 < port < 65_536:
        return b"d14:failure reason11:bad requeste"
    peer = Peer(host, port, asked.get("peer_id", b"")[:20], asked.get("left") == b"0")
    others = swarms.announce(torrent, peer, leaving=asked.get("event") == b"stopped")
    seeds = sum(other.seed for other in others)
    if asked.get("compact") == b"0":
        peers = b"l%be" % b"".join(_plain(other) for other in others)
    else:
        peers = _string(b"".join(_compact(other) for other in others if ":" not in other.host))
    counts = b"8:completei%de10:incompletei%de" % (seeds, len(others) - seeds)
    return b"d%b8:intervali%de12:min intervali%de5:peers%be" % (counts, INTERVAL_S, AGAIN_S, peers)


def _compact(peer: Peer) -> bytes:
    return ipaddress.IPv4Address(peer.host).packed + struct.pack(">H", peer.port)


def _plain(peer: Peer) -> bytes:
    return b"d2:ip%b7:peer id%b4:porti%dee" % (_string(peer.host.encode()), _string(peer.id), peer.port)


def _string(value: bytes) -> bytes:
    return b"%d:%b" % (len(value), value)
