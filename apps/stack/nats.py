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


def prepare(nats: Nats) -> None:
    nats.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    preload = server_preload(nats.keys)
    text = template(
        "nats.conf",
        port=nats.port,
        monitor_port=nats.monitor_port,
        dir=nats.dir,
        cert_file=nats.server.cert,
        key_file=nats.server.key,
        ca_file=nats.ca,
        operator_jwt=preload.operator_jwt,
        system_account=preload.system_account,
        preload="\n".join(f"  {account}: {jwt}" for account, jwt in preload.accounts.items()),
    )
    write_private(nats.dir / "nats.conf", text)


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
