"""A control plane for tests: real Postgres, NATS and store, and the public listener on a real socket."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import structlog
from argon2 import PasswordHasher
from msgspec import Struct
from sqlalchemy import delete

from control import migrate
from control.accounts import passwords
from control.accounts.bootstrap import Bootstrap, bootstrap
from control.accounts.model import Rate
from control.config import Settings
from control.plane import Plane, open_plane
from control.serve import bound, public
from tests.support.nats import NatsServer, running_nats
from tests.support.ports import free_ports
from tests.support.servers import Databases, Store
from tests.support.tls import TRUSTED
from tests.support.up import ROOMY
from wire.bencode import encode
from wire.clock import utcnow

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ]
)

PASSWORD = "correct horse battery"
READY_S = 20.0


class Api(Struct, frozen=True):
    url: str
    plane: Plane
    databases: Databases

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, verify=TRUSTED, trust_env=False, timeout=30)

    @asynccontextmanager
    async def member(self, name: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody new in an organisation of their own, signed in; the CSRF token goes with every request."""
        account = {"email": f"{name or secrets.token_hex(6)}@example.org", "password": PASSWORD}
        async with self.client() as http:
            assert (await http.post("/api/v1/auth/register", json=account)).status_code == 201
            signed_in = await http.post("/api/v1/auth/login", json=account)
            assert signed_in.status_code == 200, signed_in.text
            http.headers["X-CSRF-Token"] = signed_in.json()["csrf_token"]
            yield http


@asynccontextmanager
async def operating(plane: Plane, url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's client of the API, by key."""
    key = f"slk_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"
    await bootstrap(plane.db, Bootstrap(f"{secrets.token_hex(6)}@example.org", PASSWORD, key), utcnow())
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=f"{url}/api/v1", headers=headers, verify=TRUSTED, trust_env=False, timeout=20
    ) as http:
        yield http


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Of the passwords of hundreds of accounts: as they are, they are a tenth of what all tests cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))
        yield


@pytest.fixture(scope="session")
async def nats(servers_dir: Path) -> AsyncIterator[NatsServer]:
    folder = servers_dir / "nats"
    folder.mkdir()
    async with running_nats(folder) as server:
        yield server


@pytest.fixture(scope="session")
async def migrated(postgres: Databases) -> Databases:
    await asyncio.to_thread(migrate.upgrade, postgres.owner)
    await postgres.sql(ROOMY)
    return postgres


@pytest.fixture(scope="session")
async def settings(servers_dir: Path, migrated: Databases, nats: NatsServer, store: Store) -> Settings:
    keys_file, secret_file = servers_dir / "nats-keys.json", servers_dir / "secret"
    keys_file.write_bytes(msgspec.json.encode(nats.keys))
    secret_file.write_bytes(secrets.token_bytes(32))
    port = free_ports(1)[0]
    return Settings(
        database_url=migrated.api,
        work_database_url=migrated.work,
        nats_url=nats.url,
        nats_keys_file=keys_file,
        ca_cert_file=nats.control.ca,
        ca_key_file=nats.control.key,
        control_cert_file=nats.control.cert,
        control_key_file=nats.control.key,
        store_url=store.url,
        store_public_url=store.url,
        store_access_key=store.access_key,
        store_secret_key=store.secret_key,
        port=port,
        public_url=f"http://127.0.0.1:{port}",
        fleet_cert_file=nats.control.cert,
        fleet_key_file=nats.control.key,
        secret_file=secret_file,
        pool_allow="default=127.0.0.7/32",
        time_scale=10,
    )


@pytest.fixture(scope="session")
async def plane(settings: Settings) -> AsyncIterator[Plane]:
    async with open_plane(settings) as opened:
        await opened.store.ensure_bucket()
        await opened.app_bus.ready(READY_S)
        await opened.fleet_bus.ready(READY_S)
        yield opened


@pytest.fixture(scope="session")
async def api(plane: Plane, migrated: Databases) -> AsyncIterator[Api]:
    """Throttles nobody: a folder registers hundreds from one address. Tests of rates serve the plane as it is."""
    async with serving(unhurried(plane)) as url:
        yield Api(url, plane, migrated)


@asynccontextmanager
async def serving(plane: Plane) -> AsyncIterator[str]:
    """The public listener; whoever asked before, everybody's rates begin anew."""
    async with plane.working() as tx:
        await tx.execute(delete(Rate))
    async with listener(plane) as url:
        yield url


@asynccontextmanager
async def listener(plane: Plane) -> AsyncIterator[str]:
    """As `python -m control api` runs it."""
    stop = asyncio.Event()
    with bound("127.0.0.1", 0) as listening:
        async with asyncio.TaskGroup() as group:
            group.create_task(public(plane, listening, stop))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            stop.set()


def unhurried(plane: Plane) -> Plane:
    """For tests that ask thousands of times."""
    return msgspec.structs.replace(plane, settings=msgspec.structs.replace(plane.settings, rate_scale=1000))


def torrent_file(name: str = "a", files: int = 1, size: int = 1000, **more: object) -> bytes:
    """A `.torrent` that nobody seeds; another name is another torrent."""
    piece = 16_384
    total = files * size
    info: dict[bytes, object] = {
        b"name": name.encode(),
        b"piece length": piece,
        b"pieces": secrets.token_bytes(0) + b"\0" * 20 * -(-total // piece),
    }
    if files == 1:
        info[b"length"] = size
    else:
        info[b"files"] = [{b"length": size, b"path": [b"folder", b"%d.txt" % n]} for n in range(files)]
    whole = {b"info": info} | {key.encode().replace(b"_", b"-"): value for key, value in more.items()}
    return encode(whole)  # type: ignore[arg-type] # built by hand


def magnet(seed: str = "00") -> str:
    return f"magnet:?xt=urn:btih:{seed * 20}"
