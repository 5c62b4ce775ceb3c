"""`seedlift up`: everything in order, watched, and stopped in reverse.

postgres ─► migrate ─► api, work ─► enrol ─► agents ─┐
nats, store ─────────────────────────────────────────┼─► ready
demo's content ─► swarm ─────────────────────────────┘
"""

import asyncio
import os
import shutil
import signal
import time
from functools import partial

import msgspec
from msgspec import Struct

from stack import data as data_folder
from stack import fleet, hosts, nats, ports, postgres, programs, s3, secrets
from stack.accounts import for_postgres
from stack.config import DATA, Settings
from stack.display import Display
from stack.errors import CannotStart
from stack.paths import sync_folder, write_private
from stack.ports import Ports
from stack.probe import answers, connects, until_ready
from stack.process import Child, Command
from stack.programs import SWARM_HOST, Stack
from stack.supervise import Ready, Service, at_once, run_to_end, stop_together
from wire.clock import utcnow

ADMIN_EMAIL = "admin@seedlift.local"
MIGRATE_S = 300.0
"""A later version may have to rewrite a large table."""
ENROL_S = 60.0
PROGRAM_S = 60.0
"""A second or two here."""
AGENTS_S = 60.0
"""From the first start of an agent to its first sync: about a second."""
ASK_AGAIN_S = 0.2
DEMO_S = 180.0
"""Writes and hashes 256 MiB: two or three seconds here."""


class ReadyFile(Struct, frozen=True, kw_only=True):
    """What other people's scripts read; its fields are a contract."""

    api: str
    fleet: str
    nats: str
    store: str
    data_dir: str
    admin_email: str
    admin_password: str | None
    demo_magnet: str | None
    demo_torrent: str | None


class Bootstrap(Struct, frozen=True):
    """On stdin of `python -m control bootstrap`, which makes what is missing."""

    admin_email: str
    admin_password: str | None
    operator_key: str | None


async def up(settings: Settings) -> None:
    began = time.monotonic()
    in_the_way = data_folder.lead_out(settings.data, for_postgres(settings.data)) if settings.data == DATA else None
    with data_folder.opened(settings.data) as data, Display() as display:
        if in_the_way is not None:
            display.say(f"PostgreSQL's account may not enter {in_the_way}: the data is kept in {data.dir}.")
        if settings.ready_file is not None:
            settings.ready_file.unlink(missing_ok=True)
        row = ports.kept(data.ports, settings.port, agents=settings.agents)
        must_be_free(settings, row)
        known = secrets.opened(data.secrets, settings.host, utcnow())
        stack = programs.describe(settings, data, row, known)
        write_private(data.operator, msgspec.json.encode(stack.operator))
        running = Running(stack, display)
        leaving = _asked_to_leave(running)
        try:
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(running.start(group, began))
                await leaving.wait()
                display.settle()
                display.say("stopping …")
                starting.cancel()
                await running.stop()
        except* CannotStart as failed:
            raise _first(failed) from None


def _first(failed: ExceptionGroup[CannotStart]) -> CannotStart:
    """One sentence is enough: the others follow from it."""
    inner = failed.exceptions[0]
    return _first(inner) if isinstance(inner, ExceptionGroup) else inner


def must_be_free(settings: Settings, row: Ports) -> None:
    swarm = SWARM_HOST if settings.demo else None
    ports.must_be_free(ports.addresses(row, settings.host, swarm, range(1, settings.agents + 1)))


def _asked_to_leave(running: "Running") -> asyncio.Event:
    """The first signal stops in order, the second kills."""
    leaving = asyncio.Event()

    def leave() -> None:
        if leaving.is_set():
            running.kill()
        leaving.set()

    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(each, leave)
    return leaving


