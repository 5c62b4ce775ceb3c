"""A link: one client of nats-py from its sign-on to its end, by a cut or because it is time for the next one."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime

import nats.errors
import nkeys
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from bus.credentials import Credentials
from bus.errors import BusDown
from bus.message import Subscription, message_of
from telemetry import logs
from telemetry.correlation import BUS_HEADER, correlated
from wire.clock import utcnow
from wire.units import MIB

log = logs.get(__name__)

CONNECT_S = 5.0
"""TCP, TLS and sign-on: three round trips."""
RENEW_AT = 0.8
"""Of the JWT's life: leaves a fifth of it for trying again."""
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

DOWN = (nats.errors.Error, OSError, TimeoutError)
"""What nats-py raises when a connection is no more."""


class Link:
    def __init__(self, credentials: Credentials, went_down: Callable[["Link"], None]) -> None:
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
            message = message_of(raw)
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
            with suppress(*DOWN):
                await made.unsubscribe()

    async def close(self) -> None:
        with suppress(*DOWN):
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
