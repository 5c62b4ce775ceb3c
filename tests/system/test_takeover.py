"""An agent dies for good: another finishes its work, and what the store had acknowledged is not sent again."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from tests.support import agents, bucket, up
from tests.support.member import WAIT_S, signed_up
from tests.support.ports import free_row
from tests.support.proxy import open_proxy
from tests.support.swarm import swarm
from tests.system.test_survival import PATIENCE, RATE, SIZES, all_there_once, midway
from wire.clock import utcnow

LEASE_S = 20


async def test_another_agent_finishes_and_no_acknowledged_part_is_put_again(tmp_path: Path) -> None:
    port = free_row()
    async with open_proxy(("127.0.0.1", port + 3)) as proxy:
        sets = [*PATIENCE, f"control.store_url={proxy.url}"]
        async with up.running(tmp_path / "stack", "--agents", "0", sets=sets, port=port) as stack:
            async with agents.running(stack, "first", tmp_path / "first") as first:
                async with swarm(tmp_path, SIZES, rate_bytes=RATE) as slow, signed_up(stack.api) as member:
                    job = await member.add_torrent(slow.torrent)
                    await midway(member, job["id"], share=0.4)
                    first.kill()
                    acknowledged = await parts_recorded(stack, job["id"])
                    before = len(proxy.requests)
                    assert acknowledged
                    async with agents.running(stack, "second", tmp_path / "second"):
                        await member.until(job["id"], "completed")
                        again = {part_of(r.target) for r in proxy.requests[before:] if r.method == "PUT"}
                        assert not again & acknowledged
                        await all_there_once(stack, member, job["id"], slow)


async def test_an_agent_under_up_that_was_killed_comes_back_as_a_new_boot(tmp_path: Path) -> None:
    async with up.running(tmp_path / "stack", sets=PATIENCE) as stack:
        async with swarm(tmp_path, SIZES, rate_bytes=RATE) as slow, signed_up(stack.api) as member:
            job = await member.add_torrent(slow.torrent)
            await midway(member, job["id"])
            boot = (await agents.listed(stack))["local-1"]["boot"]
            stack.kill("agent")
            await member.until(job["id"], "completed")
            await agents.until_boot_after(stack, "local-1", boot)
            await all_there_once(stack, member, job["id"], slow)


async def test_an_agent_that_is_stopped_hands_its_work_over_at_once(tmp_path: Path) -> None:
    """With leases as long as in production: nobody waited for one to expire."""
    async with up.running(tmp_path / "stack", "--agents", "0") as stack, signed_up(stack.api) as member:
        async with (
            agents.running(stack, "first", tmp_path / "first") as first,
            agents.running(stack, "second", tmp_path / "second") as second,
            swarm(tmp_path, SIZES, rate_bytes=RATE // 4) as slow,
        ):
            job = await member.add_torrent(slow.torrent)
            holder = await taken_by(stack, first, second)
            await midway(member, job["id"], share=0.2)  # a busy machine hears of it late, and there must be more to do
            assert await holder.stop() == 0
            left_at = utcnow()
            await member.until(job["id"], "completed")
            taken_up = [e for e in await member.timeline(job["id"]) if e["to_state"] == "downloading"]
            assert len(taken_up) == 2
            assert datetime.fromisoformat(taken_up[1]["at"]) - left_at < timedelta(seconds=LEASE_S)
            await all_there_once(stack, member, job["id"], slow)


async def test_an_agent_retired_in_mid_transfer_is_replaced_at_once(tmp_path: Path) -> None:
    """Its lease would last longer than this test may take."""
    sets = ["control.lease_s=600"]
    async with up.running(tmp_path / "stack", "--agents", "2", sets=sets) as stack, signed_up(stack.api) as member:
        async with swarm(tmp_path, SIZES, rate_bytes=RATE) as slow:
            job = await member.add_torrent(slow.torrent)
            await midway(member, job["id"])
            holder = next(a for a in (await agents.listed(stack)).values() if a["running"])
            async with agents.operator(stack) as http:
                answer = await http.post(f"/api/v1/fleet/agents/{holder['id']}/retire", json={"reason": "sold"})
                assert answer.status_code == 200
            await member.until(job["id"], "completed")
            await all_there_once(stack, member, job["id"], slow)


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
