"""Routes of flags, for who runs the platform."""

from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from control.accounts import proof
from control.accounts.permissions import Permission
from control.accounts.throttle import Throttle
from control.auth import Principal, actor_of
from control.errors import NotFound
from control.flags import service as flags
from control.flags.model import FlagRow
from control.flags.schemas import FlagChange, FlagHistory, FlagView, FlagViews, SwitchFlag
from control.flags.service import DOES, Flag
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow

TAG = ["admin"]


@get("/admin/flags", permission=Permission.PLATFORM_READ, tags=TAG, summary="What is switched on and off")
async def list_flags(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> FlagViews:
    async with plane.working() as tx:
        rows = await flags.switched(tx)
    return FlagViews([_view(flag, rows.get(flag)) for flag in Flag])


@put(
    "/admin/flags/{flag:str}",
    permission=Permission.FLAGS_WRITE,
    refuses=[429],
    tags=TAG,
    summary="Switch something on or off for everybody, with a reason and your password",
)
async def switch_flag(
    flag: FromPath[str],
    data: JSONBody[SwitchFlag],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> FlagView:
    known = _known(flag)
    await proof.prove(plane, throttling, request, who, data.password)
    async with plane.working() as tx:
        actor = actor_of(request, who)
        row = await flags.switch(tx, known, on=data.on, reason=data.reason, actor=actor, now=utcnow())
    for loop in ("dispatch", "calls"):
        await plane.nudge(loop)
    return _view(known, row)


@get(
    "/admin/flags/{flag:str}/history",
    permission=Permission.PLATFORM_READ,
    tags=TAG,
    summary="Who switched it, when and why, newest first",
)
async def flag_history(
    flag: FromPath[str], plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> FlagHistory:
    known = _known(flag)
    async with plane.working() as tx:
        rows = await flags.history(tx, known)
    return FlagHistory([FlagChange(row.at, row.actor, row.detail["on"], row.detail["reason"]) for row in rows])


def _known(name: str) -> Flag:
    try:
        return Flag(name)
    except ValueError:
        raise NotFound("There is no such flag.") from None


def _view(flag: Flag, row: FlagRow | None) -> FlagView:
    if row is None:
        return FlagView(flag, True, DOES[flag], None, None, None)
    return FlagView(flag, row.on, DOES[flag], row.reason, row.changed_by, row.changed_at)


ROUTES = [list_flags, switch_flag, flag_history]
