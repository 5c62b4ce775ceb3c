"""Somebody's server that webhooks are sent to: keeps what came, and answers what a test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct, field

LIMIT_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: int, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class Post(Struct, frozen=True):
    target: str
    headers: dict[str, str]
    body: bytes


class Receiver(Struct):
    port: int
    answers: list[bytes | None] = field(default_factory=list)
    """In turn, then always 200. None: nothing is ever answered."""
    posts: list[Post] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/hook?a=b"

    async def until(self, count: int) -> list[Post]:
        async with asyncio.timeout(LIMIT_S), self.came:
            await self.came.wait_for(lambda: len(self.posts) >= count)
        return self.posts

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            said = self.answers.pop(0) if self.answers else OK
            async with self.came:
                self.posts.append(Post(head[0].split(" ")[1], headers, body))
                self.came.notify_all()
            if said is None:
                await reader.read()  # until the other side gives up
            else:
                writer.write(said)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(0)
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver
