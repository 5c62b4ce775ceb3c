"""A nudge: "look again", nothing more. It may be lost; whoever is nudged looks by himself soon anyway."""

from contextlib import suppress

from bus.connect import Bus
from bus.errors import BusDown


async def nudge(bus: Bus, subject: str) -> None:
    with suppress(BusDown):
        await bus.publish(subject)
