"""Load on an HTTP server, from one process and at little cost: ready-made requests over kept connections.

Two ways: so many clients, each asking again as soon as it has its answer; or so many requests a second, whatever the
answers take. In the second a request's time begins when it was due, so that one that had to wait counts as slow.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from itertools import count

from msgspec import Struct

Request = Callable[[int], bytes]
"""The nth, whole."""


class Load(Struct, frozen=True):
    rate: float
    p50_ms: float
    p99_ms: float
    statuses: dict[int, int]


class _Tally:
    def __init__(self) -> None:
        self.took_s: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.began = time.perf_counter()

    def add(self, status: int, since: float) -> None:
        self.statuses[status] += 1
        self.took_s.append(time.perf_counter() - since)

    def load(self) -> Load:
        took, rate = sorted(self.took_s), len(self.took_s) / (time.perf_counter() - self.began)
        p50, p99 = (round(took[int(share * len(took))] * 1000, 2) for share in (0.5, 0.99))
        return Load(round(rate, 1), p50, p99, dict(self.statuses))


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> int:
        """The answer's status; its body is read and thrown away."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        place = head.find(b"content-length:")
        if place >= 0:
            length = int(head[place + 15 : head.index(b"\r\n", place)])
            if length:
                await self._reader.readexactly(length)
        return int(head[9:12])

    def close(self) -> None:
        self._writer.close()


async def connect(port: int) -> Connection:
    return Connection(*await asyncio.open_connection("127.0.0.1", port, limit=2**20))


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    said = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Content-Type": "application/json", **headers}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in said.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def by_clients(port: int, clients: int, seconds: float, make: Request) -> Load:
    numbers, tally = count(), _Tally()

    async def client() -> None:
        connection = await connect(port)
        while time.perf_counter() - tally.began < seconds:
            asked = make(next(numbers))
            since = time.perf_counter()
            tally.add(await connection.ask(asked), since)
        connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return tally.load()


async def by_rate(port: int, rate: float, seconds: float, make: Request) -> Load:
    tally, idle = _Tally(), list[Connection]()

    async def one(n: int, due: float) -> None:
        connection = idle.pop() if idle else await connect(port)
        tally.add(await connection.ask(make(n)), due)
        idle.append(connection)

    async with asyncio.TaskGroup() as group:
        for n in range(int(rate * seconds)):
            due = tally.began + n / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            group.create_task(one(n, due))
    for connection in idle:
        connection.close()
    return tally.load()
