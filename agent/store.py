"""Putting bytes into the store by a presigned grant: plain HTTP, exactly the headers that were signed.

StoreError ─┬─ StoreAway     no answer, or a 5xx: the same again later
            └─ StoreRefused  a 4xx: the grant has expired, the bytes are not what was signed, or the upload is gone
                 └─ BadGrant  no request can be made of it
"""

import asyncio
import re
import ssl
from collections import deque
from functools import lru_cache
from types import TracebackType

from msgspec import Struct

from agent.answer import Answer, Malformed
from agent.connection import Body, Connection, Cut, connect
from wire.messages import Grant

CONNECT_S = 5.0
SILENCE_S = 60.0
"""Without a byte moving in either direction."""
NO_SUCH_UPLOAD = 404
IDLE_S = 20.0
"""Below the keep-alive of common stores and proxies."""
ORIGINS_REMEMBERED = 64

_URL = re.compile(r"(https?://[^/?#@\\\s]+)(/[!\"$-~]*)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[ -~]*")
_OURS = frozenset({"host", "content-length"})


class StoreError(Exception):
    pass


class StoreAway(StoreError):
    pass


class StoreRefused(StoreError):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the store answered {status}: {detail}")
        self.status = status


class BadGrant(StoreRefused):
    def __init__(self, detail: str) -> None:
        StoreError.__init__(self, f"a grant that cannot be used: {detail}")
        self.status = 0


class Origin(Struct, frozen=True):
    host: str
    port: int
    tls: bool
    named: str
    """As it is signed: in lower case, without the scheme's own port."""


class Store:
    """Connections are kept while they are used: at most so many at once, and as many between two PUTs."""

    def __init__(self, connections: int, tls: ssl.SSLContext | None = None, silence_s: float = SILENCE_S) -> None:
        self._slots = asyncio.Semaphore(connections)
        self._connections = connections
        self._idle: deque[tuple[Origin, Connection]] = deque()
        """The one that was used last is last."""
        self._tls = tls
        self._silence_s = silence_s

    async def __aenter__(self) -> "Store":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    async def put(self, grant: Grant, body: Body, size_bytes: int) -> str:
        """The object's or part's ETag, without its quotes."""
        origin, head = _request(grant, size_bytes)
        async with self._slots:
            try:
                answer = await self._ask(origin, head, body)
            except (OSError, TimeoutError, UnicodeError, Cut, Malformed) as failure:  # Unicode: a host no name can have
                raise StoreAway(f"PUT: {failure!r}") from None
        etag = answer.fields.get("etag", "").strip('"')
        succeeded = 200 <= answer.status < 300
        if succeeded and etag:
            return etag
        said = answer.body.decode(errors="replace")
        if succeeded or answer.status >= 500 or answer.status == 429:
            raise StoreAway(f"the store answered {answer.status} {said[:200]}")
        raise StoreRefused(answer.status, said[:500])

    async def _ask(self, origin: Origin, head: bytes, body: Body) -> Answer:
        """On a kept connection if there is one. If the other side has closed that meanwhile, nothing of an answer was
        read: the same on another one is safe, since a grant can only ever put the same bytes there."""
        while True:
            kept = self._kept(origin)
            connection = kept or await connect(
                origin.host, origin.port, self._context() if origin.tls else None, CONNECT_S
            )
            try:
                answer = await connection.put(head, body, self._silence_s)
            except Cut:
                if kept and connection.untouched:
                    continue
                raise
            self._keep(origin, connection)
            return answer

    def _kept(self, origin: Origin) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - IDLE_S
        for at in range(len(self._idle) - 1, -1, -1):
            known, connection = self._idle[at]
            if known == origin:
                del self._idle[at]
                if connection.is_open and connection.idle_at > oldest:
                    return connection
                connection.close()
        return None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if not connection.is_open:
            return
        connection.idle_at = asyncio.get_running_loop().time()
        self._idle.append((origin, connection))
        if len(self._idle) > self._connections:
            self._idle.popleft()[1].close()

    def _context(self) -> ssl.SSLContext:
        """The system's CAs; read once, which takes a while."""
        self._tls = self._tls or ssl.create_default_context()
        return self._tls


def _request(grant: Grant, size_bytes: int) -> tuple[Origin, bytes]:
    if not (url := _URL.fullmatch(grant.url)):
        raise BadGrant("its URL is none")
    origin = _origin(url[1])
    lines = [f"PUT {url[2]} HTTP/1.1", f"Host: {origin.named}", f"Content-Length: {size_bytes}"]
    for name, value in grant.headers.items():
        if name.lower() in _OURS:
            continue
        if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            raise BadGrant(f"its header {name!r}")
        lines.append(f"{name}: {value}")
    return origin, "\r\n".join((*lines, "", "")).encode()


@lru_cache(ORIGINS_REMEMBERED)
def _origin(text: str) -> Origin:
    scheme, _, place = text.partition("://")
    own = 443 if scheme == "https" else 80
    host, colon, port = place.lower().rpartition(":")
    if not colon or port.endswith("]"):  # an IPv6 address without a port
        host, port = place.lower(), str(own)
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise BadGrant("its URL has no such port")
    named = host if int(port) == own else f"{host}:{port}"
    return Origin(host.strip("[]"), int(port), scheme == "https", named)
