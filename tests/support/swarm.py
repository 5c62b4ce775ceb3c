"""A torrent of our own and a rate-limited seeder process for it, on the address that a demo stack's pool allows."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct

from stack.demo import seeder, torrent, tracker
from tests.support.noise import Noise
from wire.infohash import InfoHashes
from wire.metainfo import parse_torrent
from wire.units import MIB

HOST = "127.77.0.1"
START_S = 30
HASHED_BYTES_S = 50 * MIB
"""Far below what a core hashes in a second: large torrents take longer to make."""
PIECE_BYTES = 256 * 1024


class Swarm(Struct, frozen=True):
    torrent: bytes
    magnet: str
    content: Path
    """The folder with the torrent's files, by their paths in it."""
    process: asyncio.subprocess.Process

    async def sent_bytes(self) -> int:
        """What its seeder has given away so far."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        async with asyncio.timeout(START_S):
            return int(await self.process.stdout.readline())


def write_content(folder: Path, sizes: Mapping[str, int], seed: int = 1) -> Path:
    noise = Noise(seed)
    for path, size in sizes.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            for _ in range(size // MIB):
                out.write(noise.read(MIB))
            out.write(noise.read(size % MIB))
    return folder


@asynccontextmanager
async def swarm(
    folder: Path,
    sizes: Mapping[str, int],
    *,
    rate_bytes: int = 0,
    kind: torrent.Kind = "v1",
    piece_bytes: int = PIECE_BYTES,
    seed: int = 1,
    prefix: Sequence[str] = (),
) -> AsyncIterator[Swarm]:
    content = write_content(folder / f"content-{seed}", sizes, seed)
    arguments = [str(folder), str(content), kind, str(piece_bytes), str(rate_bytes)]
    process = await asyncio.create_subprocess_exec(
        *prefix,
        sys.executable,
        "-m",
        "tests.support.swarm",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S + sum(sizes.values()) / HASHED_BYTES_S):
            magnet = (await process.stdout.readline()).decode().strip()
        assert magnet, "the seeder did not start"
        yield Swarm((folder / f"{content.name}.torrent").read_bytes(), magnet, content, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def main(folder: Path, content: Path, kind: torrent.Kind, piece_bytes: int, rate_bytes: int) -> None:
    file = folder / f"{content.name}.torrent"
    async with tracker.serve(HOST, 0) as port:
        trackers = [f"http://{HOST}:{port}/announce"]
        file.write_bytes(torrent.create(content, trackers=trackers, kind=kind, piece_bytes=piece_bytes))
        with seeder.seeding({file: content.parent}, HOST, 0, rate_bytes=rate_bytes) as giver:
            await known(trackers[0], parse_torrent(file.read_bytes()).info.hashes, "complete")
            print(torrent.magnet(file.read_bytes(), trackers=trackers, peers=[f"{HOST}:{giver.port}"]), flush=True)
            async for _ in asks():
                print(giver.sent_bytes(), flush=True)


async def asks() -> AsyncIterator[bytes]:
    """Lines of stdin, until it is closed."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        yield line


async def known(tracker_url: str, hashes: InfoHashes, kind: Literal["complete", "incomplete"]) -> None:
    """Until the tracker knows a peer of that kind. Who asks it before the seeder hears of nobody, and has to wait."""
    key = quote((hashes.v1 or hashes.v2 or b"")[:20])
    passing_by = f"{tracker_url}?info_hash={key}&peer_id={'-' * 20}&port=1&left=1&event=stopped"
    nobody = b"%d:%bi0e" % (len(kind), kind.encode())
    async with httpx.AsyncClient() as http, asyncio.timeout(START_S):
        while nobody in (await http.get(passing_by)).content:
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    kind: torrent.Kind = msgspec.convert(sys.argv[3], torrent.Kind)
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), kind, int(sys.argv[4]), int(sys.argv[5])))
