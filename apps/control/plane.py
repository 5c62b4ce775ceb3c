"""The plane: all that a process of the control plane holds open, and the nudges by which its parts wake one another."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from uuid import UUID

from msgspec import Struct

from bus.accounts import CONTROL_INBOX, Account, NatsKeys, read_keys
from bus.connect import Bus, open_bus
from bus.credentials import control_credentials, tls_context
from bus.nudge import nudge
from control import outbox
from control.config import Settings
from control.db import Asker, Database, Tx
from control.storage.store import Store, open_store
from wire.ids import AgentId
from wire.subjects import nudge_agent, nudge_loop


class Plane(Struct, frozen=True, kw_only=True, eq=False):
    settings: Settings
    db: Database
    store: Store
    fleet_bus: Bus
    """Account FLEET: offers go out here, and nudges to agents."""
    app_bus: Bus
    """Account APP: events, progress, and nudges between our own processes."""
    keys: NatsKeys

    @asynccontextmanager
    async def asking(self, who: Asker) -> AsyncIterator[Tx]:
        """A request's transaction; once it has committed, relay and feed hear of what it put into the outbox."""
        async with self.db.asking(who) as tx:
            yield tx
        if outbox.written(tx):
            await self.told()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Tx]:
        """The same for loops and the fleet listener, which see every organisation."""
        async with self.db.working() as tx:
            yield tx
        if outbox.written(tx):
            await self.told()

    async def told(self) -> None:
        """Something was put into the outbox, and is committed. What leaves by the outbox stands in the feed, mostly."""
        await self.nudge("relay")
        await self.nudge("feed")

    async def nudge(self, loop: str) -> None:
        """Never fails: the loop's own tick comes anyway."""
        await nudge(self.app_bus, nudge_loop(loop))

    async def nudge_agent(self, agent: UUID) -> None:
        await nudge(self.fleet_bus, nudge_agent(AgentId(agent)))


@asynccontextmanager
async def open_plane(settings: Settings) -> AsyncIterator[Plane]:
    """Opens in order and closes in reverse. A server that is away is no error here: whoever needs it will say so."""
    keys = read_keys(settings.nats_keys_file)
    async with AsyncExitStack() as opened:
        db = Database(settings.database_url, settings.work_database_url)
        opened.push_async_callback(db.close)
        store = await opened.enter_async_context(open_store(settings))
        fleet_bus = await opened.enter_async_context(_open_bus(settings, keys, "FLEET"))
        app_bus = await opened.enter_async_context(_open_bus(settings, keys, "APP"))
        yield Plane(settings=settings, db=db, store=store, fleet_bus=fleet_bus, app_bus=app_bus, keys=keys)


def _open_bus(settings: Settings, keys: NatsKeys, account: Account) -> AbstractAsyncContextManager[Bus]:
    tls = tls_context(settings.ca_cert_file, settings.control_cert_file, settings.control_key_file)
    credentials = control_credentials(keys, account)
    return open_bus(account.lower(), settings.nats_url, tls, credentials, inbox_prefix=CONTROL_INBOX)
