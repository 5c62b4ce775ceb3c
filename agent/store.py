"""Putting bytes into the store by a presigned grant: plain HTTP, exactly the headers that were signed.

StoreError ─┬─ StoreAway     no answer, or a 5xx: the same again later
            └─ StoreRefused  a 4xx: the grant has expired, the bytes are not what was signed, or the upload is gone
"""

from collections.abc import AsyncIterator, Callable
from types import TracebackType

import httpx

from wire.messages import Grant

CONNECT_S = 5.0
SILENCE_S = 60.0
"""Without a byte moving in either direction."""
NO_SUCH_UPLOAD = 404
CHUNK_BYTES = 262_144
"""Written at once: small enough that four uploads share the loop, large enough that the loop is not all there is."""
IDLE_S = 20.0
"""Below the keep-alive of common stores and proxies."""


class StoreError(Exception):
    pass


class StoreAway(StoreError):
    pass


class StoreRefused(StoreError):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the store answered {status}: {detail}")
        self.status = status


class Store:
    def __init__(self, connections: int) -> None:
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S, pool=None),
            limits=httpx.Limits(
                max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_S
            ),
            trust_env=False,
        )

    async def __aenter__(self) -> "Store":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def put(self, grant: Grant, body: Callable[[], AsyncIterator[memoryview]], size_bytes: int) -> str:
        """The object's or part's ETag, without its quotes."""
        own = ("host", "content-length")
        headers = {name: value for name, value in grant.headers.items() if name.lower() not in own}
        headers["Content-Length"] = str(size_bytes)
        try:
            answer = await self._client.put(grant.url, content=_cut(body()), headers=headers)
        except httpx.TransportError as failure:
            raise StoreAway(f"PUT: {failure!r}") from None
        etag = str(answer.headers.get("etag", "")).strip('"')
        if answer.is_success and etag:
            return etag
        if answer.is_success or answer.status_code >= 500 or answer.status_code == 429:
            raise StoreAway(f"the store answered {answer.status_code} {answer.text[:200]}")
        raise StoreRefused(answer.status_code, answer.text[:500])


async def _cut(body: AsyncIterator[memoryview]) -> AsyncIterator[bytes]:
    async for view in body:
        for at in range(0, len(view), CHUNK_BYTES):
            yield bytes(view[at : at + CHUNK_BYTES])
