"""Whom the engine talks to: of all addresses that a torrent names, the private ones never hear of it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import libtorrent as lt
import pytest
from msgspec.structs import replace

from agent.config import Settings
from agent.engine.api import Add, TrackerSaid
from agent.engine.session import Session
from stack.listen import listening
from tests.integration.agent.swarm import Listening, Seeded, new_transfer, seed
from tests.support.until import until

ALLOWED = "127.0.0.9"
REFUSED = "127.0.0.1"
HANDSHAKE = b"\x13BitTorrent protocol"
NOTHING: Mapping[str, bytes] = {}


class Ear:
    """Takes TCP and UDP on one port, and answers nothing: what reached it waits in its sockets."""

    def __init__(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.tcp = socket.create_server((address, 0), family=family)
        self.port: int = self.tcp.getsockname()[1]
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((address, self.port))
        for heard in (self.tcp, self.udp):
            heard.setblocking(False)

    def contacts(self) -> list[str]:
        found = []
        for kind, take in (("tcp", self._accepted), ("udp", self._received)):
            try:
                found.append(f"{kind} from {take()}")
            except BlockingIOError:
                continue
        return found

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()

    def _accepted(self) -> object:
        accepted, origin = self.tcp.accept()
        accepted.close()
        return origin

    def _received(self) -> object:
        return self.udp.recvfrom(2_048)[1]


@contextmanager
def ear(address: str = REFUSED) -> Iterator[Ear]:
    listening = Ear(address)
    try:
        yield listening
    finally:
        listening.close()


class Friend(asyncio.DatagramProtocol):
    """On the allowed address: tracker, web seed and peer in one; remembers what it was asked."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self.asked: set[str] = set()
        self.port = 0
        self._answers = answers

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.asked.add("udp")

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(20):
                first = await reader.readexactly(len(HANDSHAKE))
                if first == HANDSHAKE:
                    self.asked.add("peer")
                    return
                line = (first + await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0].decode()
            path = line.split(" ")[1].partition("?")[0]
            writer.write(self._answers.get(path, _http(404)))
            await writer.drain()
            self.asked.add(path)
        except (OSError, EOFError, TimeoutError):
            pass


@asynccontextmanager
async def friend(answers: Mapping[str, bytes] = NOTHING) -> AsyncIterator[Friend]:
    made = Friend(answers)
    async with listening(made.hear, socket.create_server((ALLOWED, 0))) as made.port:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, (ALLOWED, made.port))
        yield made
    transport.close()


def _http(status: int, body: bytes = b"", location: str = "") -> bytes:
    moved = f"Location: {location}\r\n" if location else ""
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{moved}Connection: close\r\n\r\n".encode() + body


