"""The process `api`: the public listener, and the fleet's."""

import asyncio

from control.config import Settings
from control.fleet import listener
from control.plane import open_plane
from control.serve import bound, public
from telemetry import logs

log = logs.get(__name__)


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    async with open_plane(settings) as plane, asyncio.TaskGroup() as group:
        with bound(settings.host, settings.port) as listening:
            fleet = group.create_task(listener.serve(plane))
            log.info("api.listening", host=settings.host, port=settings.port)
            await public(plane, listening, stop)
            fleet.cancel()
