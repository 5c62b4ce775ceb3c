"""The row of ports of one stack: chosen once, kept in the data folder, never drifted from."""

import errno
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from stack.errors import CannotStart
from stack.paths import write_private

DEFAULT = 8000
HIGHEST = 65_535
FREED_S = 2.0
"""Servers of a killed `up` get their signal from the kernel, and take a moment to end."""
PURPOSES = {
    "api": "the public listener",
    "fleet": "the fleet listener",
    "nats": "NATS",
    "s3": "the S3 gateway",
    "postgres": "PostgreSQL",
    "nats_monitor": "NATS' monitoring",
    "master": "the store's master",
    "master_grpc": "the store's master, grpc",
    "volume": "the store's volumes",
    "volume_grpc": "the store's volumes, grpc",
    "filer": "the store's filer",
    "filer_grpc": "the store's filer, grpc",
    "s3_grpc": "the S3 gateway, grpc",
    "work_metrics": "metrics of `work`",
    "tracker": "the demo's tracker",
    "seeder": "the demo's seeder",
    "s3_inside": "the S3 gateway behind an open port",
}
"""In the order in which they follow the public port; the agents' metrics come after them. New ones go to the end."""
SWARM = ("tracker", "seeder")
FOLLOW_HOST = ("api", "s3")


class Ports(msgspec.Struct, frozen=True):
    first: int
    by_name: dict[str, int]

    def __getitem__(self, name: str) -> int:
        return self.by_name[name]

    def agent_metrics(self, number: int) -> int:
        """Agents count from 1."""
        return self.first + len(PURPOSES) + number - 1


def row(first: int) -> Ports:
    return Ports(first, {name: first + place for place, name in enumerate(PURPOSES)})


def kept(file: Path, wanted: int | None, *, agents: int) -> Ports:
    """Those in the data folder, unless others are asked for by `--port`."""
    ports = row(DEFAULT if wanted is None else wanted)
    if file.exists():
        known = msgspec.json.decode(file.read_bytes(), type=Ports)
        if wanted in (None, known.first):
            ports = Ports(known.first, {**row(known.first).by_name, **known.by_name})
    if ports.first < 1 or max(ports.agent_metrics(agents), *ports.by_name.values()) > HIGHEST:
        raise CannotStart(
            f"--port {ports.first} leaves no room for {len(PURPOSES) + agents} ports after it: choose one below 65000."
        )
    write_private(file, msgspec.json.encode(ports))
    return ports


def must_be_free(addresses: Mapping[str, tuple[str, int]], *, within_s: float = FREED_S) -> None:
    """By purpose: (address, port). All that are taken are named at once."""
    deadline = time.monotonic() + within_s
    while not all(_is_free(host, port) for host, port in addresses.values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    taken = [
        f"{port} ({purpose}, on {host})" for purpose, (host, port) in addresses.items() if not _is_free(host, port)
    ]
    if taken:
        are = "is" if len(taken) == 1 else "are"
        raise CannotStart(
            f"port {', '.join(taken)} {are} taken by another program: stop it, or move this stack with --port N."
        )


def addresses(ports: Ports, host: str, swarm_host: str | None, agents: Iterable[int]) -> dict[str, tuple[str, int]]:
    """Everything that this start will listen on."""
    found = {}
    for name, purpose in PURPOSES.items():
        if name in SWARM:
            if swarm_host is not None:
                found[purpose] = (swarm_host, ports[name])
        else:
            found[purpose] = (host if name in FOLLOW_HOST else "127.0.0.1", ports[name])
    return found | {f"metrics of agent {n}": ("127.0.0.1", ports.agent_metrics(n)) for n in agents}


def _is_free(host: str, port: int) -> bool:
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        raise CannotStart(f"--host {host} is not an address of this machine.") from None
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections of the last run do not count
        try:
            probe.bind(address)
            probe.listen()
        except PermissionError:
            raise CannotStart(
                f"port {port} needs rights that we do not have: choose one above 1023 with --port N."
            ) from None
        except OSError as refused:
            if refused.errno == errno.EADDRNOTAVAIL:
                raise CannotStart(f"--host {host} is not an address of this machine.") from None
            return False
    return True
