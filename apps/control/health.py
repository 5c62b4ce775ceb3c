"""Is it alive, is it ready, what does it count: for whoever runs it."""

from collections.abc import Mapping

from litestar import Response, get
from litestar.di import NamedDependency
from msgspec import Struct

from control.accounts.permissions import ANYBODY
from control.accounts.tokens import same
from control.db import Asker
from control.errors import Forbidden
from control.http import Asked, client_ip
from control.plane import Plane
from telemetry import metrics
from telemetry.health import Finding, examine, healthy

FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
LOOPBACK = frozenset({"127.0.0.1", "::1"})


class Alive(Struct, frozen=True):
    status: str


class Ready(Struct, frozen=True):
    ready: bool
    checks: Mapping[str, Finding]


@get("/healthz", permission=ANYBODY, summary="The process answers", tags=["health"])
async def healthz() -> Alive:
    return Alive("ok")


@get(
    "/readyz",
    permission=ANYBODY,
    summary="It can do its work; without bus or store it goes on more slowly, without database not",
    tags=["health"],
)
async def readyz(plane: NamedDependency[Plane]) -> Response[Ready]:
    async def database() -> None:
        async with plane.asking(Asker()):
            pass

    async def bus() -> None:
        for each in (plane.app_bus, plane.fleet_bus):
            await each.ready(timeout=0)

    found = await examine({"database": database, "bus": bus, "store": plane.store.check})
    ready = healthy({"database": found["database"]})
    return Response(Ready(ready, found), status_code=200 if ready else 503)


@get("/metrics", permission=ANYBODY, include_in_schema=False)
async def metrics_text(request: Asked, plane: NamedDependency[Plane]) -> Response[bytes]:
    """From this machine, if no proxy stands between; else with the token."""
    token = plane.settings.metrics_token
    given = request.headers.get("Authorization", "")
    local = client_ip(request) in LOOPBACK and not any(name in request.headers for name in FORWARDED)
    if not local and not (token and same(given, f"Bearer {token}")):
        raise Forbidden("Metrics are for this machine, or for who has the token.")
    return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)


ROUTES = [healthz, readyz, metrics_text]
