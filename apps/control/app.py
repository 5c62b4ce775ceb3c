"""The public listener's application: the one place where rooms are wired to routes."""

from mimetypes import guess_type
from pathlib import Path

from litestar import Litestar, Router, get
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.response import File
from litestar.types import ASGIApp

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


def create_app(plane: Plane, hub: Hub) -> ASGIApp:
    throttling, providers = Throttle(plane.db, plane.settings.rate_scale), Providers(plane.settings)
    anybody = Router("/", route_handlers=FOR_EVERYBODY, guards=[auth.from_here])
    api = Router("/api/v1", route_handlers=[*ROUTES, anybody])
    app = Litestar(
        route_handlers=[api, *health.ROUTES, *_pages(plane.settings.web_dir or WEB_DIR)],
        dependencies={
            "plane": Provide(lambda: plane, sync_to_thread=False),
            "throttling": Provide(lambda: throttling, sync_to_thread=False),
            "providers": Provide(lambda: providers, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "who": Provide(auth.principal, sync_to_thread=False),
        },
        guards=[auth.guard(plane, throttling)],
        exception_handlers={Exception: http.refuse},
        after_exception=[Watch(plane).refused],
        before_request=http.check_body,
        request_max_body_size=http.JSON_BYTES_MAX,
        lifespan=[lambda _: hub.running()],
        cors_config=_cors(plane.settings.origins_allowed),
        openapi_config=openapi.config(),
        logging_config=None,
    )
    openapi.complete(app.openapi_schema, auth.declared(app))
    script_from = http.TURNSTILE if plane.settings.bot_check == "turnstile" else None
    return http.Door(app, https=plane.settings.secure_cookies, script_from=script_from)


def _cors(origins: list[str]) -> CORSConfig | None:
    """Closed, unless an operator names pages: they come with keys of their own, never with somebody's cookie."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=origins,
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
