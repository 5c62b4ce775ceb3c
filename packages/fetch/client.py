"""One GET after another to strangers: redirects followed and checked each time, every wait and every head bounded."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urljoin

import httpcore
from msgspec import Struct

from fetch.dial import Dial
from fetch.errors import Away, NotAllowed, Refused
from fetch.socks import Proxy
from wire.addresses import Allow, filter_web_seeds
from wire.errors import BadUrl
from wire.urls import parse_url

REDIRECTS_MAX = 8
"""Browsers follow twenty; mirrors and shorteners need three."""
CONNECT_S = 10.0
SILENCE_S = 30.0
"""Without a byte: slower than any server that is alive."""
IDLE_S = 20.0
"""Between two requests; most servers keep a connection longer."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})
LATER = frozenset({408, 425, 429})
"""Of the 4xx: nothing is wrong with what was asked, or by whom."""


class Answer(Struct, frozen=True):
    status: int
    fields: Mapping[str, str]
    """Names in lower case."""
    url: str
    """Which answered, behind all redirects."""
    chunks: AsyncIterator[bytes]
    """Raises Away when it is cut short."""


class Client:
    def __init__(self, *, connections: int, user_agent: str, proxy: Proxy | None = None, outgoing: str = "") -> None:
        self.allow: Allow = ()
        """Refused address space that may be talked to."""
        self._user_agent = user_agent
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=connections,
            keepalive_expiry=IDLE_S,
            network_backend=Dial(lambda: self.allow, proxy, outgoing or None),
        )

    async def aclose(self) -> None:
        await self._pool.aclose()

    @asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        """An answer that is no redirect: a 2xx, or 416, which says something of a file too. Raises Away, Refused."""
        for _ in range(REDIRECTS_MAX + 1):
            if not filter_web_seeds([url], self.allow):
                raise NotAllowed("it leads to an address that may not be contacted")
            async with self._ask(url, headers) as answer:
                if answer.status not in REDIRECTS:
                    _check(answer)
                    yield answer
                    return
                url = _next(answer)
        raise Refused(f"it leads on and on, more than {REDIRECTS_MAX} times")

    @asynccontextmanager
    async def _ask(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        ours = {"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        waits = {"connect": CONNECT_S, "read": SILENCE_S, "write": SILENCE_S, "pool": None}
        try:
            async with self._pool.stream(
                "GET", url, headers=[*ours.items()], extensions={"timeout": waits}
            ) as response:
                fields: dict[str, str] = {}
                for name, value in response.headers:
                    fields.setdefault(name.decode("ascii").lower(), value.decode("latin-1"))
                yield Answer(response.status, fields, url, _chunks(response))
        except httpcore.TimeoutException:
            raise Away("it does not answer in time") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError) as failure:
            raise Away(str(failure) or type(failure).__name__) from None
        except (httpcore.UnsupportedProtocol, UnicodeError) as failure:
            raise Refused(f"no request can be made of it: {failure}") from None


async def _chunks(response: httpcore.Response) -> AsyncIterator[bytes]:
    async for chunk in response.aiter_stream():
        yield chunk


def _next(answer: Answer) -> str:
    try:
        return parse_url(urljoin(answer.url, answer.fields.get("location", "")))
    except (BadUrl, ValueError):
        raise Refused("it leads to something that is no address") from None


def _check(answer: Answer) -> None:
    status = answer.status
    if status >= 500 or status in LATER:
        raise Away(f"it answered {status}")
    if status != 416 and not 200 <= status < 300:
        raise Refused(f"it answered {status}")
