"""Somebody pauses, chooses and resumes on a whole stack, while everything moves and dies."""

import hashlib
from pathlib import Path

from tests.support import bucket
from tests.support.member import Member, midway
from tests.support.swarm import swarm
from tests.support.up import Up
from tests.system.test_survival import torrent_id
from wire.units import MIB

SIZES = {"a.bin": 36 * MIB + 5, "b.bin": 9 * MIB + 3, "c.bin": 2 * MIB + 1}
RATE = 16 * MIB
SLOW = 2 * MIB
"""For the job, until it was paused: from its first part on somebody has eight seconds to think it over, on a busy
machine too, even if pieces came such that all other parts are nearly whole."""
BEGUN = 0.1


async def test_a_choice_is_fetched_paused_widened_and_nothing_else_is_stored(
    stack: Up, member: Member, tmp_path: Path
) -> None:
    async with swarm(tmp_path, SIZES, rate_bytes=RATE, seed=77) as source:
        job = (await member.http.post("/api/v1/jobs", json={"magnet": source.magnet, "paused": True})).json()
        shown = await member.until(job["id"], "paused")
        paths = {file["path"].rpartition("/")[2]: file["index"] for file in await member.files(job["id"])}
        assert (paths.keys(), shown["progress"]["stored_bytes"]) == (SIZES.keys(), 0)
        await changed(member, job["id"], files=[paths["a.bin"]], down_max=SLOW)
        await told(member, job["id"], "resume")
        await midway(member, job["id"], BEGUN)
        assert (await told(member, job["id"], "pause"))["state"] == "paused"
        assert stack.kill("agent")
        await changed(member, job["id"], down_max=0)
        assert (await told(member, job["id"], "resume"))["state"] != "paused"
        ended = await member.until(job["id"], "completed")
        assert ended["progress"]["stored_bytes"] == ended["wanted_bytes"] == SIZES["a.bin"]
        assert await stored_files(stack, job["id"]) == {paths["a.bin"]}
        await changed(member, job["id"], files=[paths["c.bin"]])
        await member.until(job["id"], "completed")
        assert await stored_files(stack, job["id"]) == {paths["a.bin"], paths["c.bin"]}
        for name in ("a.bin", "c.bin"):
            content = (source.content / name).read_bytes()
            assert await member.sha256_of(job["id"], paths[name]) == hashlib.sha256(content).hexdigest()


async def changed(member: Member, job_id: str, **fields: object) -> None:
    (await member.http.patch(f"/api/v1/jobs/{job_id}", json=fields)).raise_for_status()


async def told(member: Member, job_id: str, verb: str) -> dict[str, object]:
    answer = await member.http.post(f"/api/v1/jobs/{job_id}/{verb}")
    assert answer.is_success, answer.text
    view: dict[str, object] = answer.json()
    return view


async def stored_files(stack: Up, job_id: str) -> set[int]:
    """By the names in the bucket, whatever the database says."""
    torrent = await torrent_id(stack, job_id)
    return {int(key.split("/")[2]) for key in bucket.keys(stack) if key.split("/")[1] == torrent}
