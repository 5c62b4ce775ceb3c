"""SOCKS5 (RFC 1928, 1929), the client's few bytes: one CONNECT to an address that was looked up and checked here."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from msgspec import Struct

VERSION, CONNECT, NO_AUTH, BY_PASSWORD, SUCCEEDED = 5, 1, 0, 2, 0
KINDS = {4: b"\x01", 6: b"\x04"}
"""Of addresses, by IP version."""
LENGTHS = {1: 4, 4: 16}
WORD_BYTES_MAX = 255
PORT = 1080


class BadProxy(Exception):
    """A proxy's address that cannot be read; the message says why."""


class ProxyRefuses(Exception):
    pass


class Proxy(Struct, frozen=True):
    host: str
    port: int
    user: str = ""
    password: str = ""


def parse_proxy(text: str) -> Proxy:
    """`socks5://user:password@host:port`"""
    try:
        parts = urlsplit(text)
        port = parts.port or PORT
    except ValueError:
        raise BadProxy("a proxy is written as socks5://host:port") from None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme != "socks5" or not parts.hostname or parts.path not in ("", "/"):
        raise BadProxy("a proxy is written as socks5://host:port, or socks5://user:password@host:port")
    if max(len(user.encode()), len(password.encode())) > WORD_BYTES_MAX or bool(user) is not bool(password):
        raise BadProxy("a proxy's user and password have 1 to 255 bytes each")
    return Proxy(parts.hostname, port, user, password)


async def connect(
    proxy: Proxy,
    address: str,
    port: int,
    send: Callable[[bytes], Awaitable[None]],
    read: Callable[[int], Awaitable[bytes]],
) -> None:
    """Over a fresh connection to the proxy; `read` gives exactly so many bytes. Raises ProxyRefuses."""
    method = BY_PASSWORD if proxy.user else NO_AUTH
    await send(bytes((VERSION, 1, method)))
    if await read(2) != bytes((VERSION, method)):
        raise ProxyRefuses("it does not take our way of signing in")
    if proxy.user:
        user, password = proxy.user.encode(), proxy.password.encode()
        await send(bytes((1, len(user))) + user + bytes((len(password),)) + password)
        if (await read(2))[1] != SUCCEEDED:
            raise ProxyRefuses("it does not take our password")
    place = ip_address(address)
    await send(bytes((VERSION, CONNECT, 0)) + KINDS[place.version] + place.packed + port.to_bytes(2, "big"))
    version, answer, _, kind = await read(4)
    if version != VERSION or answer != SUCCEEDED:
        raise ProxyRefuses(f"it does not connect us (answer {answer})")
    length = LENGTHS.get(kind) or (await read(1))[0]
    await read(length + 2)
