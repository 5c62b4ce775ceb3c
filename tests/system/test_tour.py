"""The README's tour, line by line, and the same story with every file compared with its source."""

import asyncio
import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.support.member import Member
from tests.support.up import Up
from wire.metainfo import parse_torrent

ROOT = Path(__file__).resolve().parents[2]
TOUR_S = 180
SAMPLE_OF_SMALL = 40
"""Of thousands of small files as many are fetched one by one; all are compared by size, the large ones by content."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="the tour is told with curl")
async def test_the_readmes_tour_works_line_by_line(stack: Up, tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    script = "set -euo pipefail\n" + "\n".join(blocks)
    shutil.copy(stack.log.parent / "ready.json", tmp_path / "ready.json")
    tour = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        script,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    async with asyncio.timeout(TOUR_S):
        said, complained = await tour.communicate()
    assert tour.returncode == 0, complained.decode() + said.decode()[-2000:]
    assert said.count(b'"completed"') >= 2
    assert (tmp_path / "first-file").exists()


@pytest.mark.parametrize("way", ["magnet", "torrent"])
async def test_every_file_of_the_demo_arrives_as_it_is_at_the_source(stack: Up, member: Member, way: str) -> None:
    assert stack.ready.demo_magnet is not None
    assert stack.ready.demo_torrent is not None
    raw = Path(stack.ready.demo_torrent).read_bytes()
    job = await (member.add_magnet(stack.ready.demo_magnet) if way == "magnet" else member.add_torrent(raw))
    await member.until(job["id"], "completed")
    stored = {f["index"]: f for f in await member.files(job["id"])}
    info = parse_torrent(raw).info
    wanted = {f.index: f for f in info.files if f.kind == "file"}
    assert {i: f["size_bytes"] for i, f in stored.items()} == {i: f.size_bytes for i, f in wanted.items()}
    source = Path(stack.ready.demo_torrent).parent
    large = sorted(wanted, key=lambda i: -wanted[i].size_bytes)[:SAMPLE_OF_SMALL]
    spread = sorted(wanted)[:: max(1, len(wanted) // SAMPLE_OF_SMALL)]
    for index in {*large, *spread}:
        path = _source_of(source, info.name, wanted[index].path)
        assert await member.sha256_of(job["id"], index) == _sha256(path), wanted[index].path


def _source_of(folder: Path, name: str, path: tuple[str, ...]) -> Path:
    return next(p for p in (folder.joinpath(name, *path), folder.joinpath(*path)) if p.exists())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
