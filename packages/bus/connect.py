"""The bus: one connection to NATS that outlives expiry, restarts and long cuts.

    connect ──► subscribe all ──► up ──┬── closed by whatever cause ──► wait a little ──┐
       ▲                               └── 80 % of the JWT's life ──► (the old one stays until the new one is up)
       └── another certificate to show ─────────────────────────────────────────────────┘

nats-py's own reconnecting is off: it gives up for good when its JWT has expired. Here every connection is a new client
with new credentials. What was said while there was none is lost, and nobody minds: a message is only a nudge, and
whoever listens is told of each new connection (`on_connected`), to look again.
"""

import asyncio
import base64
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime

import nats.errors
import nkeys
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from prometheus_client import Counter, Gauge

from bus.credentials import Credentials, GetCredentials
from bus.errors import BusDown, NoStream
from telemetry import logs
from telemetry.correlation import BUS_HEADER, correlated, correlation_id
from wire.clock import utcnow
from wire.units import MIB

log = logs.get(__name__)

CREDENTIALS_S = 10.0
"""An agent asks the fleet listener, which may be as far away as the bus."""
CONNECT_S = 5.0
"""TCP, TLS and sign-on: three round trips."""
RENEW_AT = 0.8
"""Of the JWT's life: leaves a fifth of it for trying again."""
BACKOFF_S = 0.1
BACKOFF_MAX_S = 5.0
"""A server that is back is found within this; a thousand agents that all wait so long are 200 connections a second."""
PING_S = 5
PINGS_LOST_MAX = 2
"""A silent cut is noticed after 15 s."""
WRITE_S = 2.0
"""A message that does not get into the socket within this is not said: callers go on."""
CLOSE_S = 2.0
"""Closing is polite, not necessary."""
LOOK_S = 1.0
"""How often it is looked whether a connection still is one: nats-py calls back only when its goodbye to a server has
ended, and for one that is gone that takes half a minute."""
PENDING_MESSAGES_MAX = 8192
PENDING_BYTES_MAX = 8 * MIB
"""Per subscription; beyond it the newest are dropped, and counted in the log as slow."""

_CONNECTED = Gauge("bus_connected", "Whether the connection is up.", ["bus"])
_CONNECTIONS = Counter("bus_connections_total", "Connections made since the start.", ["bus"])

_NOBODY = "503"
_DOWN = (nats.errors.Error, OSError, TimeoutError)


class Message(Struct, frozen=True):
    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str = ""


Handler = Callable[[Message], Awaitable[None]]


class Subscription(Struct, frozen=True, eq=False):
    """Declared once; made again on every new connection. A handler's messages come one at a time, in order."""

    subject: str
    handler: Handler


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
        self._link: _Link | None = None
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
                await link.client.publish(subject, data, headers=_with_correlation(headers))
        except _DOWN as failure:
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
                    await link.client.publish(subject, data, reply=inbox, headers=_with_correlation(headers))
                    answer = _message(await answered)
                finally:
                    answered.cancel()
                    await waiting.unsubscribe()
        except _DOWN as failure:
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

    def _alive(self) -> "_Link":
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

    async def _connect(self) -> "_Link | None":
        try:
            async with asyncio.timeout(CREDENTIALS_S):
                credentials = await self._credentials()
            link = _Link(credentials, self._went_down)
            await link.connect(self.name, self._url, self._tls, self._inbox_prefix)
        except Exception as failure:
            # The driver of a loop: whatever keeps us away (no listener, no certificate, retired) may pass.
            log.warning("bus.not_connected", bus=self.name, reason=repr(failure))
            return None
        return link

    async def _take(self, link: "_Link") -> None:
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

    async def _make_subscriptions(self, link: "_Link") -> None:
        with suppress(*_DOWN):
            # A connection that is lost meanwhile is noticed by the loop, and the next one gets them all.
            for subscription in list(self._subscriptions):
                await link.make(subscription)
            async with link.limit(WRITE_S):
                await link.client.flush()

    def _went_down(self, link: "_Link") -> None:
        if self._link is link:
            self._down()
            log.warning("bus.cut", bus=self.name)

    def _down(self) -> None:
        self._up.clear()
        _CONNECTED.labels(self.name).set(0)


