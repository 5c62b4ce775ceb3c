"""Operators' routes on the public listener: tokens, agents and what they should do, pools."""

from uuid import UUID

from litestar import get, patch, post, put
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import UnsetType

from control.accounts.permissions import Permission
from control.auth import Principal, actor_of
from control.fleet import duties, pools, service
from control.fleet.schemas import (
    AgentDetail,
    Agents,
    AgentView,
    DescribePool,
    Drain,
    MakeToken,
    Pools,
    Rename,
    TokenView,
    Why,
    held_view,
    view,
)
from control.http import Asked
from control.plane import Plane
from control.speed import LimitSpeed
from wire.clock import utcnow
from wire.states import Duty

REASON_CHARS_MAX = 500


@post(
    "/fleet/tokens",
    permission=Permission.FLEET_WRITE,
    tags=["fleet"],
    summary="Make a one-time token for a new agent",
)
async def make_token(
    request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal], data: JSONBody[MakeToken]
) -> TokenView:
    async with plane.working() as tx:
        made = await service.make_token(
            tx,
            plane.settings,
            name=data.name,
            pool=data.pool,
            ttl_s=data.ttl_s,
            actor=actor_of(request, who),
            now=utcnow(),
        )
    await plane.nudge("ensure")  # the pool's consumer should be there before its first agent
    return TokenView(made.token, made.expires_at)


@get("/fleet/agents", permission=Permission.FLEET_READ, tags=["fleet"], summary="All agents")
async def list_agents(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Agents:
    async with plane.working() as tx:
        return Agents([view(row) for row in await service.listed(tx)])


@get(
    "/fleet/agents/{agent:uuid}",
    permission=Permission.FLEET_READ,
    tags=["fleet"],
    summary="One agent, and what it holds",
)
async def show_agent(
    plane: NamedDependency[Plane], who: NamedDependency[Principal], agent: FromPath[UUID]
) -> AgentDetail:
    async with plane.working() as tx:
        row = await service.one(tx, agent)
        return AgentDetail(view(row), [held_view(transfer) for transfer in await service.held(tx, agent)])


@patch("/fleet/agents/{agent:uuid}", permission=Permission.FLEET_WRITE, tags=["fleet"], summary="Rename an agent")
async def rename_agent(
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    agent: FromPath[UUID],
    data: JSONBody[Rename],
) -> AgentView:
    await duties.rename(plane, agent, data.name, actor_of(request, who), utcnow())
    return await _now(plane, agent)


@patch(
    "/fleet/agents/{agent:uuid}/speed",
    permission=Permission.FLEET_WRITE,
    tags=["fleet"],
    summary="Limit the speed of an agent: all that it does shares it",
)
async def limit_agent(
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    agent: FromPath[UUID],
    data: JSONBody[LimitSpeed],
) -> AgentView:
    await duties.limit(plane, agent, data, actor_of(request, who), utcnow())
    return await _now(plane, agent)


@post(
    "/fleet/agents/{agent:uuid}/cordon",
    status_code=200,
    permission=Permission.FLEET_WRITE,
    tags=["fleet"],
    summary="Give an agent nothing new; what it has goes on",
)
async def cordon_agent(
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    agent: FromPath[UUID],
    data: JSONBody[Why | None] = None,
) -> AgentView:
    return await _assign(Duty.CORDON, data, agent, request, plane, who)


@post(
    "/fleet/agents/{agent:uuid}/uncordon",
    status_code=200,
    permission=Permission.FLEET_WRITE,
    tags=["fleet"],
    summary="Give an agent work again, whether it was cordoned or drained",
)
async def uncordon_agent(
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    agent: FromPath[UUID],
    data: JSONBody[Why | None] = None,
) -> AgentView:
    return await _assign(Duty.WORK, data, agent, request, plane, who)


@post(
    "/fleet/agents/{agent:uuid}/drain",
    status_code=200,
    permission=Permission.FLEET_WRITE,
    tags=["fleet"],
    summary="Empty an agent: `draining` until it holds nothing, then `drained`",
)
async def drain_agent(
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    agent: FromPath[UUID],
    data: JSONBody[Drain | None] = None,
) -> AgentView:
    duty = Duty.HAND_OVER if data and data.hand_over else Duty.DRAIN
    return await _assign(duty, data, agent, request, plane, who)


@post(
    "/fleet/agents/{agent:uuid}/retire",
    permission=Permission.FLEET_WRITE,
    status_code=200,
    tags=["fleet"],
    summary="Retire an agent, for good and at once",
)
async def retire_agent(
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    agent: FromPath[UUID],
    data: JSONBody[Why | None] = None,
) -> AgentView:
    """A reason may be given; it stands in the log of audit."""
    return view(await service.retire(plane, agent, _reason(data), actor_of(request, who), utcnow()))


@get("/fleet/pools", permission=Permission.FLEET_READ, tags=["fleet"], summary="All pools")
async def list_pools(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Pools:
    async with plane.working() as tx:
        return Pools(await pools.listed(tx, plane.settings.pool))


@put(
    "/fleet/pools/{pool:str}",
    permission=Permission.FLEET_WRITE,
    tags=["fleet"],
    summary="Make a pool, or describe it anew; say whether it gives to peers",
)
async def describe_pool(
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    pool: FromPath[str],
    data: JSONBody[DescribePool],
) -> Pools:
    async with plane.working() as tx:
        description = None if isinstance(data.description, UnsetType) else data.description
        seeding = None if isinstance(data.seeding, UnsetType) else data.seeding
        await pools.describe(tx, pool, description, seeding, actor_of(request, who), utcnow())
        listed = Pools(await pools.listed(tx, plane.settings.pool))
    await plane.nudge("seeding")
    return listed


async def _assign(
    duty: Duty, asked: Why | Drain | None, agent: UUID, request: Asked, plane: Plane, who: Principal
) -> AgentView:
    await duties.assign(plane, agent, duty, _reason(asked), actor_of(request, who), utcnow())
    return await _now(plane, agent)


async def _now(plane: Plane, agent: UUID) -> AgentView:
    async with plane.working() as tx:
        return view(await service.one(tx, agent))


def _reason(asked: Why | Drain | None) -> str | None:
    return asked.reason[:REASON_CHARS_MAX] if asked and asked.reason else None


ROUTES: list[HTTPRouteHandler] = [
    make_token,
    list_agents,
    show_agent,
    rename_agent,
    limit_agent,
    cordon_agent,
    uncordon_agent,
    drain_agent,
    retire_agent,
    list_pools,
    describe_pool,
]