class Watched(Session):
    """Also keeps what libtorrent says of trackers and of addresses that it does not connect to."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        super().__init__(Settings(agent_dir=folder, agent_listen="127.0.0.1:0,[::1]:0", agent_incoming=False))
        kinds = lt.alert.category_t
        self._live.apply_settings(
            {"alert_mask": kinds.tracker_notification | kinds.error_notification | kinds.ip_block_notification}
        )
        self.allow([f"{ALLOWED}/32"])

    def _one(self, alert: lt.alert) -> None:
        self.said.append(alert.message())
        super()._one(alert)

    def refused(self, *what: str) -> bool:
        """Everything of it was about to be contacted, and was not."""
        blocked = [said for said in self.said if "banned by IP filter" in said or "blocked peer" in said]
        return all(any(one in said for said in blocked) for one in what)


@asynccontextmanager
async def engine(folder: Path) -> AsyncIterator[Watched]:
    session = Watched(folder)
    try:
        yield session
    finally:
        await session.aclose()


def alone(seeded: Seeded, folder: Path) -> Add:
    """All of the torrent is wanted; nobody is named who has it."""
    return replace(seeded.add(folder, new_transfer(), seeded.book()), peers=[])


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    with seed(tmp_path_factory.mktemp("seeder"), {"big.bin": 300_000}) as made:
        yield made


async def test_of_all_that_a_torrent_names_only_allowed_addresses_hear_of_it(tmp_path: Path, seeded: Seeded) -> None:
    async with friend() as ours, engine(tmp_path) as session:
        with ear() as private, ear("::1") as private6, ear() as files:
            refused = [f"{REFUSED}:{private.port}", f"localhost:{private.port}", f"[::1]:{private6.port}"]
            hosts = [f"{ALLOWED}:{ours.port}", *refused]
            add = replace(
                alone(seeded, tmp_path / "data"),
                trackers=[[f"{scheme}://{host}/announce"] for host in hosts for scheme in ("http", "udp")],
                web_seeds=[f"http://{host}/seed/" for host in (hosts[0], f"{REFUSED}:{files.port}")],
                peers=[(ALLOWED, ours.port), (REFUSED, private.port), ("::1", private6.port)],
            )
            session.add(add)
            await until(lambda: {"/announce", "udp", "peer", "/seed/torrent/big.bin"} <= ours.asked)
            trackers = [f"{scheme}://{host}/announce" for host in refused for scheme in ("http", "udp")]
            await until(lambda: session.refused(*trackers))
            peers = [f"{REFUSED}:{private.port}", f"[::1]:{private6.port}", f"{REFUSED}:{files.port}"]
            await until(lambda: session.refused(*(f"peer {peer}" for peer in peers)))
            assert private.contacts() == private6.contacts() == files.contacts() == []


async def test_a_tracker_that_sends_us_on_to_a_private_address_is_not_followed(tmp_path: Path, seeded: Seeded) -> None:
    with ear() as private:
        moved = _http(302, location=f"http://{REFUSED}:{private.port}/announce")
        async with friend({"/announce": moved}) as ours, engine(tmp_path) as session:
            trackers = [[f"http://{ALLOWED}:{ours.port}/announce"]]
            session.add(replace(alone(seeded, tmp_path / "data"), trackers=trackers))
            await until(lambda: session.refused(trackers[0][0]))
            assert "/announce" in ours.asked
            assert private.contacts() == []


async def test_a_web_seed_that_sends_us_on_to_a_private_address_is_not_followed(tmp_path: Path, seeded: Seeded) -> None:
    with ear() as private:
        moved = _http(302, location=f"http://{REFUSED}:{private.port}/seed/torrent/big.bin")
        async with friend({"/seed/torrent/big.bin": moved}) as ours, engine(tmp_path) as session:
            session.add(replace(alone(seeded, tmp_path / "data"), web_seeds=[f"http://{ALLOWED}:{ours.port}/seed/"]))
            await until(lambda: session.refused(f"peer {REFUSED}:{private.port}"))
            assert "/seed/torrent/big.bin" in ours.asked
            assert private.contacts() == []


async def test_peers_that_a_tracker_names_are_judged_like_all_others(tmp_path: Path, seeded: Seeded) -> None:
    with ear() as private:
        answers: dict[str, bytes] = {}
        async with friend(answers) as ours, engine(tmp_path) as session:
            peers = [(REFUSED, private.port), (ALLOWED, ours.port)]
            packed = b"".join(socket.inet_aton(host) + port.to_bytes(2, "big") for host, port in peers)
            answers["/announce"] = _http(200, b"d8:intervali60e5:peers%d:%be" % (len(packed), packed))
            trackers = [[f"http://{ALLOWED}:{ours.port}/announce"]]
            session.add(replace(alone(seeded, tmp_path / "data"), trackers=trackers))
            await until(lambda: "peer" in ours.asked and session.refused(f"peer {REFUSED}:{private.port}"))
            assert private.contacts() == []


async def test_a_tracker_that_names_peers_to_one_of_our_addresses_has_named_them(tmp_path: Path) -> None:
    """It is asked from all that we listen on, and the last answer is not the only one."""
    (tmp_path / "seeder").mkdir()
    answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        host = writer.get_extra_info("peername")[0]
        if host == ALLOWED:
            await answered.wait()
        named = b"" if host == ALLOWED else socket.inet_aton(REFUSED) + b"\0\1"
        writer.write(_http(200, b"d8:intervali60e5:peers%d:%be" % (len(named), named)))
        await writer.drain()

    with seed(tmp_path / "seeder", {"small.bin": 1_000}) as seeded:
        chosen = Settings(agent_dir=tmp_path, agent_listen=f"{REFUSED}:0,{ALLOWED}:0")
        async with (
            listening(answer, socket.create_server((REFUSED, 0))) as port,
            Listening(tmp_path, chosen) as engine,
        ):
            url = f"http://{REFUSED}:{port}/announce"
            add = replace(alone(seeded, tmp_path / "data"), trackers=[[url]])
            engine.session.add(add)
            once = TrackerSaid(add.transfer, url, "ok", "", peers=1)
            await engine.until(lambda said: once in said)
            answered.set()
            await engine.until(lambda said: said.count(once) == 2)
