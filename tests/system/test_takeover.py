"""An agent dies for good: another finishes its work, and what the store had acknowledged is not sent again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from tests.support import agents, bucket, up
from tests.support.member import WAIT_S, Member, midway, signed_up
from tests.support.swarm import Swarm, swarm
from tests.support.up import Proxied
from tests.system.test_survival import RATE, SIZES, all_there_once
from wire.clock import utcnow

LEASE_S = 20


async def test_another_agent_finishes_and_no_acknowledged_part_is_put_again(proxied: Proxied, tmp_path: Path) -> None:
    stack, proxy = proxied.stack, proxied.proxy
    async with (
        agents.running(stack, "takeover-1", tmp_path / "1") as first,
        swarm(tmp_path, SIZES, rate_bytes=RATE) as slow,
        signed_up(stack.api) as member,
    ):
        job = await member.add_torrent(slow.torrent)
        await midway(member, job["id"], share=0.4)
        first.kill()
        acknowledged = await parts_recorded(stack, job["id"])
        before = len(proxy.requests)
        assert acknowledged
        async with agents.running(stack, "takeover-2", tmp_path / "2"):
            await member.until(job["id"], "completed")
            again = {part_of(r.target) for r in proxy.requests[before:] if r.method == "PUT"}
            assert not again & acknowledged
            await all_there_once(stack, member, job["id"], slow)


async def test_an_agent_that_is_stopped_hands_its_work_over_at_once(bare: up.Up, tmp_path: Path) -> None:
    async with two_at_it(bare, tmp_path) as (member, source, job, holder):
        assert await holder.stop() == 0
        left_at = utcnow()
        await member.until(job, "completed")
        await taken_up_soon_after(left_at, member, job)
        await all_there_once(bare, member, job, source)


async def test_an_agent_retired_in_mid_transfer_is_replaced_at_once(bare: up.Up, tmp_path: Path) -> None:
    async with two_at_it(bare, tmp_path) as (member, source, job, holder):
        known = (await agents.listed(bare))[holder.name]
        async with agents.operator(bare) as http:
            answer = await http.post(f"/api/v1/fleet/agents/{known['id']}/retire", json={"reason": "sold"})
            assert answer.status_code == 200
        retired_at = utcnow()
        await member.until(job, "completed")
        await taken_up_soon_after(retired_at, member, job)
        await all_there_once(bare, member, job, source)


@asynccontextmanager
async def two_at_it(stack: up.Up, folder: Path) -> AsyncIterator[tuple[Member, Swarm, str, agents.Hand]]:
    """One of two agents holds a transfer that has begun."""
    names = [f"{folder.name}-{number}" for number in (1, 2)]
    async with (
        agents.running(stack, names[0], folder / names[0]) as first,
        agents.running(stack, names[1], folder / names[1]) as second,
        swarm(folder, SIZES, rate_bytes=RATE // 4) as source,
        signed_up(stack.api) as member,
    ):
        job = await member.add_torrent(source.torrent)
        holder = await taken_by(stack, first, second)
        await midway(member, job["id"], share=0.2)  # a busy machine hears of it late, and there must be more to do
        yield member, source, job["id"], holder


async def taken_up_soon_after(left_at: datetime, member: Member, job: str) -> None:
    """Nobody waited for a lease to expire."""
    taken_up = [event for event in await member.timeline(job) if event["to_state"] == "downloading"]
    assert len(taken_up) == 2
    assert datetime.fromisoformat(taken_up[1]["at"]) - left_at < timedelta(seconds=LEASE_S)


async def taken_by(stack: up.Up, *hands: agents.Hand) -> agents.Hand:
    async with asyncio.timeout(WAIT_S):
        while True:
            listed = await agents.listed(stack)
            for hand in hands:
                if listed[hand.name]["running"]:
                    return hand
            await asyncio.sleep(0.1)


def part_of(target: str) -> tuple[str, str]:
    """(key, part number) of a request's target; a small file has none."""
    path, _, query = target.partition("?")
    fields = dict(pair.partition("=")[::2] for pair in query.split("&"))
    return path.partition(f"/{bucket.BUCKET}/")[2], fields.get("partNumber", "")


async def parts_recorded(stack: up.Up, job_id: str) -> set[tuple[str, str]]:
    """What the database knows to be stored: the parts that must never be sent again."""
    async with stack.database() as connection:
        rows = await connection.fetch(
            "SELECT o.key, p.part::text FROM parts p JOIN objects o USING (transfer_id, file)"
            " JOIN jobs j ON j.transfer_id = p.transfer_id WHERE j.id = $1",
            job_id,
        )
        small = await connection.fetch(
            "SELECT o.key, '' AS part FROM objects o JOIN jobs j USING (transfer_id)"
            " WHERE j.id = $1 AND o.upload_id IS NULL AND o.stored_at IS NOT NULL",
            job_id,
        )
    return {tuple(row.values()) for row in [*rows, *small]}
