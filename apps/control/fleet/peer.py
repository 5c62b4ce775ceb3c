"""Who is on the other end of a fleet connection: uvicorn's protocol with the client's certificate in the scope."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEY = "seedlift.peer"


class PeerProtocol(HttpToolsProtocol):
    """TLS has checked who signed it and when it ends; what it says is read by `fleet.authority`."""

    _certificate: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are like asyncio's, but no subclass of them.
        super().connection_made(cast("asyncio.Transport", transport))
        tls = transport.get_extra_info("ssl_object")
        self._certificate = tls.getpeercert(True) if tls is not None else None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope.setdefault("extensions", {})[KEY] = {"certificate": self._certificate}


def certificate(scope: Any) -> bytes | None:
    shown = scope.get("extensions", {}).get(KEY, {}).get("certificate")
    return shown if isinstance(shown, bytes) else None
