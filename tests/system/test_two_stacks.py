"""Two stacks on one machine, each with its own data and ports, do not see each other."""

from pathlib import Path

from tests.support import agents, up
from tests.support.member import signed_up
from tests.support.ports import free_row
from tests.support.swarm import swarm
from wire.units import MIB


async def test_two_stacks_run_side_by_side(stack: up.Up, tmp_path: Path) -> None:
    async with up.running(tmp_path, port=free_row()) as second:
        assert second.ready.demo_magnet is None
        async with signed_up(second.api) as here, signed_up(stack.api) as there:
            assert (await here.http.get("/api/v1/jobs")).json()["items"] == []
            async with swarm(tmp_path, {"one.bin": 9 * MIB}, seed=7) as source:
                job = await there.add_magnet(source.magnet)
                await there.until(job["id"], "completed")
            assert (await here.http.get(f"/api/v1/jobs/{job['id']}")).status_code == 404
        assert (await agents.listed(second)).keys() == {"local-1"}
