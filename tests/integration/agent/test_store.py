"""Putting over HTTP, against servers that do what servers do: keep, close, stall, refuse early, answer nonsense.

Each on both event loops: agents run on uvloop, whose transports are not asyncio's.
"""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from agent.store import BadGrant, Store, StoreAway, StoreRefused
from stack.listen import listening
from tests.support.certs import new_authority
from wire.messages import Grant
from wire.units import MIB

Say = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT_S = 30
OK = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 0\r\n\r\n'
Run = Callable[[Coroutine[None, None, None]], None]

both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


class Server:
    """What it got, and how it answers: `say` handles one request, and closes the connection by raising EOFError."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.connections = 0
        self.heads: list[str] = []
        self.bodies: list[str] = []
        """SHA-256 of each."""
        self.ended = asyncio.Event()
        """Some connection has."""
        self.url = ""
        self._serving: set[asyncio.Task[None]] = set()

    def grant(self, path: str = "/bucket/key?X-Amz-Signature=1", **headers: str) -> Grant:
        return Grant(0, 0, self.url + path, headers, "key", "")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if task := asyncio.current_task():
            self._serving.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                await self.say(reader, writer)
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        except EOFError:
            writer.close()  # what was said before arrives
        finally:
            self.ended.set()

    async def close(self) -> None:
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    async def body(self, reader: asyncio.StreamReader) -> None:
        length = int(self.heads[-1].partition("Content-Length: ")[2].partition("\r\n")[0])
        self.bodies.append(hashlib.sha256(await reader.readexactly(length)).hexdigest())

    async def stores(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.body(reader)
        writer.write(OK)


@asynccontextmanager
async def serving(say: Say | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(say or (lambda reader, writer: server.stores(reader, writer)))
    async with asyncio.timeout(LIMIT_S):
        async with listening(server.serve, socket.create_server(("127.0.0.1", 0)), tls=tls) as port:
            server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            try:
                yield server
            finally:
                await server.close()


def body_of(*pieces: bytes) -> Callable[[], AsyncIterator[memoryview]]:
    async def body() -> AsyncIterator[memoryview]:
        for piece in pieces:
            yield memoryview(piece)

    return body


async def put(store: Store, grant: Grant, *pieces: bytes) -> str:
    return await store.put(grant, body_of(*pieces), sum(map(len, pieces)))


def answering(answer: bytes) -> Say:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return say


@both_loops
def test_bytes_and_headers_arrive_as_they_are_over_one_kept_connection(run: Run) -> None:
    large = bytes(range(256)) * (3 * MIB // 256)

    async def story() -> None:
        async with serving() as server, Store(2) as store:
            assert await put(store, server.grant(), b"") == "e"
            assert await put(store, server.grant(**{"x-amz-checksum-crc32": "NhCmhg=="}), b"hel", b"lo") == "e"
            assert await put(store, server.grant(), large, large[:5]) == "e"
        assert server.connections == 1
        assert server.bodies == [hashlib.sha256(each).hexdigest() for each in (b"", b"hello", large + large[:5])]
        place = server.url.partition("//")[2]
        assert server.heads[1].split("\r\n") == [
            "PUT /bucket/key?X-Amz-Signature=1 HTTP/1.1", f"Host: {place}", "Content-Length: 5",
            "x-amz-checksum-crc32: NhCmhg==", "", "",
        ]  # fmt: skip

    run(story())


@both_loops
def test_many_at_once_have_connections_up_to_the_limit(run: Run) -> None:
    async def story() -> None:
        async with serving() as server, Store(3) as store, asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(put(store, server.grant(), b"x"))
        assert len(server.bodies) == 20
        assert server.connections == 3

    run(story())


@both_loops
def test_a_kept_connection_that_was_closed_meanwhile_is_replaced_and_nothing_is_lost(run: Run) -> None:
    async def story() -> None:
        async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(server.heads) == 2:
                raise EOFError  # its second request meets a closed door
            await server.stores(reader, writer)

        async with serving(one_each) as server, Store(1) as store:
            assert await put(store, server.grant(), b"first") == "e"
            assert await put(store, server.grant(), b"second") == "e"
        assert server.connections == 2
        assert server.bodies == [hashlib.sha256(each).hexdigest() for each in (b"first", b"second")]

    run(story())


@both_loops
def test_what_was_answered_in_part_is_not_sent_again_by_itself(run: Run) -> None:
    async def story() -> None:
        async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await server.body(reader)
            if len(server.heads) == 1:
                writer.write(OK)
                return
            writer.write(OK[:20])
            await writer.drain()
            raise EOFError

        async with serving(half) as server, Store(1) as store:
            await put(store, server.grant(), b"x")
            with pytest.raises(StoreAway):
                await put(store, server.grant(), b"x")
        assert len(server.heads) == 2

    run(story())


@both_loops
def test_a_new_connection_that_closes_without_an_answer_is_a_store_that_is_away(run: Run) -> None:
    async def story() -> None:
        async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            raise EOFError

        async with serving(closes) as server, Store(1) as store:
            with pytest.raises(StoreAway):
                await put(store, server.grant(), b"x")
            assert server.connections == 1
        with pytest.raises(StoreAway):
            await put(Store(1), server.grant(), b"x")  # nobody listens any more

    run(story())


@both_loops
def test_an_early_refusal_is_heard_though_the_body_is_still_on_its_way(run: Run) -> None:
    async def story() -> None:
        async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n<Error/>\n")
            await writer.drain()
            await asyncio.Event().wait()  # and never reads the body

        async with serving(refuses) as server, Store(1) as store:
            with pytest.raises(StoreRefused, match="403: <Error/>"):
                await put(store, server.grant(), *[bytes(MIB)] * 64)
            server.say = server.stores
            assert await put(store, server.grant(), b"x") == "e"
            assert server.connections == 2

    run(story())


@both_loops
def test_silence_ends_a_put_and_its_connection(run: Run) -> None:
    async def story() -> None:
        async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        async with serving(stalls) as server, Store(1, silence_s=0.4) as store:
            with pytest.raises(StoreAway, match="Timeout"):
                await put(store, server.grant(), *[bytes(MIB)] * 64)
            await server.ended.wait()

    run(story())


@both_loops
def test_a_put_that_is_cancelled_leaves_no_half_used_connection(run: Run) -> None:
    async def story() -> None:
        asked = asyncio.Event()

        async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await reader.read()
            raise EOFError

        async with serving(stalls) as server, Store(1) as store:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(put(store, server.grant(), b"x"))
                await asked.wait()
                task.cancel()
            await server.ended.wait()
            server.say = server.stores
            assert await put(store, server.grant(), b"y") == "e"

    run(story())


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (b"HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", StoreRefused, "307"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno", StoreRefused, "404: no"),
        (b"HTTP/1.1 503 Slow\r\nContent-Length: 4\r\n\r\nDown", StoreAway, "503 Down"),
        (b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", StoreAway, "429"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", StoreAway, "answered 200"),
        (b"220 mail.example.org ESMTP\r\n\r\n", StoreAway, "no status line"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 20_000, StoreAway, "x" * 200),
    ],
)
async def test_an_answer_that_is_not_a_stored_object_says_what_it_is(
    answer: bytes, kind: type[Exception], says: str
) -> None:
    async with serving(answering(answer)) as server, Store(1) as store:
        with pytest.raises(kind, match=says):
            await put(store, server.grant(), b"")
    assert len(server.heads) == 1  # nothing is followed, nothing asked again


@pytest.mark.parametrize(
    "url",
    ["ftp://h/k", "http://h/k\r\nX: y", "http://h/a b", "http://u:p@h/k", "http://h", "http://h:0/k", "http://h:x/k"],
)
async def test_a_grant_that_makes_no_request_is_refused(url: str) -> None:
    with pytest.raises(BadGrant):
        await put(Store(1), Grant(0, 0, url, {}, "k", ""), b"")


@both_loops
def test_a_host_that_no_name_can_have_is_a_store_that_is_away(run: Run) -> None:
    async def story() -> None:
        with pytest.raises(StoreAway):
            await put(Store(1), Grant(0, 0, f"http://{'a' * 70}.example/k", {}, "k", ""), b"")

    run(story())


async def test_a_grants_header_cannot_bring_another_one() -> None:
    with pytest.raises(BadGrant):
        await put(Store(1), Grant(0, 0, "http://127.0.0.1:1/k", {"a": "b\r\nc: d"}, "k", ""), b"")


@both_loops
def test_over_tls_a_store_must_show_a_certificate_that_we_trust(run: Run, tmp_path: Path) -> None:
    authority = new_authority(tmp_path)
    shown = authority.server()
    offers = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    offers.load_cert_chain(shown.cert, shown.key)

    async def story() -> None:
        async with serving(tls=offers) as server:
            async with Store(1, ssl.create_default_context(cafile=str(shown.ca))) as store:
                for _ in range(2):
                    assert await put(store, server.grant(), bytes(2 * MIB)) == "e"
            assert server.connections == 1
            async with Store(1) as stranger:
                with pytest.raises(StoreAway, match="certificate"):
                    await put(stranger, server.grant(), b"x")

    run(story())
