"""One connection to a store: a PUT out, its answer in, again and again while both sides keep it open.

    open ──► asked ──► whole body sent, answer read ──► idle ──► asked …
               └── answered early, cut, silent, malformed, cancelled ──► closed
A protocol of its own, since a stream's reader and writer cost several times the PUT of a small file.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from typing import cast

from agent.answer import Answer, Malformed, Reader

CHUNK_BYTES = 262_144
"""Given to the socket at once: four uploads share the loop, and a socket seldom takes more."""

Body = Callable[[], AsyncIterator[memoryview]]
"""May be called again: the same bytes."""


class Cut(Exception):
    """The other side closed before its answer was whole."""


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.untouched = True
        """Not a byte of the present answer was read."""
        self.idle_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._reader: Reader | None = None
        self._answer: Answer | None = None
        self._failure: Exception | None = None
        self._full = False
        """The socket takes no more for now."""
        self._moved: asyncio.Future[None] | None = None
        self._silence = asyncio.Timeout(None)
        self._silence_s = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def put(self, head: bytes, body: Body, silence_s: float) -> Answer:
        """Raises Cut, Malformed, TimeoutError; the connection is closed then, and after an answer that was early."""
        assert self._transport is not None
        self._reader, self._answer, self.untouched = Reader(), None, True
        kept = False
        try:
            async with asyncio.timeout(silence_s) as silence:
                self._silence, self._silence_s = silence, silence_s
                whole = await self._send(self._transport, head, body)
                while not self._is_over:
                    await self._move()
            if self._answer is None:
                raise self._failure or Cut("closed before it answered")
            kept = whole and self._answer.keep and not self._transport.get_write_buffer_size()
            return self._answer
        finally:
            self._reader = None
            if not kept:
                self.close()

    async def _send(self, transport: asyncio.Transport, head: bytes, body: Body) -> bool:
        """Whether all of it was; what is answered before its end is not sent to its end. The head goes out together
        with the first bytes: for a small file everything is one call of the system, and one packet."""
        first = head
        async for view in body():
            self._not_silent()
            for at in range(0, len(view), CHUNK_BYTES):
                chunk = view[at : at + CHUNK_BYTES]
                transport.writelines((first, chunk) if first else (chunk,))
                first = b""
                while self._full and not self._is_over:
                    await self._move()
                if self._is_over:
                    return False
        if first:
            transport.write(first)
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by what it does only

    def data_received(self, data: bytes) -> None:
        if self._reader is None or self._answer is not None:
            self.close()  # nobody asked
            return
        self.untouched = False
        try:
            self._answer = self._reader.feed(data)
        except Malformed as failure:
            self._failure = failure
            self.close()
        self._wake()

    def eof_received(self) -> None:
        if self._reader is not None and self._answer is None:
            self._answer = self._reader.closed()
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._failure = self._failure or Cut(repr(exc) if exc else "closed")
        self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    # Waiting.

    @property
    def _is_over(self) -> bool:
        return self._answer is not None or self._failure is not None

    async def _move(self) -> None:
        """Until something has happened."""
        self._moved = asyncio.get_running_loop().create_future()
        try:
            await self._moved
        finally:
            self._moved = None
        self._not_silent()

    def _not_silent(self) -> None:
        self._silence.reschedule(asyncio.get_running_loop().time() + self._silence_s)

    def _wake(self) -> None:
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)


async def connect(host: str, port: int, tls: ssl.SSLContext | None, limit_s: float) -> Connection:
    """Raises OSError, TimeoutError."""
    async with asyncio.timeout(limit_s):
        _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port, ssl=tls)
    return connection
