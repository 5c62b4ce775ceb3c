"""The fleet listener's routes. All but the first are for agents with a certificate, and an agent is who that names."""

import datetime as dt
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Struct
from msgspec.structs import replace

from bus.accounts import AGENT_JWT_S, agent_jwt
from control.errors import NotSignedIn
from control.fleet import authority, certificates, peer, service
from control.http import About, client_ip, tell_about
from control.plane import Plane
from control.torrents import metadata
from control.transfers import claim as claims
from control.transfers import grants, progress, record
from telemetry import logs
from wire.clock import utcnow
from wire.ids import AgentId
from wire.messages import (
    BusCredentials,
    Claim,
    ClaimAnswer,
    Enrol,
    Enrolled,
    Granted,
    MetadataVerdict,
    Renew,
    Renewed,
    Sync,
    Synced,
    WantGrants,
)
from wire.units import MIB

log = logs.get(__name__)

SYNC_BYTES_MAX = 16 * MIB
"""A hundred transfers with 500 parts each fit."""
INFO_BODY_MAX = metadata.INFO_BYTES_MAX

Asked = Request[Any, Any, Any]
Epoch = Annotated[int, QueryParameter(ge=0, le=2**31 - 1)]


class Caller(Struct, frozen=True):
    id: AgentId
    pool: str
    nats_user: str
    renew: bool
    """It should ask for its next certificate."""


async def caller(request: Asked, plane: NamedDependency[Plane]) -> Caller:
    der = peer.certificate(request.scope)
    shown = authority.shown(der, plane.settings.trust_domain) if der else None
    if shown is None:
        raise NotSignedIn("Show the certificate that you got when you enrolled.", code="no_certificate")
    tell_about(request, About(f"agent:{shown.agent}"))
    async with plane.db.working() as tx:
        standing = await certificates.check(tx, shown, utcnow())
    agent = standing.agent
    return Caller(AgentId(agent.id), agent.pool, agent.nats_user, standing.renew)


@post("/fleet/enrol", status_code=200)
async def enrol(request: Asked, plane: NamedDependency[Plane], data: JSONBody[Enrol]) -> Enrolled:
    async with plane.working() as tx:
        enrolled = await service.enrol(tx, plane.settings, data, ip=client_ip(request), now=utcnow())
    log.info("agent.enrolled", agent=str(enrolled.agent), pool=enrolled.pool)
    await plane.nudge("ensure")  # its pool's consumer
    return enrolled


@post("/fleet/renew", status_code=200)
async def renew(
    request: Asked, plane: NamedDependency[Plane], agent: NamedDependency[Caller], data: JSONBody[Renew]
) -> Renewed:
    async with plane.working() as tx:
        pem = await certificates.renew(tx, plane.settings, agent.id, data.csr_pem, ip=client_ip(request), now=utcnow())
    return Renewed(pem)


@post("/fleet/credentials", status_code=200)
async def credentials(plane: NamedDependency[Plane], agent: NamedDependency[Caller]) -> BusCredentials:
    now = utcnow()
    jwt = agent_jwt(plane.keys, agent.nats_user, agent.id, agent.pool, now)
    return BusCredentials(jwt, now + dt.timedelta(seconds=AGENT_JWT_S), AGENT_JWT_S)


@post("/fleet/claim", status_code=200)
async def claim(plane: NamedDependency[Plane], agent: NamedDependency[Caller], data: JSONBody[Claim]) -> ClaimAnswer:
    return await claims.claim(plane, agent.id, data, utcnow())


@post("/fleet/sync", status_code=200, request_max_body_size=SYNC_BYTES_MAX)
async def sync(plane: NamedDependency[Plane], agent: NamedDependency[Caller], data: JSONBody[Sync]) -> Synced:
    now = utcnow()
    synced, told = await record.sync(plane, agent.id, data, now)
    await progress.tell(plane, told, now)
    return replace(synced, renew=agent.renew)


@post("/fleet/grants", status_code=200)
async def want_grants(
    plane: NamedDependency[Plane], agent: NamedDependency[Caller], data: JSONBody[WantGrants]
) -> Granted:
    return await grants.grant(plane, agent.id, data, utcnow())


@get("/fleet/transfers/{transfer:uuid}/info")
async def read_info(
    plane: NamedDependency[Plane], agent: NamedDependency[Caller], transfer: FromPath[UUID], epoch: Epoch
) -> Response[bytes]:
    raw = await metadata.raw_info(plane, agent.id, transfer, epoch)
    return Response(raw, media_type="application/octet-stream")


@get("/fleet/transfers/{transfer:uuid}/layers")
async def read_layers(
    plane: NamedDependency[Plane], agent: NamedDependency[Caller], transfer: FromPath[UUID], epoch: Epoch
) -> Response[bytes]:
    raw = await metadata.layers(plane, agent.id, transfer, epoch)
    return Response(raw, media_type="application/octet-stream")


@put("/fleet/transfers/{transfer:uuid}/info", request_max_body_size=INFO_BODY_MAX, opt={"reads_own_body": True})
async def give_info(
    request: Asked,
    plane: NamedDependency[Plane],
    agent: NamedDependency[Caller],
    transfer: FromPath[UUID],
    epoch: Epoch,
) -> MetadataVerdict:
    return await metadata.give(plane, agent.id, transfer, epoch, await request.body(), utcnow())


FOR_EVERYBODY = [enrol]
FOR_AGENTS = [renew, credentials, claim, sync, want_grants, read_info, read_layers, give_info]
