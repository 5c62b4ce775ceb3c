"""Operators' routes on the public listener: tokens, the list of agents, retirement."""

import datetime as dt
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from control.accounts.permissions import Permission
from control.auth import Principal, actor_of
from control.fleet import service
from control.fleet.service import AgentRow
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow
from wire.states import AgentState

REASON_CHARS_MAX = 500


class MakeToken(Struct, frozen=True, forbid_unknown_fields=True):
    name: str | None = None
    """The agent's; else it names itself."""
    pool: str | None = None
    ttl_s: int = service.TOKEN_S


class TokenView(Struct, frozen=True):
    token: str
    """Shown once, good once: `seedlift agent enrol --token …`."""
    expires_at: dt.datetime


class AgentView(Struct, frozen=True):
    id: UUID
    name: str
    pool: str
    state: AgentState
    boot: UUID | None
    """Which life of its process this is."""
    version: str
    slots: int
    running: int
    seen_at: dt.datetime | None
    certificate_until: dt.datetime
    created_at: dt.datetime
    retired_at: dt.datetime | None


class Agents(Struct, frozen=True):
    items: list[AgentView]


class Retire(Struct, frozen=True, forbid_unknown_fields=True):
    reason: str | None = None


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
    data: JSONBody[Retire | None] = None,
) -> AgentView:
    """A reason may be given; it stands in the log of audit."""
    reason = data.reason[:REASON_CHARS_MAX] if data and data.reason else None
    return view(await service.retire(plane, agent, reason, actor_of(request, who), utcnow()))


def view(row: AgentRow) -> AgentView:
    agent = row.agent
    return AgentView(
        id=agent.id,
        name=agent.name,
        pool=agent.pool,
        state=agent.state,
        boot=agent.boot,
        version=agent.version,
        slots=agent.slots,
        running=row.running,
        seen_at=agent.seen_at,
        certificate_until=agent.certificate_until,
        created_at=agent.created_at,
        retired_at=agent.retired_at,
    )


ROUTES: list[HTTPRouteHandler] = [make_token, list_agents, retire_agent]
