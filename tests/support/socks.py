"""A SOCKS5 proxy for tests: connects whom it is asked to, and remembers where to."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from stack.listen import listening

HOST = "127.77.0.1"
CHUNK_BYTES = 64 * 1024


class Socks:
    def __init__(self, user: str, password: str) -> None:
        self.asked: list[tuple[str, int]] = []
        self.port = 0
        self._user, self._password = user.encode(), password.encode()

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, EOFError):
            place = await self._greet(reader, writer)
            self.asked.append(place)
            there, back = await asyncio.open_connection(*place)
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pass_on(reader, back))
                    group.create_task(_pass_on(there, writer))
            finally:
                back.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        _, count = await reader.readexactly(2)
        offered = await reader.readexactly(count)
        method = 2 if self._user else 0
        writer.write(bytes((5, method if method in offered else 0xFF)))
        if method:
            _, length = await reader.readexactly(2)
            user = await reader.readexactly(length)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            writer.write(bytes((1, int((user, password) != (self._user, self._password)))))
        _, command, _, kind = await reader.readexactly(4)
        if (command, kind) != (1, 1):
            raise EOFError  # neither UDP nor IPv6 nor names: what tests do not need
        address = socket.inet_ntoa(await reader.readexactly(4))
        return address, int.from_bytes(await reader.readexactly(2), "big")


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def socks(user: str = "", password: str = "") -> AsyncIterator[Socks]:
    made = Socks(user, password)
    async with listening(made.hear, socket.create_server((HOST, 0))) as made.port:
        yield made
