"""The torrents of all rounds: made once, announced by one tracker, given away by one seeder."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from stack.demo import seeder, torrent, tracker
from tests.support.chaos.schedule import CONTENTS
from tests.support.swarm import HOST, known, write_content
from wire.filelist import FileKind
from wire.metainfo import parse_torrent
from wire.units import MIB

RATE = 24 * MIB
"""Over all torrents: a round's jobs take some seconds, so that blows find them half-way."""


class Source(Struct, frozen=True):
    torrent: bytes
    magnet: str
    digests: dict[int, str]
    """SHA-256 of each file, by its index."""


@asynccontextmanager
async def sources(folder: Path) -> AsyncIterator[dict[str, Source]]:
    async with tracker.serve(HOST, 0) as port:
        trackers = [f"http://{HOST}:{port}/announce"]
        files: dict[str, Path] = {}
        for content in CONTENTS:
            written = write_content(folder / content.name, content.sizes, content.seed)
            file = folder / f"{content.name}.torrent"
            kind: torrent.Kind = "hybrid" if content.hybrid else "v1"
            file.write_bytes(torrent.create(written, trackers=trackers, kind=kind))
            files[content.name] = file
        with seeder.seeding(dict.fromkeys(files.values(), folder), HOST, 0, rate_bytes=RATE) as giver:
            peers = [f"{HOST}:{giver.port}"]
            for file in files.values():
                await known(trackers[0], parse_torrent(file.read_bytes()).info.hashes, "complete")
            yield {name: _source(file, trackers, peers) for name, file in files.items()}


def _source(made: Path, trackers: list[str], peers: list[str]) -> Source:
    data, content = made.read_bytes(), made.with_suffix("")
    digests = {
        file.index: hashlib.sha256(content.joinpath(*file.path).read_bytes()).hexdigest()
        for file in parse_torrent(data).info.files
        if file.kind is FileKind.FILE
    }
    return Source(data, torrent.magnet(data, trackers=trackers, peers=peers), digests)
