"""NATS as our own child: TLS with client certificates, accounts in a full resolver, JetStream on disk."""

from pathlib import Path

from msgspec import Struct

from bus.accounts import NatsKeys, server_preload
from stack.certificates import Pair
from stack.paths import program, template, write_private
from stack.probe import answers, until_ready
from stack.process import Child, Command

START_S = 60.0
"""Half a second here; large streams are read again first."""


class Nats(Struct, frozen=True, kw_only=True):
    dir: Path
    port: int
    monitor_port: int
    keys: NatsKeys
    ca: Path
    server: Pair
    env: dict[str, str]


class Listening(Struct, frozen=True):
    host: str
    port: int
    monitor_port: int


def prepare(nats: Nats) -> None:
    nats.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    listening = Listening("127.0.0.1", nats.port, nats.monitor_port)
    text = configuration(listening, nats.dir, nats.keys, ca=nats.ca, server=nats.server)
    write_private(nats.dir / "nats.conf", text)


def configuration(listening: Listening, folder: Path, keys: NatsKeys, *, ca: Path, server: Pair) -> str:
    preload = server_preload(keys)
    return template(
        "nats.conf",
        host=listening.host,
        port=listening.port,
        monitor_port=listening.monitor_port,
        dir=folder,
        cert_file=server.cert,
        key_file=server.key,
        ca_file=ca,
        operator_jwt=preload.operator_jwt,
        system_account=preload.system_account,
        preload="\n".join(f"  {account}: {jwt}" for account, jwt in preload.accounts.items()),
    )


def command(nats: Nats, log: Path) -> Command:
    return Command(
        name="nats",
        argv=[str(program("nats-server")), "--config", str(nats.dir / "nats.conf")],
        env=nats.env,
        log=log,
        cwd=nats.dir,
    )


async def until_up(nats: Nats, child: Child) -> None:
    async def healthy() -> bool:
        return await answers("127.0.0.1", nats.monitor_port, "/healthz")

    await until_ready(child, healthy, within_s=START_S)