class _Link:
    """One nats-py client from its sign-on to its end."""

    def __init__(self, credentials: Credentials, went_down: Callable[["_Link"], None]) -> None:
        self.client = Client()
        self.expires_at: datetime = credentials.expires_at
        self._credentials = credentials
        self._renew_s = (credentials.expires_at - utcnow()).total_seconds() * RENEW_AT
        self._went_down = went_down
        self._closed = asyncio.Event()
        self._over = asyncio.Event()
        """Closed, or to be replaced."""
        self._limits: set[asyncio.Timeout] = set()
        self._made: dict[Subscription, NatsSubscription | None] = {}

    @property
    def alive(self) -> bool:
        return self.client.is_connected and not self._closed.is_set()

    async def connect(self, name: str, url: str, tls: ssl.SSLContext, inbox_prefix: str) -> None:
        jwt, seed = self._credentials.jwt.encode(), self._credentials.seed.encode()
        try:
            async with self.limit(CONNECT_S):
                await self.client.connect(
                    url,
                    name=name,
                    tls=tls,
                    tls_handshake_first=True,  # else whoever sits between could answer without TLS, and be believed
                    user_jwt_cb=lambda: jwt,
                    signature_cb=lambda nonce: base64.b64encode(nkeys.from_seed(seed).sign(nonce.encode())),
                    inbox_prefix=inbox_prefix,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,  # 0 would mean for ever
                    reconnect_time_wait=0,
                    connect_timeout=int(CONNECT_S),
                    ping_interval=PING_S,
                    max_outstanding_pings=PINGS_LOST_MAX,
                    flush_timeout=WRITE_S,
                    error_cb=_said_by_server,
                    closed_cb=self._on_closed,
                )
                if not self.client.is_connected:  # nats-py takes whatever comes instead of a PONG for a yes
                    raise BusDown(f"{name}: hung up on while signing on")
        except BaseException:
            await self.close()
            raise

    async def held(self) -> bool:
        """True when it is time for the next one, False when this one was cut."""
        clock = asyncio.get_running_loop().time
        until_s = clock() + self._renew_s
        while not self._over.is_set() and (left_s := until_s - clock()) > 0:
            if not self.client.is_connected:
                await self._on_closed()
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, LOOK_S)):
                    await self._over.wait()
        return not self._closed.is_set()

    def replace(self) -> None:
        """It is time for the next one."""
        self._over.set()

    @asynccontextmanager
    async def limit(self, timeout: float) -> AsyncIterator[None]:
        """TimeoutError after so long, or as soon as the connection is closed."""
        async with asyncio.timeout(timeout) as limit:
            self._limits.add(limit)
            try:
                with heeding_cancellation():
                    yield
            finally:
                self._limits.discard(limit)

    async def make(self, subscription: Subscription) -> None:
        if subscription in self._made:
            return

        async def deliver(raw: Msg) -> None:
            message = _message(raw)
            with correlated(message.headers.get(BUS_HEADER)):
                try:
                    await subscription.handler(message)
                except Exception:
                    # A consumer: one message that cannot be handled must not silence the rest.
                    log.exception("bus.handler_failed", subject=message.subject)

        self._made[subscription] = None
        self._made[subscription] = await self.client.subscribe(
            subscription.subject,
            cb=deliver,
            pending_msgs_limit=PENDING_MESSAGES_MAX,
            pending_bytes_limit=PENDING_BYTES_MAX,
        )

    async def drop(self, subscription: Subscription) -> None:
        made = self._made.pop(subscription, None)
        if made is not None:
            with suppress(*_DOWN):
                await made.unsubscribe()

    async def close(self) -> None:
        with suppress(*_DOWN):
            async with asyncio.timeout(CLOSE_S):
                await self.client.close()
        await self._on_closed()

    async def _on_closed(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        self._over.set()
        self._went_down(self)
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)


@contextmanager
def heeding_cancellation() -> Iterator[None]:
    """Python 3.11's `wait_for`, on which nats-py is built, forgets a cancellation that comes together with its result:
    the loop that was told to end went on for ever."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


async def _said_by_server(failure: Exception) -> None:
    """Refused permissions, slow subscriptions, lost sockets: what nats-py has no other way to tell."""
    log.info("bus.error", reason=repr(failure))


def _message(raw: Msg) -> Message:
    return Message(subject=raw.subject, data=raw.data, headers=raw.headers or {}, reply=raw.reply)


def _with_correlation(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    said = dict(headers or {})
    if (current := correlation_id()) is not None:
        said.setdefault(BUS_HEADER, current)
    return said or None


def backoff(tries: int) -> float:
    """Doubling, with half of it left to chance: after a restart a fleet must not come back in step."""
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(tries - 1, 10)) * random.uniform(0.5, 1.0)
