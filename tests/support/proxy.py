"""A TCP proxy before the store: holds the upload to a rate (one bucket for all connections), logs requests, can cut.

`python -m tests.support.proxy --port P --target H:P [--rate BYTES_PER_S] [--log FILE]` runs it as a process of its own,
so that its work does not slow what is measured; tests run `StoreProxy` in theirs.
"""

import argparse
import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from stack.listen import listening

CHUNK_BYTES = 256 * 1024
BURST_S = 0.02
"""What an idle bucket may hold: small, so that a rate is a rate from the first moment."""
HEAD_MAX_BYTES = 64 * 1024


Fault = Literal["error", "reset", "silence", "delay"]
"""What befalls a PUT: it is answered 500, its connection breaks, nothing is heard of it any more, or it is held back as
long as the fault lasts."""


class Bucket:
    """One leaky clock: every byte sent pushes `free_at` further into the future."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._free_at = 0.0

    async def take(self, size: int) -> None:
        if self.rate is None:
            return
        now = time.monotonic()
        self._free_at = max(self._free_at, now - BURST_S) + size / self.rate
        if (wait := self._free_at - now) > 0:
            await asyncio.sleep(wait)


class Request(Struct, frozen=True):
    method: str
    target: str
    length: int
    at: float


class RequestLog:
    """Reads request heads out of one connection's bytes, stepping over bodies by their Content-Length."""

    def __init__(self, seen: list[Request]) -> None:
        self._seen = seen
        self._head = b""
        self._body_left = 0

    def feed(self, data: bytes) -> None:
        while data:
            if self._body_left:
                step = min(self._body_left, len(data))
                self._body_left -= step
                data = data[step:]
                continue
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                if len(self._head) > HEAD_MAX_BYTES:
                    raise ValueError("no request head where one should be")
                return
            head, data, self._head = self._head[:end], self._head[end + 4 :], b""
            self._body_left = self._note(head)

    def _note(self, head: bytes) -> int:
        first, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        length = int(fields.get("content-length", "0"))
        self._seen.append(Request(method, target, length, time.time()))
        return length


class StoreProxy:
    def __init__(self, target: tuple[str, int], rate: float | None = None) -> None:
        self.target = target
        self.up = Bucket(rate)
        self.requests: list[Request] = []
        self.url = ""
        self.fault: Fault | None = None
        self.held = 0
        """PUTs that are held back, or were."""
        self._writers: set[asyncio.StreamWriter] = set()

    def puts(self) -> list[Request]:
        return [r for r in self.requests if r.method == "PUT"]

    def cut(self) -> None:
        """Every open connection breaks now; new ones are welcome."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            server, forth = await asyncio.open_connection(*self.target, limit=CHUNK_BYTES)
        except OSError:
            back.transport.abort()
            return
        self._writers |= {back, forth}
        try:
            first = await client.read(CHUNK_BYTES)
            if self.fault and first.startswith(b"PUT "):
                if self.fault != "delay":
                    await self._spoil(self.fault, first, client, back)
                    forth.close()
                    return
                self.held += 1
                while self.fault:
                    await asyncio.sleep(0.02)
            log = RequestLog(self.requests)
            log.feed(first)
            forth.write(first)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(client, forth, log, self.up))
                pumps.create_task(self._pump(server, back, None, Bucket(None)))
        finally:
            self._writers -= {back, forth}

    async def _spoil(
        self, fault: Fault, first: bytes, client: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> None:
        if fault == "reset":
            back.transport.abort()
            return
        head, _, body = first.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index] # a PUT has one
        with suppress(OSError, asyncio.IncompleteReadError):
            await client.readexactly(length - len(body))
            if fault == "error":
                back.write(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await back.drain()
            else:
                await client.read()  # until its sender has had enough
        back.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, log: RequestLog | None, bucket: Bucket
    ) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while data := await source.read(CHUNK_BYTES):
                if log is not None:
                    log.feed(data)
                await bucket.take(len(data))
                sink.write(data)
                await sink.drain()
        with suppress(OSError):
            sink.close()


@asynccontextmanager
async def open_proxy(target: tuple[str, int], rate: float | None = None, port: int = 0) -> AsyncIterator[StoreProxy]:
    proxy = StoreProxy(target, rate)
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, CHUNK_BYTES)
    try:
        async with listening(proxy.serve, listener, limit=CHUNK_BYTES) as found:
            proxy.url = f"http://127.0.0.1:{found}"
            yield proxy
    finally:
        proxy.cut()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    host, _, port = given.target.rpartition(":")
    async with open_proxy((host, int(port)), given.rate, given.port) as proxy:
        print("ready", flush=True)
        told = 0
        while True:
            await asyncio.sleep(0.2)
            if given.log and len(proxy.requests) > told:
                with given.log.open("a") as file:
                    for request in proxy.requests[told:]:
                        file.write(json.dumps([request.method, request.target, request.length, request.at]) + "\n")
                told = len(proxy.requests)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
