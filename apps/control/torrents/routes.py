"""Routes of torrents: look into one before asking for it."""

from litestar import post
from litestar.di import NamedDependency

from control import http
from control.accounts import throttle
from control.accounts.permissions import Permission
from control.accounts.throttle import Throttle
from control.auth import Principal
from control.http import Asked, tell_rate
from control.torrents import sent
from control.torrents.schemas import TorrentView
from wire.clock import utcnow


@post(
    "/torrents/inspect",
    permission=Permission.JOBS_WRITE,
    status_code=200,
    summary="What a magnet or a .torrent says of itself; nobody else's knowledge is used",
    tags=["torrents"],
    request_max_body_size=http.TORRENT_BYTES_MAX,
    opt={"reads_own_body": True},
    operation_class=http.TorrentOperation,
)
async def inspect(
    request: Asked, who: NamedDependency[Principal], throttling: NamedDependency[Throttle]
) -> TorrentView:
    tell_rate(request, (await throttling.hit(throttle.INSPECT, str(who.org), now=utcnow())).headers)
    return sent.view(await sent.read(request, who.org))


ROUTES = [inspect]
