"""Over a hundred transfers on an agent whose engine is scripted: all else is real, each ends as its script says."""

import hashlib
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from agent.engine.script import Break, dealt, parse
from agent.engine.sim import content_of
from tests.support import agents, up
from tests.support.control import torrent_file
from tests.support.member import Member, signed_up
from wire.metainfo import parse_torrent
from wire.units import KIB

COUNT = 120
SLOTS = 50
MEMBERS = 5
SIZE = 40_000
"""Three pieces, one small file."""
SCRIPT = "give | give 1 0.01; stall 0.1; lie gone; give | give 1; break metadata_mismatch | lie wrong; give"


FILES_LEFT_MAX = 80
"""The interpreter's, its libraries', connections: what more than a hundred transfers had opened is closed."""
MEMORY_MAX_MIB = 700


def peak_mib(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmHWM"].split()[0]) / KIB


def ends_of(torrent: bytes) -> str:
    v1 = parse_torrent(torrent).info.hashes.v1_hex
    assert v1 is not None
    breaks = any(isinstance(step, Break) for step in dealt(parse(SCRIPT), v1))
    return "failed" if breaks else "completed"


async def added(member: Member, torrents: list[bytes]) -> dict[str, bytes]:
    return {(await member.add_torrent(torrent))["id"]: torrent for torrent in torrents}


async def counts(member: Member) -> Counter[str]:
    return Counter((await member.http.get("/api/v1/jobs", params={"limit": 1})).json()["counts"])


async def test_more_than_a_hundred_transfers_end_as_their_scripts_say(bare: up.Up, tmp_path: Path) -> None:
    torrents = [torrent_file(f"many-{number}", size=SIZE) for number in range(COUNT)]
    async with (
        agents.running(bare, "sim", tmp_path / "sim", agent_slots=SLOTS, agent_sim=SCRIPT) as agent,
        AsyncExitStack() as signed,
    ):
        members = [await signed.enter_async_context(signed_up(bare.api)) for _ in range(MEMBERS)]
        jobs = [await added(member, torrents[at::MEMBERS]) for at, member in enumerate(members)]
        for member, mine in zip(members, jobs, strict=True):
            expected = Counter(map(ends_of, mine.values()))
            assert expected.keys() == {"completed", "failed"}
            for job, torrent in mine.items():
                if ends_of(torrent) == "completed":
                    await member.until(job, "completed")
                else:
                    failed = await member.until(job, "failed")
                    assert failed["failure"]["code"] == "metadata_mismatch"
            assert +await counts(member) == expected
        assert agent.process is not None
        assert len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir())) < FILES_LEFT_MAX
        assert peak_mib(agent.process.pid) < MEMORY_MAX_MIB
        job, torrent = next((job, torrent) for job, torrent in jobs[0].items() if ends_of(torrent) == "completed")
        assert await members[0].sha256_of(job, 0) == hashlib.sha256(content(torrent)).hexdigest()


def content(torrent: bytes) -> bytes:
    info = parse_torrent(torrent).info
    sizes = [min(info.piece_length, SIZE - at) for at in range(0, SIZE, info.piece_length)]
    return b"".join(content_of(info.hashes.v1_hex or "", piece, size) for piece, size in enumerate(sizes))
