"""Certificates that last seconds, renewed over the real listener and brought into use on a real bus."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from msgspec.structs import replace
from sqlalchemy import select

from agent import renewal
from agent.config import Settings as AgentSettings
from agent.fleet import Fleet, Refusal, Unreachable
from agent.identity import Identity, NotEnrolled, ask_for_next, enrol, keep_next, load
from bus.accounts import agent_inbox
from bus.connect import open_bus
from bus.credentials import Credentials
from control.audit.service import Actor
from control.fleet import certificates, listener, service
from control.fleet.model import Certificate
from control.plane import Plane
from tests.support.fleet import read_agent
from tests.support.nats import NatsServer
from tests.support.ports import free_ports
from tests.support.until import until
from wire.clock import utcnow
from wire.ids import BootId, new_id
from wire.messages import Renew, Sync

OPERATOR = Actor(name="person:tests")
LIFE_S = 6.0
LIMIT_S = 20.0


@pytest.fixture(scope="module")
async def hasty(plane: Plane) -> AsyncIterator[Plane]:
    """A listener whose certificates last seconds."""
    port = free_ports(1)[0]
    settings = replace(plane.settings, certificate_s=LIFE_S, fleet_port=port, fleet_url=f"https://127.0.0.1:{port}")
    own = replace(plane, settings=settings)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(listener.serve(own))
        yield own
        serving.cancel()


@pytest.fixture
async def agent(hasty: Plane, tmp_path: Path) -> Identity:
    return await enrol(await new_token(hasty), f"agent-{new_id()}", "test", tmp_path)


async def new_token(plane: Plane) -> str:
    async with plane.working() as tx:
        made = await service.make_token(
            tx, plane.settings, name=None, pool=None, ttl_s=60, actor=OPERATOR, now=utcnow()
        )
    return made.token


def settings_of(identity: Identity) -> AgentSettings:
    return AgentSettings(agent_dir=identity.folder.parent)


def first_sync(rev: int = 1) -> Sync:
    return Sync(boot=BootId(new_id()), rev=rev, version="test", slots=1, held=[])


async def next_of(identity: Identity, fleet: Fleet) -> Identity:
    key, asked = ask_for_next(identity)
    return keep_next(identity, key, await fleet.renew(asked))


async def code_of(fleet: Fleet) -> str | None:
    """What a new request is refused with."""
    try:
        await fleet.credentials()
    except Refusal as refusal:
        return refusal.code
    return None


def certificate(identity: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.pair.certificate.read_bytes())


async def test_the_control_plane_says_when_it_is_time_and_the_old_one_stays_good_till_its_end(
    hasty: Plane, agent: Identity
) -> None:
    async with Fleet(agent, settings_of(agent)) as kept, Fleet(agent, settings_of(agent)) as fleet:
        said = first_sync()
        assert not (await fleet.sync(said)).renew
        assert await code_of(kept) is None
        row = await newest(hasty, agent)
        due = certificates.renew_at(row.issued_at, row.expires_at)
        await until(lambda: utcnow() >= due, LIMIT_S)
        assert (await fleet.sync(replace(said, rev=2))).renew
        fresh = await next_of(agent, fleet)
        assert certificate(fresh).public_key() != certificate(agent).public_key()
        assert certificate(fresh).subject == certificate(agent).subject
        assert (await read_agent(hasty, agent.agent)).certificate_until == fresh.until()
        assert (await fleet.sync(replace(said, rev=3))).renew  # under the old one, which is still good
        await fleet.show(fresh)
        assert not (await fleet.sync(replace(said, rev=4))).renew
        await until(lambda: utcnow() > agent.until(), LIMIT_S)
        assert await code_of(kept) == "certificate_expired"  # its connection was there already
        assert await code_of(fleet) is None
    async with Fleet(agent, settings_of(agent)) as late:
        with pytest.raises(Unreachable, match="our certificate ended on"):  # refused in TLS
            await late.credentials()
    assert load(agent.folder.parent) == fresh


async def test_requests_and_the_bus_go_on_while_certificates_change(
    hasty: Plane, agent: Identity, fleet_nats: NatsServer
) -> None:
    due, heard, connections, failed = asyncio.Event(), 0, 0, 0

    async def credentials() -> Credentials:
        got = await fleet.credentials()
        return Credentials(got.jwt, agent.nats_seed, got.expires_at)

    def connected() -> None:
        nonlocal connections
        connections += 1

    async def ask() -> None:
        nonlocal heard, failed
        while True:
            failed += await code_of(fleet) is not None
            heard += 1

    inbox = agent_inbox(agent.agent)
    async with Fleet(agent, settings_of(agent)) as fleet:
        async with open_bus("agent", agent.nats_url, agent.tls(), credentials, inbox_prefix=inbox) as bus:
            bus.on_connected(connected)
            await bus.ready(LIMIT_S)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask()) for _ in range(3)]
                tasks.append(group.create_task(renewal.run(settings_of(agent), agent, fleet, bus, due)))
                for _ in range(2):
                    before, asked = connections, heard
                    due.set()
                    await until(lambda: connections == before + 1, LIMIT_S)  # noqa: B023 - awaited at once
                    await until(lambda: heard > asked + 3, LIMIT_S)  # noqa: B023 - likewise
                for task in tasks:
                    task.cancel()
    assert failed == 0
    assert load(agent.folder.parent).pair.certificate.name == "renewed.pem"


async def test_a_retired_agents_folder_gets_a_new_identity_and_its_work_goes_on(hasty: Plane, agent: Identity) -> None:
    folder = agent.folder.parent
    with pytest.raises(NotEnrolled, match="--again"):
        await enrol(await new_token(hasty), "other", "test", folder)
    await service.retire(hasty, agent.agent, None, OPERATOR, utcnow())
    again = await enrol(await new_token(hasty), f"agent-{new_id()}", "test", folder, again=True)
    assert again.agent != agent.agent
    assert load(folder) == again
    async with Fleet(again, settings_of(again)) as fleet:
        assert await code_of(fleet) is None


async def test_a_retired_agent_cannot_renew(hasty: Plane, agent: Identity) -> None:
    async with Fleet(agent, settings_of(agent)) as fleet:
        await service.retire(hasty, agent.agent, None, OPERATOR, utcnow())
        with pytest.raises(Refusal, match="agent_retired"):
            await next_of(agent, fleet)


async def test_what_is_no_request_is_refused_and_a_flood_keeps_few(hasty: Plane, agent: Identity) -> None:
    async with Fleet(agent, settings_of(agent)) as fleet:
        with pytest.raises(Refusal, match="bad_csr"):
            await fleet.renew(Renew("nonsense"))
        for _ in range(certificates.KEPT_MAX + 2):
            fresh = await next_of(agent, fleet)
            await fleet.show(fresh)
    async with hasty.db.working() as tx:
        rows = (await tx.scalars(select(Certificate).where(Certificate.agent_id == agent.agent))).all()
    assert len(rows) == certificates.KEPT_MAX


async def newest(plane: Plane, agent: Identity) -> Certificate:
    async with plane.db.working() as tx:
        rows = await tx.scalars(select(Certificate).where(Certificate.agent_id == agent.agent))
        return max(rows, key=lambda row: row.issued_at)
