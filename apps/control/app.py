"""The public listener's application: the one place where rooms are wired to routes."""

from mimetypes import guess_type
from pathlib import Path

from litestar import Litestar, Router, get
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.response import File
from litestar.types import ASGIApp

from control import auth, health, http, openapi, stream
from control.accounts import invitation_routes, key_routes, organisation_routes, platform_routes
from control.accounts import routes as accounts_routes
from control.accounts.permissions import ANYBODY
from control.accounts.throttle import Throttle
from control.admin import routes as admin_routes
from control.audit import routes as audit_routes
from control.delivery import routes as delivery_routes
from control.fleet import operator_routes
from control.jobs import routes as jobs_routes
from control.plane import Plane
from control.stream import Hub
from control.torrents import routes as torrents_routes
from control.watch import Watch

WEB_DIR = Path(__file__).parents[1] / "web"
"""In a checkout; elsewhere `web_dir` says."""
FRESH = {"Cache-Control": "no-cache"}
"""Asked again each time, by ETag: a reload always gives the page that fits the api."""

ROUTES = [
    *accounts_routes.ROUTES,
    *key_routes.ROUTES,
    *organisation_routes.ROUTES,
    *invitation_routes.ROUTES,
    *platform_routes.ROUTES,
    *jobs_routes.ROUTES,
    *torrents_routes.ROUTES,
    *delivery_routes.ROUTES,
    *operator_routes.ROUTES,
    *admin_routes.ROUTES,
    *audit_routes.ROUTES,
    *stream.ROUTES,
]


def create_app(plane: Plane, hub: Hub) -> ASGIApp:
    throttling = Throttle()
    api = Router("/api/v1", route_handlers=ROUTES)
    app = Litestar(
        route_handlers=[api, *health.ROUTES, *_pages(plane.settings.web_dir or WEB_DIR)],
        dependencies={
            "plane": Provide(lambda: plane, sync_to_thread=False),
            "throttling": Provide(lambda: throttling, sync_to_thread=False),
            "hub": Provide(lambda: hub, sync_to_thread=False),
            "who": Provide(auth.principal, sync_to_thread=False),
        },
        guards=[auth.guard(plane)],
        exception_handlers={Exception: http.refuse},
        after_exception=[Watch(plane).refused],
        before_request=http.check_body,
        request_max_body_size=http.JSON_BYTES_MAX,
        lifespan=[lambda _: hub.running()],
        openapi_config=openapi.config(),
        logging_config=None,
    )
    openapi.complete(app.openapi_schema, auth.declared(app))
    return http.Door(app, https=plane.settings.secure_cookies)


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
