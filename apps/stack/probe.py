"""Waiting until a server answers, or until it is plain that it will not."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from stack.errors import CannotStart
from stack.process import Child

EVERY_S = 0.05
CONNECT_S = 1.0
"""Loopback answers in microseconds; a second means that nobody will."""

Probe = Callable[[], Awaitable[bool]]


async def until_ready(child: Child, ready: Probe, *, within_s: float) -> None:
    """Raises with the child's last lines if it ends or stays silent."""
    deadline = time.monotonic() + within_s
    while not await ready():
        if not child.running:
            raise CannotStart(
                f"{child.command.name} ended at once (exit {child.process.returncode}). It said:\n{child.said()}"
            )
        if time.monotonic() > deadline:
            raise CannotStart(f"{child.command.name} did not answer within {within_s:.0f} s. It said:\n{child.said()}")
        await asyncio.sleep(EVERY_S)


async def connects(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def answers(host: str, port: int, path: str, *, status: int = 200) -> bool:
    """A plain HTTP GET; a whole client for it would be most of our start-up time."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return line.split(b" ")[1:2] == [str(status).encode()]
