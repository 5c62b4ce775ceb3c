"""One POST to somebody else's server, from inside our network: to public addresses only, and what it answers.

The name is looked up here, every address is judged, and the connection goes to one that was: nothing is looked up
again in between. The certificate is still the name's. A redirect is an answer like others, and no success.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

import httpx
from msgspec import Struct

from wire.addresses import Allow, allowed
from wire.clock import utcnow
from wire.version import VERSION

TRY_S = 15.0
"""Look-up, connection and answer; the standard says 15 to 30."""
CONNECT_S = 5.0
"""For each address."""
ADDRESSES_MAX = 4
ANSWER_BYTES_MAX = 4096
"""More is not read: the connection is closed."""
SHOWN_CHARS_MAX = 500
PORTS = frozenset({80, 443})
"""Or from 1024 on: below, other protocols listen that could be talked into something."""
URL_CHARS_MAX = 2000
HEADERS = {"Content-Type": "application/json", "User-Agent": f"Seedlift/{VERSION}"}
CODES = frozenset({413, 429, 500, 502, 503, 504})
"""With these `Retry-After` is believed."""


class Outcome(Struct, frozen=True):
    took_ms: int
    status: int | None = None
    """None: there was no answer."""
    failure: str | None = None
    """None: it was taken."""
    answer: str | None = None
    """How it begins."""
    retry_after_s: float | None = None


class _NotAllowed(Exception):
    """The message says what is wrong with where it would go."""


def why_not(url: str, allow: Allow) -> str | None:
    """What is plainly wrong with an address; what its name leads to is judged before each POST."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or not url.isprintable() or set(" \\#") & set(url):
        return f"An address has at most {URL_CHARS_MAX} ASCII characters, no spaces and no fragment."
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "This is not an address."
    if parsed.scheme not in ("https", "http"):
        return "An address begins with https:// (or http://, where nobody else listens)."
    if not allowed(url, allow):
        return "This address is not a public one."
    if not _port_allowed(parsed.port):
        return "Ports below 1024 are refused, but for 80 and 443."
    return None


def _port_allowed(port: int | None) -> bool:
    return port is None or port in PORTS or port >= 1024


async def post(url: str, headers: Mapping[str, str], body: bytes, allow: Allow, tls: ssl.SSLContext) -> Outcome:
    """Never raises for what a receiver does."""
    began = time.perf_counter()

    def took_ms() -> int:
        return round((time.perf_counter() - began) * 1000)

    try:
        async with asyncio.timeout(TRY_S):
            answer = await _post(httpx.URL(url), headers, body, allow, tls)
    except TimeoutError:
        return Outcome(took_ms(), failure=f"No answer within {TRY_S:g} s.")
    except (_NotAllowed, httpx.HTTPError, httpx.InvalidURL, OSError) as failed:
        return Outcome(took_ms(), failure=_said(str(failed) or type(failed).__name__))
    status = answer.status_code
    failure = (
        None if answer.is_success else f"It answered {status}{' (redirects are not followed)' * (status // 100 == 3)}."
    )
    retry_after_s = _retry_after_s(answer) if status in CODES else None
    return Outcome(took_ms(), status, failure, _said(answer.text), retry_after_s)


async def _post(
    url: httpx.URL, headers: Mapping[str, str], body: bytes, allow: Allow, tls: ssl.SSLContext
) -> httpx.Response:
    addresses = await _judged(url, allow)
    while True:
        address = addresses.pop(0)
        try:
            return await _post_to(address, url, headers, body, tls)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if not addresses:
                raise


async def _judged(url: httpx.URL, allow: Allow) -> list[str]:
    """One that is not allowed spoils all: nobody means to have such a mixture."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as unknown:
        raise _NotAllowed(f"The name {url.host} cannot be looked up: {unknown}") from None
    addresses = list(dict.fromkeys(str(place[0]).partition("%")[0] for *_, place in found))
    for address in addresses:
        if not allowed(address, allow):
            raise _NotAllowed(f"{url.host} leads to {address}, which is not a public address.")
    return addresses[:ADDRESSES_MAX]


async def _post_to(
    address: str, url: httpx.URL, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext
) -> httpx.Response:
    """A client for each: what one receiver sets as a cookie is nobody else's business."""
    named = {**headers, "Host": url.netloc.decode("ascii")}
    at = url.copy_with(host=f"[{address}]" if ip_address(address).version == 6 else address)
    timeout = httpx.Timeout(TRY_S, connect=CONNECT_S)
    async with (
        httpx.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=timeout) as client,
        client.stream("POST", at, headers=named, content=body, extensions={"sni_hostname": url.host}) as answer,
    ):
        read = b""
        async for chunk in answer.aiter_raw():
            read += chunk[: ANSWER_BYTES_MAX - len(read)]
            if len(read) == ANSWER_BYTES_MAX:
                break
    return httpx.Response(
        answer.status_code, headers={"Retry-After": answer.headers.get("Retry-After", "")}, content=read
    )


def _retry_after_s(answer: httpx.Response) -> float | None:
    said = answer.headers["Retry-After"]
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        at = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - utcnow().timestamp())


def _said(text: str) -> str:
    """A stranger's words: what cannot be shown is not kept."""
    return "".join(c if c.isprintable() else " " for c in text[:SHOWN_CHARS_MAX]).strip()
