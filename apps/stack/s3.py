"""SeaweedFS as the S3 store, all of it on loopback: `stack.forward` opens the gateway, which checks signatures."""

from pathlib import Path

from msgspec import Struct

from stack.paths import program, template, write_private
from stack.probe import answers, until_ready
from stack.process import Child, Command

INTERNAL = ("s3_grpc", "master", "master_grpc", "volume", "volume_grpc", "filer", "filer_grpc")
"""Ports it needs beside the gateway's, by name."""
START_S = 60.0
"""Two to four seconds here."""


class Store(Struct, frozen=True, kw_only=True):
    dir: Path
    port: int
    """The gateway's."""
    internal: dict[str, int]
    """A port for each of INTERNAL."""
    access_key: str
    secret_key: str
    env: dict[str, str]


def prepare(store: Store) -> None:
    store.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    (store.dir / "volumes").mkdir(exist_ok=True)
    write_private(store.dir / "s3.json", template("s3.json", access_key=store.access_key, secret_key=store.secret_key))


def command(store: Store, log: Path) -> Command:
    return Command(
        name="store",
        argv=[str(program("weed")), "-logtostderr=true", "server", *_flags(store)],
        env={**store.env, "HOME": str(store.dir)},  # it reads configuration from the home folder
        log=log,
        cwd=store.dir,
    )


def _flags(store: Store) -> list[str]:
    ports = store.internal
    return [
        # Its master and filer obey anybody: loopback, always.
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={store.dir / 'volumes'}",
        # Without the short election every start but the first takes 20 s.
        f"-master.port={ports['master']}", f"-master.port.grpc={ports['master_grpc']}",
        "-master.electionTimeout=1s", "-master.heartbeatInterval=100ms", "-master.telemetry=false",
        # With the default of 8 volumes the third bucket fails.
        f"-volume.port={ports['volume']}", f"-volume.port.grpc={ports['volume_grpc']}",
        "-volume.max=1000", "-master.volumeSizeLimitMB=1024", "-volume.preStopSeconds=1",
        # The sockets are below its folder; by default they are in /tmp, for every local user.
        "-filer", f"-filer.port={ports['filer']}", f"-filer.port.grpc={ports['filer_grpc']}", "-filer.disableHttp",
        "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock",
        # Unset, a grpc port is the HTTP port + 10,000; iceberg and lance have fixed ones that a second stack lacks.
        "-s3", f"-s3.config={store.dir / 's3.json'}", "-s3.ip.bind=127.0.0.1", f"-s3.port={store.port}",
        f"-s3.port.grpc={ports['s3_grpc']}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false",
    ]  # fmt: skip


async def until_up(store: Store, child: Child) -> None:
    async def healthy() -> bool:
        return await answers("127.0.0.1", store.port, "/status")

    await until_ready(child, healthy, within_s=START_S)
