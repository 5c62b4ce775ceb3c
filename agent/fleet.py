"""The fleet listener as an agent calls it: claim, sync, grants, metadata, bus credentials, over mutual TLS.

FleetError ─┬─ Unreachable  no answer, or one that means "later": wait and try again
            └─ Refusal      an answer with a code; `Refusal.void` means that the transfer is not ours any more
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import TypeVar

import httpx
import msgspec
from msgspec import Struct

from agent.config import Settings
from agent.identity import Identity
from agent.metrics import SYNC_BYTES
from telemetry import logs
from wire.clock import utcnow
from wire.ids import TransferId
from wire.messages import (
    BusCredentials,
    Claim,
    ClaimAnswer,
    Grant,
    Granted,
    MetadataVerdict,
    Renew,
    Renewed,
    Sync,
    Synced,
    Want,
    WantGrants,
)

log = logs.get(__name__)
T = TypeVar("T")

ANSWER_S = 10.0
"""Half a lease: a call that hangs longer must be tried again before the lease ends."""
INFO_S = 60.0
"""An info dict may be 32 MiB."""
BACKOFF_S = 0.25
BACKOFF_MAX_S = 5.0
"""A control plane that is back is found within this."""
CONNECTIONS_MAX = 8
LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
VOID = frozenset({"stale_epoch", "gone", "not_found"})
_JSON = {"Content-Type": "application/json"}


class FleetError(Exception):
    pass


class Unreachable(FleetError):
    pass


class Refusal(FleetError):
    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{code} ({status}): {detail}")
        self.status = status
        self.code = code
        self.detail = detail

    @property
    def void(self) -> bool:
        """The transfer is not ours any more."""
        return self.status == 404 or self.code in VOID


class _Problem(Struct, frozen=True):
    code: str = "unknown"
    detail: str = ""


class _Line:
    """An HTTP client under one certificate: once it is left, it is closed with the last request under way."""

    def __init__(self, identity: Identity, settings: Settings) -> None:
        self._busy = 0
        self._left = False
        self._until = identity.until()
        self._client = httpx.AsyncClient(
            base_url=identity.fleet_url,
            verify=identity.tls(),
            timeout=settings.wait(ANSWER_S),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, keepalive_expiry=30),
            trust_env=False,
        )

    @asynccontextmanager
    async def use(self) -> AsyncIterator[httpx.AsyncClient]:
        self._busy += 1
        try:
            yield self._client
        finally:
            self._busy -= 1
            await self._close_once_unused()

    def hint(self, now: datetime) -> str:
        """Whoever refuses a certificate hangs up, and often that is all one sees of it."""
        if now < self._until:
            return ""
        return f"; our certificate ended on {self._until:%Y-%m-%d %H:%M} UTC: retire this agent and enrol it --again"

    async def leave(self) -> None:
        self._left = True
        await self._close_once_unused()

    async def _close_once_unused(self) -> None:
        if self._left and not self._busy:
            await self._client.aclose()


class Fleet:
    """Each verb asks once; `patiently` asks until there is an answer."""

    def __init__(self, identity: Identity, settings: Settings) -> None:
        self._settings = settings
        self._line = _Line(identity, settings)

    async def __aenter__(self) -> "Fleet":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._line.leave()

    async def show(self, identity: Identity) -> None:
        """From now on another certificate, once it has been taken; requests under way end under the one before."""
        fresh = _Line(identity, self._settings)
        try:
            await self._ask("POST", "/fleet/credentials", content=b"{}", headers=_JSON, line=fresh)
        except BaseException:
            await fresh.leave()
            raise
        before, self._line = self._line, fresh
        await before.leave()

    async def claim(self, claim: Claim) -> ClaimAnswer:
        return await self._post("/fleet/claim", claim, ClaimAnswer)  # type: ignore[arg-type] # a union is no type[T] yet

    async def sync(self, sync: Sync) -> Synced:
        body = msgspec.json.encode(sync)
        SYNC_BYTES.inc(len(body))
        raw = await self._ask("POST", "/fleet/sync", content=body, headers=_JSON)
        return msgspec.json.decode(raw, type=Synced)

    async def grants(self, transfer: TransferId, epoch: int, wants: list[Want]) -> list[Grant]:
        return (await self._post("/fleet/grants", WantGrants(transfer, epoch, wants), Granted)).grants

    async def grants_patiently(self, transfer: TransferId, epoch: int, wants: list[Want]) -> list[Grant]:
        return await self.patiently(lambda: self.grants(transfer, epoch, wants))

    async def renew(self, renew: Renew) -> Renewed:
        return await self._post("/fleet/renew", renew, Renewed)

    async def credentials(self) -> BusCredentials:
        return await self._post("/fleet/credentials", {}, BusCredentials)

    async def info(self, transfer: TransferId, epoch: int) -> bytes:
        return await self._ask("GET", _info_url(transfer), params={"epoch": epoch}, timeout=INFO_S)

    async def layers(self, transfer: TransferId, epoch: int) -> bytes | None:
        """None: whoever brought it in did not know them."""
        url = f"/fleet/transfers/{transfer}/layers"
        return await self._ask("GET", url, params={"epoch": epoch}, timeout=INFO_S) or None

    async def judge(self, transfer: TransferId, epoch: int, info: bytes) -> MetadataVerdict:
        raw = await self._ask(
            "PUT",
            _info_url(transfer),
            params={"epoch": epoch},
            content=info,
            headers={"Content-Type": "application/octet-stream"},
            timeout=INFO_S,
        )
        return msgspec.json.decode(raw, type=MetadataVerdict)

    async def patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Control planes restart: minutes of silence are nothing, whoever does not want to wait cancels."""
        tries = 0
        while True:
            try:
                return await ask()
            except Unreachable as failure:
                tries += 1
                if tries == 1:
                    log.info("fleet.unreachable", detail=str(failure))
                await asyncio.sleep(self._settings.wait(backoff(tries)))

    async def _post(self, path: str, body: object, kind: type[T]) -> T:
        raw = await self._ask("POST", path, content=msgspec.json.encode(body), headers=_JSON)
        return msgspec.json.decode(raw, type=kind)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, int] | None = None,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float | None = None,
        line: "_Line | None" = None,
    ) -> bytes:
        try:
            async with (line or self._line).use() as client:
                answer = await client.request(
                    method,
                    path,
                    params=params,
                    content=content,
                    headers=headers,
                    timeout=self._settings.wait(timeout or ANSWER_S),
                )
        except httpx.TransportError as failure:
            raise Unreachable(f"{method} {path}: {failure!r}{self._line.hint(utcnow())}") from None
        if answer.is_success:
            return answer.content
        if answer.status_code in LATER:
            raise Unreachable(f"{method} {path}: {answer.status_code}")
        try:
            problem = msgspec.json.decode(answer.content, type=_Problem)
        except msgspec.DecodeError:
            problem = _Problem()
        raise Refusal(answer.status_code, problem.code, problem.detail)


def backoff(tries: int) -> float:
    """Spread out: a whole fleet comes back at once."""
    return min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(tries - 1, 10)) * random.uniform(0.5, 1.0)


def _info_url(transfer: TransferId) -> str:
    return f"/fleet/transfers/{transfer}/info"
