"""What operators do while a fleet works: programs are replaced, certificates renewed, and no job minds."""

import asyncio
import sys
from pathlib import Path

from tests.support import agents, up
from tests.support.agents import Hand
from tests.support.member import midway, signed_up
from tests.support.swarm import swarm
from tests.support.until import until
from tests.support.up import Proxied
from tests.system.test_survival import RATE, SIZES, all_there_once
from tests.system.test_takeover import part_of
from wire.clock import utcnow

CERTIFICATE_S = 15
"""Renewed after ten: long enough for two busy cores."""
DRAINED_S = 60
LOST_S = 35


async def seedlift(stack: up.Up, *arguments: str) -> str:
    """The operator's command, as it is typed."""
    command = [sys.executable, "-m", "cli", "fleet", *arguments, "--data", str(stack.data)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def replaced(stack: up.Up, hand: Hand) -> None:
    """As DEPLOYMENT has it: drained, restarted, given work again."""
    before = (await agents.listed(stack))[hand.name]
    assert "is drained" in await seedlift(stack, "drain", hand.name, "--hand-over", "--wait-s", str(DRAINED_S))
    assert await hand.stop() == 0
    assert (await agents.listed(stack))[hand.name]["state"] == "drained"
    await hand.start()
    async with asyncio.timeout(agents.READY_S):
        while (await agents.listed(stack))[hand.name]["boot"] == before["boot"]:
            await asyncio.sleep(0.1)
    await seedlift(stack, "uncordon", hand.name)
    await agents.until_state(stack, hand.name, "ready")


async def test_a_fleet_is_replaced_agent_by_agent_and_no_job_fails(proxied: Proxied, tmp_path: Path) -> None:
    stack, before = proxied.stack, len(proxied.proxy.requests)
    async with (
        agents.running(stack, "first", tmp_path / "first") as first,
        agents.running(stack, "second", tmp_path / "second") as second,
        swarm(tmp_path, SIZES, rate_bytes=RATE // 4) as slow,
        signed_up(stack.api) as member,
    ):
        job = await member.add_torrent(slow.torrent)
        await midway(member, job["id"], share=0.2)
        listed = await agents.listed(stack)
        holder = next(name for name, agent in listed.items() if agent["running"])
        async with agents.operator(stack) as http:  # at once: the command takes seconds to start on a busy machine
            url = f"/api/v1/fleet/agents/{listed[holder]['id']}/drain"
            assert (await http.post(url, json={"hand_over": True})).status_code == 200
        for hand in sorted((first, second), key=lambda hand: hand.name != holder):
            await replaced(stack, hand)
        await member.until(job["id"], "completed")
        states = [event["to_state"] for event in await member.timeline(job["id"])]
        assert "failed" not in states
        assert states.count("queued") >= 2  # it was handed over at least once
        await all_there_once(stack, member, job["id"], slow)
        put = [part_of(request.target) for request in proxied.proxy.requests[before:] if request.method == "PUT"]
        assert len(put) == len(set(put))  # what was on its way when it was handed over was waited for


async def test_an_agent_that_is_killed_is_soon_shown_as_lost(bare: up.Up, tmp_path: Path) -> None:
    async with agents.running(bare, "doomed", tmp_path / "doomed") as doomed:
        doomed.kill()
        await agents.until_state(bare, "doomed", "lost", limit_s=LOST_S)


async def test_an_agent_outlives_its_certificate_and_the_bus_restart_after_it(tmp_path: Path) -> None:
    sets = [f"control.certificate_s={CERTIFICATE_S}"]
    async with up.running(tmp_path / "stack", sets=sets) as stack, signed_up(stack.api) as member:
        first = str((await agents.listed(stack))["local-1"]["certificate_until"])
        await until(lambda: utcnow().isoformat() > first, limit_s=2 * CERTIFICATE_S)
        stack.kill("nats")
        async with swarm(tmp_path, SIZES, rate_bytes=RATE) as source:
            job = await member.add_torrent(source.torrent)
            await member.until(job["id"], "completed")
        assert "certificate.renewed" in (stack.data / "logs" / "agent-1.log").read_text()
        assert (await agents.listed(stack))["local-1"]["state"] == "ready"
