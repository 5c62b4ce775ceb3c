"""Loop `seeding`: what peers are given follows what pools and plans say, also where no agent says a word."""

from datetime import datetime

from control.loops import driver
from control.plane import Plane
from control.transfers import seeds


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "seeding"):
            return False
        agents = await seeds.follow_policies(tx)
        await tx.flush()
        for giving, why in await seeds.overdue(tx, now):
            await seeds.end(tx, giving, why, now=now, who="loop:seeding")
            agents.add(giving.seed.agent_id)
    for agent in agents:
        await plane.nudge_agent(agent)
    return False
