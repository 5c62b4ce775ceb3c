"""Every program of one stack as a command: arguments, environment, log, and how long it may take to stop."""

import sys

from msgspec import Struct

from stack import environment, nats, postgres, s3
from stack.accounts import Account
from stack.config import Settings
from stack.data import Data
from stack.environment import POOL, Urls
from stack.fleet import Operator
from stack.ports import Ports
from stack.process import Command
from stack.secrets import Secrets

SWARM_HOST = "127.77.0.1"
"""The demo's swarm has an address of its own, so that its pool can allow that one alone."""
AGENT_STOP_S = 18.0
"""Hands its transfers over first. With 5 s for the control plane and 5 s for the servers that stays below 30."""


class Stack(Struct, frozen=True, kw_only=True):
    settings: Settings
    data: Data
    ports: Ports
    secrets: Secrets
    urls: Urls
    operator: Operator
    postgres: postgres.Postgres
    nats: nats.Nats
    store: s3.Store


def describe(settings: Settings, data: Data, ports: Ports, secrets: Secrets) -> Stack:
    env = environment.clean()
    urls = environment.urls(settings, ports)
    database = postgres.Postgres(dir=data.postgres, port=ports["postgres"], passwords=secrets.kept.postgres, env=env)
    return Stack(
        settings=settings,
        data=data,
        ports=ports,
        secrets=secrets,
        urls=urls,
        operator=Operator(urls.api, secrets.kept.operator_key, database.url(postgres.WORK)),
        postgres=database,
        nats=nats.Nats(
            dir=data.nats,
            port=ports["nats"],
            monitor_port=ports["nats_monitor"],
            keys=secrets.nats,
            ca=secrets.ca.cert,
            server=secrets.nats_server,
            env=env,
        ),
        store=s3.Store(
            dir=data.store,
            port=environment.gateway_port(settings, ports),
            internal={name: ports[name] for name in s3.INTERNAL},
            access_key=secrets.kept.store_access_key,
            secret_key=secrets.kept.store_secret_key,
            env=env,
        ),
    )


def servers(stack: Stack, account: Account | None) -> tuple[Command, Command, Command]:
    log = stack.data.log
    return (
        postgres.command(stack.postgres, account, log("postgres")),
        nats.command(stack.nats, log("nats")),
        s3.command(stack.store, log("store")),
    )


def control(stack: Stack, verb: str) -> Command:
    """`python -m control api|work`."""
    return _python(stack, verb, ["control", verb], _control_env(stack, work=verb == "work"))


def migrate(stack: Stack) -> Command:
    """The newest tables, and in them whoever must be there; one process, since most of either is its start."""
    env = environment.migrating(_control_env(stack, work=False), stack.postgres)
    return _python(stack, "migrate", ["control", "db-upgrade", "bootstrap"], env)


def _control_env(stack: Stack, *, work: bool) -> dict[str, str]:
    allow = f"{POOL}={SWARM_HOST}/32" if stack.settings.demo else ""
    return environment.control(stack.settings, stack.ports, stack.secrets, stack.postgres, allow=allow, work=work)


def forward(stack: Stack) -> Command:
    """The S3 gateway as others reach it."""
    addresses = [stack.settings.host, str(stack.ports["s3"]), str(stack.ports["s3_inside"])]
    return _python(stack, "forward", ["stack.forward", *addresses], environment.clean())


def agent(stack: Stack, number: int) -> Command:
    folder = stack.data.agent(number)
    env = environment.agent(stack.settings, folder, stack.ports.agent_metrics(number))
    return _python(stack, f"agent-{number}", ["agent", "run"], env, stop_s=AGENT_STOP_S)


def enrol(stack: Stack, number: int, token: str) -> Command:
    """Into a folder beside the agent's: only a whole identity gets the name."""
    folder = stack.data.agent(number).with_suffix(".new")
    arguments = ["agent", "enrol", "--token", token, "--name", agent_name(number), "--dir", str(folder)]
    return _python(stack, f"enrol-{number}", arguments, environment.clean())


def agent_name(number: int) -> str:
    return f"local-{number}"


def demo_make(stack: Stack) -> Command:
    return _python(stack, "demo", ["stack.demo", "make", *_demo_arguments(stack)], environment.clean())


def demo_swarm(stack: Stack) -> Command:
    return _python(stack, "swarm", ["stack.demo", "swarm", *_demo_arguments(stack)], environment.clean())


def _demo_arguments(stack: Stack) -> list[str]:
    return [str(stack.data.demo), SWARM_HOST, str(stack.ports["tracker"]), str(stack.ports["seeder"])]


def _python(stack: Stack, name: str, arguments: list[str], env: dict[str, str], stop_s: float = 5.0) -> Command:
    argv = [sys.executable, "-P", "-m", *arguments]  # -P: the data folder is no place for modules
    return Command(name=name, argv=argv, env=env, log=stack.data.log(name), cwd=stack.data.dir, stop_s=stop_s)
