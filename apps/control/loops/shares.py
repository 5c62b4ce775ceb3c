"""Loop `shares`: divides organisations' limits of speed anew, as their transfers come, go, and move more or less."""

from datetime import datetime

from control.loops import driver
from control.plane import Plane
from control.transfers import shares


async def step(plane: Plane, now: datetime) -> bool:
    agents = set()
    async with plane.working() as tx:
        if await driver.alone(tx, "shares") and (changes := await shares.due(tx)):
            agents = await shares.write(tx, changes)
    for agent in agents:
        await plane.nudge_agent(agent)
    return False
