"""Two hosts of our own on one machine: network namespaces joined by a cable, gone when the test ends."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec import Struct

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2"
)
NETWORK = "10.213.77."


class Host(Struct, frozen=True):
    name: str
    address: str

    @property
    def inside(self) -> list[str]:
        """Put before a command, runs it on this host."""
        return ["ip", "netns", "exec", self.name]


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    ours, theirs = (Host(f"sl{os.getpid()}{end}", f"{NETWORK}{n}") for n, end in ((1, "a"), (2, "b")))
    try:
        for host in (ours, theirs):
            _ip("netns", "add", host.name)
            _ip("-n", host.name, "link", "set", "lo", "up")
        _ip("link", "add", "cable", "netns", ours.name, "type", "veth", "peer", "cable", "netns", theirs.name)
        for host in (ours, theirs):
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "cable")
            _ip("-n", host.name, "link", "set", "cable", "up")
        yield ours, theirs
    finally:
        for host in (ours, theirs):
            subprocess.run(["ip", "netns", "delete", host.name], check=False, capture_output=True)
