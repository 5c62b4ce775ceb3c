"""A small TCP server that forgets nobody: when it ends, whoever it let in is hung up on."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

LINE_BYTES = 64 * 1024
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(
    answer: Answer, place: socket.socket, *, limit: int = LINE_BYTES, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """At a place that is bound already; gives its port. `answer` need not close what it is given."""
    asking: set[asyncio.StreamWriter] = set()
    is_over = False

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if is_over:  # let in at the last moment
            writer.transport.abort()
            return
        asking.add(writer)
        try:
            await answer(reader, writer)
        finally:
            asking.discard(writer)
            writer.close()

    server = await asyncio.start_server(one, sock=place, limit=limit, ssl=tls)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            # Nobody else is let in. Who was a moment ago is attached to the server first, or asyncio would forget him.
            is_over = True
            for each in server.sockets:
                asyncio.get_running_loop().remove_reader(each.fileno())
            await asyncio.sleep(0)
            for writer in asking:
                writer.transport.abort()
