"""The public listener's application: the one place where rooms are wired to routes."""

from collections.abc import Callable, Collection
from functools import cache
from mimetypes import guess_type
from pathlib import Path

from litestar import Litestar, Router, get
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.response import File
from litestar.types import ASGIApp, Scope
from msgspec import Struct

from control import auth, health, http, openapi, stream
from control.abuse import routes as abuse_routes
from control.accounts import (
    bot_routes,
    invitation_routes,
    key_routes,
    oidc_routes,
    organisation_routes,
    passkey_routes,
    platform_routes,
    self_routes,
    session_routes,
    suspension_routes,
    terms_routes,
)  # fmt: skip
from control.accounts import routes as accounts_routes
from control.accounts.oidc import Providers
from control.accounts.permissions import ANYBODY
from control.accounts.throttle import Throttle
from control.admin import directory_routes, sweep_routes, verb_routes
from control.admin import routes as admin_routes
from control.announcements import routes as announcements_routes
from control.audit import routes as audit_routes
from control.delivery import routes as delivery_routes
from control.feed import routes as feed_routes
from control.flags import routes as flags_routes
from control.fleet import operator_routes
from control.jobs import routes as jobs_routes
from control.jobs.shown import Tally
from control.mail import routes as mail_routes
from control.plane import Plane
from control.plans import admin_routes as plans_admin_routes
from control.plans import routes as plans_routes
from control.stream import Hub
from control.torrents import blocklist_routes
from control.torrents import routes as torrents_routes
from control.watch import Watch
from control.webhooks import routes as webhooks_routes
from telemetry.correlation import HTTP_HEADER

WEB_DIR = Path(__file__).parents[1] / "web"
"""In a checkout; elsewhere `web_dir` says."""
FRESH = {"Cache-Control": "no-cache"}
"""Asked again each time, by ETag: a reload always gives the page that fits the api."""

ROUTES = [
    *accounts_routes.ROUTES,
    *self_routes.ROUTES,
    *session_routes.ROUTES,
    *passkey_routes.ROUTES,
    *oidc_routes.ROUTES,
    *oidc_routes.FROM_ELSEWHERE,
    *key_routes.ROUTES,
    *organisation_routes.ROUTES,
    *invitation_routes.ROUTES,
    *platform_routes.ROUTES,
    *suspension_routes.ROUTES,
    *terms_routes.ROUTES,
    *jobs_routes.ROUTES,
    *torrents_routes.ROUTES,
    *blocklist_routes.ROUTES,
    *abuse_routes.ROUTES,
    *delivery_routes.ROUTES,
    *operator_routes.ROUTES,
    *plans_routes.ROUTES,
    *admin_routes.ROUTES,
    *sweep_routes.ROUTES,
    *plans_admin_routes.ROUTES,
    *audit_routes.ROUTES,
    *mail_routes.ROUTES,
    *stream.ROUTES,
    *feed_routes.ROUTES,
    *webhooks_routes.ROUTES,
    *directory_routes.ROUTES,
    *verb_routes.ROUTES,
    *flags_routes.ROUTES,
    *announcements_routes.ROUTES,
]
FOR_EVERYBODY = [
    *accounts_routes.FOR_EVERYBODY,
    *self_routes.FOR_EVERYBODY,
    *passkey_routes.FOR_EVERYBODY,
    *oidc_routes.FOR_EVERYBODY,
    *terms_routes.FOR_EVERYBODY,
    *bot_routes.FOR_EVERYBODY,
    *abuse_routes.FOR_EVERYBODY,
]
"""Where cookies are set, or somebody without one asks: not from another site's page."""


class Place(Struct, frozen=True, eq=False):
    """What the routes work with: it comes with each request, so that the routes themselves are made once a process."""

    plane: Plane
    throttling: Throttle
    providers: Providers
    tally: Tally
    hub: Hub
    watch: Watch


def of(scope: Scope) -> Place:
    place: Place = scope["state"]["place"]
    return place


def create_app(plane: Plane, hub: Hub) -> ASGIApp:
    settings = plane.settings
    place = Place(plane, Throttle(plane.db, settings.rate_scale), Providers(settings), Tally(), hub, Watch(plane))
    app = _application(settings.web_dir or WEB_DIR, tuple(settings.origins_allowed))
    script_from = http.TURNSTILE if settings.bot_check == "turnstile" else None
    return http.Door(app, place, https=settings.secure_cookies, script_from=script_from)


@cache
def _application(web_dir: Path, origins: tuple[str, ...]) -> Litestar:
    anybody = Router("/", route_handlers=FOR_EVERYBODY, guards=[auth.from_here])
    api = Router("/api/v1", route_handlers=[*ROUTES, anybody])
    app = Litestar(
        route_handlers=[api, *health.ROUTES, *_pages(web_dir)],
        dependencies={
            "plane": _given(lambda place: place.plane),
            "throttling": _given(lambda place: place.throttling),
            "providers": _given(lambda place: place.providers),
            "tally": _given(lambda place: place.tally),
            "hub": _given(lambda place: place.hub),
            "who": Provide(auth.principal, sync_to_thread=False),
        },
        guards=[_allowed],
        exception_handlers={Exception: http.refuse},
        after_exception=[_refused],
        before_request=http.check_body,
        request_max_body_size=http.JSON_BYTES_MAX,
        cors_config=_cors(origins),
        openapi_config=openapi.config(),
        logging_config=None,
    )
    auth.declared(app)
    return app


def _given(part: Callable[[Place], object]) -> Provide:
    def given(request: http.Asked) -> object:
        return part(of(request.scope))

    return Provide(given, sync_to_thread=False)


async def _allowed(connection: auth.Connection, handler: BaseRouteHandler) -> None:
    place = of(connection.scope)
    await auth.allowed(place.plane, place.throttling, connection, handler)


async def _refused(failure: Exception, scope: Scope) -> None:
    await of(scope).watch.refused(failure, scope)


def _cors(origins: Collection[str]) -> CORSConfig | None:
    """Closed, unless an operator names pages: they come with keys of their own, never with somebody's cookie."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_credentials=False,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", HTTP_HEADER],
        expose_headers=[HTTP_HEADER, "RateLimit", "RateLimit-Policy", "Retry-After"],
    )


def _pages(web: Path) -> list[HTTPRouteHandler]:
    """The web app, and the page to try the API with: files of ours, listed once, so that a path is only ever a name."""
    pages = {f"/{file.relative_to(web)}": file for file in web.rglob("*") if file.is_file()}
    places = pages | {"/": web / "index.html", "/api/docs": web / "docs.html"}

    @get(["/", "/api/docs", "/{path:path}"], permission=ANYBODY, include_in_schema=False, sync_to_thread=False)
    def page(request: http.Asked) -> File:
        found = places.get(request.scope["path"])
        if found is None:
            raise NotFoundException
        kind, _ = guess_type(found.name)
        return File(
            found, media_type=kind or "application/octet-stream", content_disposition_type="inline", headers=FRESH
        )

    return [page] if web.joinpath("index.html").is_file() else []
