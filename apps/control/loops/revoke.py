"""Loop `revoke`: the bus knows who was retired, also after its servers were rebuilt with an empty resolver."""

from datetime import datetime

from control.fleet import revocations
from control.plane import Plane


async def step(plane: Plane, now: datetime) -> bool:
    """Said again each time: the same account JWT changes nothing, and nobody need remember what a server knows."""
    if plane.fleet_bus.connected:
        await revocations.push(plane)
    return False
