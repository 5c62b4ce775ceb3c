"""The fleet listener: HTTPS with the fleet CA's client certificates. A foreign certificate fails in TLS; none at all
gets as far as enrolment.
"""

import ssl

import uvicorn
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.types import ASGIApp

from control import http
from control.fleet import routes
from control.fleet.peer import PeerProtocol
from control.plane import Plane
from control.serve import Server, bound
from control.watch import Watch
from telemetry import logs

log = logs.get(__name__)

KEEP_ALIVE_S = 75
"""Longer than any pause between two syncs."""
STOP_S = 5
"""For requests under way."""
CONNECTIONS_MAX = 4096


def create_app(plane: Plane) -> ASGIApp:
    for_agents = Router("/", route_handlers=routes.FOR_AGENTS, dependencies={"agent": Provide(routes.caller)})
    app = Litestar(
        route_handlers=[*routes.FOR_EVERYBODY, for_agents],
        dependencies={"plane": Provide(lambda: plane, sync_to_thread=False)},
        exception_handlers={Exception: http.refuse},
        after_exception=[Watch(plane).refused],
        before_request=http.check_body,
        request_max_body_size=http.JSON_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )
    return http.Door(app, https=True)


async def serve(plane: Plane) -> None:
    """Until cancelled; then requests under way are answered first."""
    settings = plane.settings
    config = uvicorn.Config(
        create_app(plane),
        http=PeerProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S,
        ssl_certfile=settings.fleet_cert_file,
        ssl_keyfile=settings.fleet_key_file,
        ssl_ca_certs=str(settings.ca_cert_file),
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
    )
    config.load()
    assert config.ssl is not None
    config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    server = Server(config)
    with bound(settings.fleet_host, settings.fleet_port) as listening:
        await server.serve(sockets=[listening])
