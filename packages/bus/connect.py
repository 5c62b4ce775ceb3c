"""The bus: one connection to NATS that outlives expiry, restarts and long cuts.

    connect ──► subscribe all ──► up ──┬── closed by whatever cause ──► wait a little ──┐
       ▲                               └── 80 % of the JWT's life ──► (the old one stays until the new one is up)
       └── another certificate to show ─────────────────────────────────────────────────┘

nats-py's own reconnecting is off: it gives up for good when its JWT has expired. Here every connection is a new client
with new credentials. What was said while there was none is lost, and nobody minds: a message is only a nudge, and
whoever listens is told of each new connection (`on_connected`), to look again.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from nats.aio.msg import Msg
from prometheus_client import Counter, Gauge

from bus.credentials import GetCredentials
from bus.errors import BusDown, NoStream
from bus.link import DOWN, WRITE_S, Link
from bus.message import Handler, Message, Subscription, message_of, with_correlation
from telemetry import logs

log = logs.get(__name__)

CREDENTIALS_S = 10.0
"""An agent asks the fleet listener, which may be as far away as the bus."""
BACKOFF_S = 0.1
BACKOFF_MAX_S = 5.0
"""A server that is back is found within this; a thousand agents that all wait so long are 200 connections a second."""

_CONNECTED = Gauge("bus_connected", "Whether the connection is up.", ["bus"])
_CONNECTIONS = Counter("bus_connections_total", "Connections made since the start.", ["bus"])

_NOBODY = "503"


@asynccontextmanager
async def open_bus(
    name: str, url: str, tls: ssl.SSLContext, credentials: GetCredentials, *, inbox_prefix: str
) -> AsyncIterator["Bus"]:
    """Never fails for want of a server: it keeps trying, and `bus.connected` tells."""
    bus = Bus(name, url, tls, credentials, inbox_prefix)
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(bus._run())
            try:
                yield bus
            finally:
                running.cancel()
    except BaseExceptionGroup as failures:
        # What the caller's block raised should reach its caller as itself.
        if len(failures.exceptions) == 1:
            raise failures.exceptions[0] from None
        raise


class Bus:
    def __init__(
        self, name: str, url: str, tls: ssl.SSLContext, credentials: GetCredentials, inbox_prefix: str
    ) -> None:
        self.name = name
        self._url = url
        self._tls = tls
        self._credentials = credentials
        self._inbox_prefix = inbox_prefix
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._on_connected: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        return self._link is not None and self._link.alive

    async def ready(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._up.wait()
        except TimeoutError:
            raise BusDown(f"{self.name}: not connected within {timeout:g} s") from None

    def on_connected(self, callback: Callable[[], None]) -> None:
        """Called after each new connection, subscriptions already made; usually some loop's `wake.set`."""
        self._on_connected.append(callback)

    def show(self, tls: ssl.SSLContext) -> None:
        """Another certificate from now on: a new connection takes over from the one that is up."""
        self._tls = tls
        if self._link is not None:
            self._link.replace()

    async def publish(self, subject: str, data: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Says it now or raises BusDown; nothing is kept for later."""
        link = self._alive()
        try:
            async with link.limit(WRITE_S):
                await link.client.publish(subject, data, headers=with_correlation(headers))
        except DOWN as failure:
            raise BusDown(f"{subject}: {failure!r}") from failure

    async def request(
        self, subject: str, data: bytes = b"", *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> Message:
        """One answer. Fails at once, not at the timeout, when the connection is cut or nobody listens there.

        An inbox of its own: JetStream delivers under the subject a message was stored with, and by that nats-py's
        shared inbox cannot tell whose answer it is. Giving up takes the inbox away, so the broker knows.
        """
        link = self._alive()
        answered: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        inbox = link.client.new_inbox()
        try:
            async with link.limit(timeout):
                waiting = await link.client.subscribe(inbox, future=answered, max_msgs=1)
                try:
                    await link.client.publish(subject, data, reply=inbox, headers=with_correlation(headers))
                    answer = message_of(await answered)
                finally:
                    answered.cancel()
                    await waiting.unsubscribe()
        except DOWN as failure:
            raise BusDown(f"{subject}: {failure!r}") from failure
        if answer.headers.get("Status") == _NOBODY:
            raise NoStream(subject)
        return answer

    async def subscribe(self, subject: str, handler: Handler) -> Subscription:
        """When this returns and the bus is connected, the server knows of it."""
        subscription = Subscription(subject, handler)
        self._subscriptions.append(subscription)
        if self._link is not None:
            await self._make_subscriptions(self._link)
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)
        if self._link is not None:
            await self._link.drop(subscription)

    def _alive(self) -> Link:
        if self._link is None or not self._link.alive:
            raise BusDown(f"{self.name}: not connected")
        return self._link

    async def _run(self) -> None:
        tries = 0
        clock = asyncio.get_running_loop().time
        try:
            while True:
                if (link := await self._connect()) is not None:
                    up_at = clock()
                    await self._take(link)
                    if await link.held():
                        tries = 0
                        continue
                    if clock() - up_at > BACKOFF_MAX_S:
                        tries = 0
                tries += 1
                await asyncio.sleep(backoff(tries))
        finally:
            link, self._link = self._link, None
            self._down()
            if link is not None:
                await link.close()

    async def _connect(self) -> Link | None:
        try:
            async with asyncio.timeout(CREDENTIALS_S):
                credentials = await self._credentials()
            link = Link(credentials, self._went_down)
            await link.connect(self.name, self._url, self._tls, self._inbox_prefix)
        except Exception as failure:
            # The driver of a loop: whatever keeps us away (no listener, no certificate, retired) may pass.
            log.warning("bus.not_connected", bus=self.name, reason=repr(failure))
            return None
        return link

    async def _take(self, link: Link) -> None:
        """Swaps connections: the new one hears everything before the old one is closed."""
        await self._make_subscriptions(link)
        previous, self._link = self._link, link
        await self._make_subscriptions(link)
        if not link.alive:
            return
        self._up.set()
        _CONNECTED.labels(self.name).set(1)
        _CONNECTIONS.labels(self.name).inc()
        log.info("bus.connected", bus=self.name, until=link.expires_at)
        if previous is not None:
            await previous.close()
        for callback in self._on_connected:
            callback()

    async def _make_subscriptions(self, link: Link) -> None:
        with suppress(*DOWN):
            # A connection that is lost meanwhile is noticed by the loop, and the next one gets them all.
            for subscription in list(self._subscriptions):
                await link.make(subscription)
            async with link.limit(WRITE_S):
                await link.client.flush()

    def _went_down(self, link: Link) -> None:
        if self._link is link:
            self._down()
            log.warning("bus.cut", bus=self.name)

    def _down(self) -> None:
        self._up.clear()
        _CONNECTED.labels(self.name).set(0)


def backoff(tries: int) -> float:
    """Doubling, with half of it left to chance: after a restart a fleet must not come back in step."""
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(tries - 1, 10)) * random.uniform(0.5, 1.0)
