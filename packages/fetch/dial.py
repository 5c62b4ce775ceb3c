"""Connections for httpcore: only to addresses that were checked, from one address of ours, through a proxy if asked.

httpcore hands over names; TLS and `Host` keep them, and the connection goes to what `lookup` found.
"""

from collections.abc import Callable, Iterable

import httpcore

from fetch import socks
from fetch.lookup import lookup
from fetch.socks import Proxy, ProxyRefuses
from wire.addresses import Allow

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Dial(httpcore.AsyncNetworkBackend):
    def __init__(self, allow: Callable[[], Allow], proxy: Proxy | None, outgoing: str | None) -> None:
        self._allow = allow
        self._proxy = proxy
        self._outgoing = outgoing
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failed: Exception | None = None
        for address in await lookup(host, port, self._allow()):
            try:
                return await self._connect(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                failed = failure
        assert failed is not None  # there is one address at least
        raise failed

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[SocketOption] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise NotImplementedError("strangers are not asked through files")

    async def sleep(self, seconds: float) -> None:
        await self._plain.sleep(seconds)

    async def _connect(self, address: str, port: int, timeout: float | None) -> httpcore.AsyncNetworkStream:
        if self._proxy is None:
            return await self._plain.connect_tcp(address, port, timeout, self._outgoing)
        proxy = self._proxy
        stream = await self._plain.connect_tcp(proxy.host, proxy.port, timeout, self._outgoing)

        async def read(count: int) -> bytes:
            data = b""
            while len(data) < count:
                more = await stream.read(count - len(data), timeout)
                if not more:
                    raise ProxyRefuses("it hung up")
                data += more
            return data

        try:
            await socks.connect(proxy, address, port, lambda data: stream.write(data, timeout), read)
        except ProxyRefuses as refused:
            await stream.aclose()
            raise httpcore.ConnectError(f"the proxy: {refused}") from None
        except BaseException:
            await stream.aclose()
            raise
        return stream
