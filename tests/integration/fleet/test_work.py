"""All loops together, as the process `work` turns them: offered by the broker, finished by nudges."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace

from bus import pull
from bus.message import Message
from control import work
from control.loops import driver
from control.plane import Plane
from tests.integration.fleet.conftest import TIME_SCALE
from tests.support.fleet import add_agent, add_transfer, content, new_pool, read_job, read_object, read_objects
from tests.support.until import until
from wire.events import JobEvent
from wire.messages import Claimed, Offer
from wire.states import JobState, Phase
from wire.subjects import events_of
from wire.units import MIB

BIG = 9 * MIB
PATIENT_S = 600
"""A lease that a test's agent, which syncs only when it has something to say, does not outlive."""
LIMIT_S = 30.0


@pytest.fixture(scope="module")
async def working(plane: Plane) -> AsyncIterator[Plane]:
    """Ticks of an hour: what happens is nudged."""
    settings = replace(plane.settings, lease_s=PATIENT_S * TIME_SCALE)
    patient = replace(plane, settings=settings)
    loops = [replace(loop, tick_s=3600 * TIME_SCALE) for loop in work.loops(settings)]
    async with asyncio.TaskGroup() as group:
        turning = group.create_task(driver.run(patient, loops))
        yield patient
        turning.cancel()


async def offered(plane: Plane, pool: str) -> Offer:
    async with asyncio.timeout(LIMIT_S):
        while (delivery := await pull.pull(plane.fleet_bus, pool, 0)) is None:
            pass
    await delivery.ack()
    return msgspec.json.decode(delivery.data, type=Offer)


async def test_a_job_is_offered_done_and_told_by_nudges_alone(working: Plane) -> None:
    plane, pool = working, new_pool()
    wanted, agent = await add_transfer(plane, BIG, 10, pool=pool), await add_agent(plane, pool)
    await plane.nudge("ensure")
    heard: list[JobState] = []

    async def listen(message: Message) -> None:
        heard.append(msgspec.json.decode(message.data, type=JobEvent).state)

    subscription = await plane.app_bus.subscribe(events_of(wanted.org), listen)
    offer = await offered(plane, pool)
    assert (offer.transfer, offer.correlation_id) == (wanted.transfer, f"c-{wanted.transfer}")
    assert isinstance(await agent.claim(wanted.transfer), Claimed)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer))
    await agent.sync(agent.report(wanted.transfer, phase=Phase.TAIL, parts=parts, files=files, done=True))
    await until(lambda: JobState.COMPLETED in heard)
    await plane.app_bus.unsubscribe(subscription)
    assert heard == [JobState.QUEUED, JobState.DOWNLOADING, JobState.UPLOADING, JobState.COMPLETED]
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    for row in await read_objects(plane, wanted.transfer):
        assert await read_object(plane.store, row.key) == content(row.file, row.size_bytes)
