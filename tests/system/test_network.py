"""What answers on the network: from another host, only what `--host` opens."""

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path

from tests.support import up
from tests.support.namespaces import Host, needs_namespaces, two_hosts
from tests.support.swarm import swarm
from wire.units import MIB

KNOCK = """
import select, socket, sys
answered = []
for first in range(1, 65536, 512):
    socks = {}
    for port in range(first, min(first + 512, 65536)):
        s = socket.socket(); s.setblocking(False); s.connect_ex((sys.argv[1], port)); socks[s.fileno()] = (s, port)
    p = select.poll()
    for fd in socks: p.register(fd, select.POLLOUT)
    waiting = len(socks)
    while waiting:
        events = p.poll(300)
        if not events: break
        for fd, _ in events:
            p.unregister(fd); waiting -= 1
            if socks[fd][0].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0: answered.append(socks[fd][1])
    for s, _ in socks.values(): s.close()
print(*sorted(answered))
"""
"""Every TCP port, from outside: a closed one refuses at once, a silent one gets 300 ms."""


async def python(on: Host, *arguments: str) -> str:
    command = [*on.inside, sys.executable, *arguments]
    said = await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True, text=True, timeout=120)
    return said.stdout


async def knock(ours: Host, theirs: Host) -> set[int]:
    return {int(port) for port in (await python(theirs, "-c", KNOCK, ours.address)).split()}


@needs_namespaces
async def test_without_host_nothing_answers_from_another_machine(tmp_path: Path) -> None:
    with two_hosts() as (ours, theirs):
        async with up.running(tmp_path, demo=True, prefix=ours.inside):
            assert await knock(ours, theirs) == set()


@needs_namespaces
async def test_with_host_only_the_public_listener_and_the_store_answer(tmp_path: Path) -> None:
    with two_hosts() as (ours, theirs):
        async with up.running(tmp_path, "--host", ours.address, prefix=ours.inside) as running:
            assert await knock(ours, theirs) == {running.port, running.port + 3}
            async with swarm(tmp_path, {"one.bin": 9 * MIB}, prefix=ours.inside) as source:
                (tmp_path / "one.torrent").write_bytes(source.torrent)
                story = ["-m", "tests.support.member", running.api, str(tmp_path / "one.torrent")]
                content = (source.content / "one.bin").read_bytes()
                assert (await python(theirs, *story)).strip() == hashlib.sha256(content).hexdigest()