class Running:
    """The services that were started so far, in stages; a stage stops as a whole, the last one first."""

    def __init__(self, stack: Stack, display: Display) -> None:
        self._stack = stack
        self._display = display
        self._servers: list[Service] = []
        self._control: list[Service] = []
        self._agents: list[Service] = []

    async def start(self, group: asyncio.TaskGroup, began: float) -> None:
        stack = self._stack
        bus = self._keep(group, self._servers, *await self._bus())
        store = self._keep(group, self._servers, *await self._store())
        if hosts.is_opened(stack.settings.host):
            self._keep(group, self._control, programs.forward(stack), self._forward_answers)
        async with asyncio.TaskGroup() as first:
            magnet = first.create_task(self._swarm(group)) if stack.settings.demo else None
            await self._database(group)  # the bus and the store may come later: both programs go on without them
            self._keep(group, self._control, programs.control(stack, "work"), self._work_answers)
            api = self._keep(group, self._control, programs.control(stack, "api"), self._api_answers)
            for number in range(1, stack.settings.agents + 1):
                first.create_task(self._agent(group, number, api))
        for service in (bus, store, *self._control):
            await service.up.wait()
        await self._agents_present()
        self._ready(time.monotonic() - began, magnet.result() if magnet else None)

    def _keep(self, group: asyncio.TaskGroup, stage: list[Service], command: Command, ready: Ready) -> Service:
        service = Service(command, ready, self._display.show)
        stage.append(service)
        group.create_task(service.run())
        return service

    async def _bus(self) -> tuple[Command, Ready]:
        nats.prepare(self._stack.nats)

        async def ready(child: Child) -> None:
            await nats.until_up(self._stack.nats, child)

        return nats.command(self._stack.nats, self._stack.data.log("nats")), ready

    async def _store(self) -> tuple[Command, Ready]:
        s3.prepare(self._stack.store)

        async def ready(child: Child) -> None:
            await s3.until_up(self._stack.store, child)

        return s3.command(self._stack.store, self._stack.data.log("store")), ready

    async def _database(self, group: asyncio.TaskGroup) -> None:
        stack = self._stack
        account = await postgres.prepare(stack.postgres)

        async def ready(child: Child) -> None:
            await postgres.until_up(stack.postgres, child)

        command = postgres.command(stack.postgres, account, stack.data.log("postgres"))
        await self._keep(group, self._servers, command, ready).up.wait()
        wanted = Bootstrap(ADMIN_EMAIL, stack.secrets.admin_password(), stack.operator.api_key)
        await run_to_end(programs.migrate(stack), msgspec.json.encode(wanted), within_s=MIGRATE_S)

    async def _agent(self, group: asyncio.TaskGroup, number: int, api: Service) -> None:
        """One that has its identity starts beside the api, and asks until it answers."""
        stack, folder = self._stack, self._stack.data.agent(number)
        if not folder.exists():
            await api.up.wait()
            new = folder.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            new.parent.mkdir(mode=0o700, exist_ok=True)
            token = await fleet.token(stack.operator, programs.agent_name(number))
            await run_to_end(programs.enrol(stack, number, token), within_s=ENROL_S)
            new.rename(folder)
            sync_folder(folder.parent)
        self._keep(group, self._agents, programs.agent(stack, number), at_once)

    async def _swarm(self, group: asyncio.TaskGroup) -> str:
        """Gives the magnet of the demo's torrent."""
        magnet = await run_to_end(programs.demo_make(self._stack), within_s=DEMO_S)
        await self._keep(group, self._agents, programs.demo_swarm(self._stack), self._swarm_answers).up.wait()
        return magnet.decode().strip()

    async def _api_answers(self, child: Child) -> None:
        host, port = hosts.dialled(self._stack.settings.host), self._stack.ports["api"]
        await until_ready(child, lambda: answers(host, port, "/readyz"), within_s=PROGRAM_S)

    async def _forward_answers(self, child: Child) -> None:
        host, port = hosts.dialled(self._stack.settings.host), self._stack.ports["s3"]
        await until_ready(child, lambda: connects(host, port), within_s=PROGRAM_S)

    async def _work_answers(self, child: Child) -> None:
        port = self._stack.ports["work_metrics"]
        await until_ready(child, lambda: connects("127.0.0.1", port), within_s=PROGRAM_S)

    async def _swarm_answers(self, child: Child) -> None:
        for name in ports.SWARM:
            port = self._stack.ports[name]
            await until_ready(child, partial(connects, SWARM_HOST, port), within_s=PROGRAM_S)

    async def _agents_present(self) -> None:
        wanted = {programs.agent_name(n) for n in range(1, self._stack.settings.agents + 1)}
        try:
            async with asyncio.timeout(AGENTS_S):
                while missing := wanted - await fleet.present(self._stack.operator):
                    await asyncio.sleep(ASK_AGAIN_S)
        except TimeoutError:
            said = "\n".join(service.child.said() for service in self._agents if service.child is not None)
            raise CannotStart(
                f"{', '.join(sorted(missing))} did not report within {AGENTS_S:.0f} s. It said:\n{said}"
            ) from None

    def _ready(self, took_s: float, magnet: str | None) -> None:
        stack = self._stack
        password = stack.secrets.admin_password()
        facts = ReadyFile(
            api=stack.urls.public,
            fleet=stack.urls.fleet,
            nats=stack.urls.nats,
            store=stack.urls.store_public,
            data_dir=str(stack.data.dir),
            admin_email=ADMIN_EMAIL,
            admin_password=password,
            demo_magnet=magnet,
            demo_torrent=str(stack.data.demo / "demo.torrent") if magnet else None,
        )
        self._display.settle()
        for line in summary(facts, took_s, stack.settings.host):
            self._display.say(line)
        if stack.settings.ready_file is not None:
            write_private(stack.settings.ready_file.absolute(), msgspec.json.encode(facts))
        stack.secrets.admin_file.unlink(missing_ok=True)  # shown: from now on only its hash exists

    async def stop(self) -> None:
        for stage in (self._agents, self._control, self._servers):
            await stop_together(stage)

    def kill(self) -> None:
        for service in self._agents + self._control + self._servers:
            if service.child is not None and service.child.running:
                os.killpg(service.child.process.pid, signal.SIGKILL)


def summary(facts: ReadyFile, took_s: float, host: str) -> list[str]:
    lines = [f"Seedlift is ready after {took_s:.1f} s", "", f"  {facts.api}", f"  data folder   {facts.data_dir}"]
    lines.append(f"  e-mail        {facts.admin_email}")
    if facts.admin_password is not None:
        lines.append(f"  password      {facts.admin_password}   (shown this once; valid until you change it)")
    if facts.demo_magnet is not None:
        lines += [f"  demo magnet   {facts.demo_magnet}", f"  demo torrent  {facts.demo_torrent}"]
    if not hosts.is_loopback(host):
        lines += ["", f"  Warning: {host} is reached over plain HTTP; put a proxy with TLS in front of it."]
    return [*lines, "", "Ctrl-C stops everything."]
