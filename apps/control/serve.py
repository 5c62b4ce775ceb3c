"""The public listener: uvicorn on a socket of ours, ended within seconds."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from control.app import create_app
from control.config import Settings
from control.plane import Plane
from control.processes import CannotListen
from control.stream import Hub

GRACE_S = 3
"""Answers under way are finished; streams are ended before."""
KEEP_ALIVE_S = 65
"""Longer than proxies keep theirs, so that never we are the one to hang up on a new request."""
BACKLOG = 2048


async def public(plane: Plane, listening: socket.socket, stop: asyncio.Event) -> None:
    """The public listener, until `stop`."""
    hub = Hub(plane)
    server = Server(_config(plane.settings, create_app(plane, hub)))
    async with hub.running(), asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listening]))
        stopping = group.create_task(stop.wait())
        try:
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            hub.close()
            server.should_exit = True


class Server(uvicorn.Server):
    """Signals are ours: uvicorn would take them from the other listener."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Cancelled, it answers requests under way first, too. And the loop forgets its socket: else whoever listens
        next may get the same descriptor, and never hear of anybody."""
        try:
            await super().serve(sockets)
        except asyncio.CancelledError:
            if self.started:
                await self.shutdown(sockets)
            raise

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """By ourselves: uvicorn would end the whole process without a word that helps."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as failure:
        raise CannotListen(f"cannot listen on {host}:{port}: {failure.strerror or failure}") from None
    with listening:
        yield listening


def _config(settings: Settings, app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type] # Litestar and uvicorn each have their own types for the same protocol
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
    )
