"""A whole room without `up`: control plane and loops in this process, agents of their own, the store behind a proxy.

Waits are a tenth, and a failed try is repeated at once: five tries take seconds. Everything is real.
"""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from agent import identity
from bus import streams
from control import work
from control.audit.service import Actor
from control.config import Settings
from control.fleet import listener, service
from control.loops import driver
from control.plane import Plane, open_plane
from stack.environment import clean
from tests.support.agents import Hand
from tests.support.control import serving
from tests.support.member import Member, signed_up
from tests.support.ports import free_ports
from tests.support.proxy import StoreProxy, open_proxy
from wire.clock import utcnow

READY_S = 20.0
TICK_S = 30.0
"""Three seconds here: what is nudged does not wait for it, and whoever looks more often keeps all others from working:
with a second, loops that found nothing to do took a seventh of a core."""
LOG_CHARS = 5_000
"""Of its end, where a test fails."""
LIMITED = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
runpy.run_module("agent", run_name="__main__")
"""


class Room(Struct, frozen=True, eq=False):
    plane: Plane
    proxy: StoreProxy
    api: str

    @property
    def pool(self) -> str:
        return self.plane.settings.pool

    @asynccontextmanager
    async def member(self) -> AsyncIterator[Member]:
        async with signed_up(self.api) as member:
            yield member

    @asynccontextmanager
    async def agent(self, folder: Path, *, file_bytes: int | None = None, **settings: object) -> AsyncIterator[Hand]:
        """Running; `file_bytes` is the most that one of its files may have, as on a disk that is full."""
        name = f"agent-{secrets.token_hex(4)}"
        async with self.plane.working() as tx:
            made = await service.make_token(
                tx,
                self.plane.settings,
                name=name,
                pool=self.pool,
                ttl_s=60,
                actor=Actor(name="person:tests"),
                now=utcnow(),
            )
        await identity.enrol(made.token, name, "test", folder)
        given = {"agent_dir": folder, "agent_listen": "127.0.0.1:0", "time_scale": 4, **settings}
        env = clean() | {f"SEEDLIFT_{key.upper()}": str(value) for key, value in given.items()}
        env["PYTHONPATH"] = ":".join(sys.path)
        command = ["-c", LIMITED.format(file_bytes)] if file_bytes else ["-m", "agent"]
        hand = Hand(name, folder, env, [*command, "run"])
        await hand.start()
        try:
            yield hand
        except BaseException:
            print(hand.log.read_text()[-LOG_CHARS:])
            raise
        finally:
            if hand.process is not None and hand.process.returncode is None:
                hand.kill()
                await hand.process.wait()


@asynccontextmanager
async def open_room(settings: Settings) -> AsyncIterator[Room]:
    """On the database, bus and store of `settings`, with a pool of its own that may talk to loopback."""
    pool, port = f"pool-{secrets.token_hex(4)}", free_ports(1)[0]
    host, _, store_port = settings.store_url.partition("//")[2].rpartition(":")
    async with AsyncExitStack() as opened:
        proxy = await opened.enter_async_context(open_proxy((host, int(store_port))))
        own = replace(
            settings,
            store_url=proxy.url,
            fleet_port=port,
            fleet_url=f"https://127.0.0.1:{port}",
            pool=pool,
            pool_allow=f"{pool}=127.0.0.0/8",
            retry_s=1,
            tick_s=TICK_S,
            lease_s=60,
        )
        plane = await opened.enter_async_context(open_plane(own))
        await plane.store.ensure_bucket()
        await plane.app_bus.ready(READY_S)
        await plane.fleet_bus.ready(READY_S)
        await streams.ensure_app(plane.app_bus)
        await streams.ensure_fleet(plane.fleet_bus, [pool])
        api = await opened.enter_async_context(serving(plane))
        group = await opened.enter_async_context(asyncio.TaskGroup())
        tasks = [group.create_task(listener.serve(plane)), group.create_task(driver.run(plane, work.loops(own)))]
        yield Room(plane, proxy, api)
        for task in tasks:
            task.cancel()
