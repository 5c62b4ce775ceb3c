"""A plane on a database of this folder's own: its loops would see what other tests left behind."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from bus import streams
from control import migrate
from control.config import Settings
from control.fleet import listener
from control.plane import Plane, open_plane
from tests.support.nats import NatsServer, running_nats
from tests.support.ports import free_ports
from tests.support.servers import Databases, Store
from tests.support.until import until
from tests.support.up import ROOMY

DATABASE = "fleet_tests"
BUCKET = "fleet-tests"
READY_S = 20.0
TIME_SCALE = 10.0
"""A lease of two seconds: long enough for two slow cores."""


@pytest.fixture(scope="session")
async def fleet_nats(servers_dir: Path) -> AsyncIterator[NatsServer]:
    folder = servers_dir / "fleet-nats"
    folder.mkdir()
    async with running_nats(folder) as server:
        yield server


@pytest.fixture(scope="session")
async def fleet_database(postgres: Databases) -> Databases:
    await postgres.sql(f"CREATE DATABASE {DATABASE} OWNER seedlift_owner", database="postgres")
    owner, api, work = (
        url.rpartition("/")[0] + f"/{DATABASE}" for url in (postgres.owner, postgres.api, postgres.work)
    )
    await asyncio.to_thread(migrate.upgrade, owner)
    await postgres.sql(ROOMY, database=DATABASE)
    return Databases(server=postgres.server, owner=owner, api=api, work=work)


@pytest.fixture(scope="session")
def fleet_settings(servers_dir: Path, fleet_database: Databases, fleet_nats: NatsServer, store: Store) -> Settings:
    folder = servers_dir / "fleet"
    folder.mkdir()
    (folder / "keys.json").write_bytes(msgspec.json.encode(fleet_nats.keys))
    (folder / "secret").write_bytes(secrets.token_bytes(32))
    key = fleet_nats.authority.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.key").write_bytes(key)
    listener = fleet_nats.authority.server()
    port = free_ports(1)[0]
    return Settings(
        database_url=fleet_database.api,
        work_database_url=fleet_database.work,
        nats_url=fleet_nats.url,
        nats_keys_file=folder / "keys.json",
        ca_cert_file=fleet_nats.authority.ca,
        ca_key_file=folder / "ca.key",
        control_cert_file=fleet_nats.control.cert,
        control_key_file=fleet_nats.control.key,
        store_url=store.url,
        store_public_url=store.url,
        store_access_key=store.access_key,
        store_secret_key=store.secret_key,
        store_bucket=BUCKET,
        fleet_port=port,
        fleet_url=f"https://127.0.0.1:{port}",
        fleet_cert_file=listener.cert,
        fleet_key_file=listener.key,
        secret_file=folder / "secret",
        trust_domain="test",
        pool_allow="default=127.0.0.7/32",
        time_scale=TIME_SCALE,
    )


@pytest.fixture(scope="session")
async def plane(fleet_settings: Settings) -> AsyncIterator[Plane]:
    async with open_plane(fleet_settings) as opened:
        await opened.store.ensure_bucket()
        await opened.app_bus.ready(READY_S)
        await opened.fleet_bus.ready(READY_S)
        await streams.ensure_app(opened.app_bus)
        await streams.ensure_fleet(opened.fleet_bus, ["default"])
        yield opened


@pytest.fixture(scope="module")
async def url(plane: Plane) -> AsyncIterator[str]:
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(listener.serve(plane))
        await until(lambda: _listens(plane.settings.fleet_port))
        yield plane.settings.fleet_url
        serving.cancel()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
