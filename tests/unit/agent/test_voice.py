"""Syncs go on whatever happens: on time, when woken, and while nobody answers."""

import asyncio
from pathlib import Path

from agent import sync
from agent.config import Settings
from agent.fleet import Refusal, Unreachable
from agent.sync import Voice
from wire.ids import BootId, new_id
from wire.messages import Sync, Synced

SETTINGS = Settings(agent_dir=Path("."), time_scale=100)
BOOT = BootId(new_id())
LATE_S = 3600.0


class Told:
    """A control plane that answers as it was told to, and the agent's side of a sync."""

    def __init__(self, *answers: Synced | Exception) -> None:
        self.answers = list(answers)
        self.heard: list[int] = []
        self.built = 0
        self.over = asyncio.Event()
        self.voice = Voice(self._build, self._ask, self._heard, asyncio.Event(), asyncio.Lock())

    def _build(self) -> Sync:
        self.built += 1
        return Sync(boot=BOOT, rev=self.built, version="1", slots=1, held=[])

    async def _ask(self, said: Sync) -> Synced:
        assert self.voice.turn.locked()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _heard(self, said: Sync, synced: Synced) -> None:
        self.heard.append(said.rev)
        if not self.answers:
            self.over.set()

    async def talk(self) -> None:
        """Until the last answer was heard."""
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            talking = group.create_task(sync.run(SETTINGS, self.voice))
            await self.over.wait()
            talking.cancel()


async def test_a_control_plane_that_is_away_or_refuses_is_asked_again_with_what_is_then() -> None:
    told = Told(Unreachable("away"), Refusal(403, "no", "no"), Synced([], LATE_S))
    await told.talk()
    assert told.heard == [3]


async def test_what_happens_between_two_syncs_brings_the_next_one_forward() -> None:
    told = Told(Synced([], LATE_S), Synced([], LATE_S))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        talking = group.create_task(told.talk())
        while not told.heard:
            await asyncio.sleep(0)
        told.voice.wake.set()
        await talking
    assert told.heard == [1, 2]


async def test_what_wakes_during_a_sync_is_said_by_the_next_one() -> None:
    told = Told(Synced([], 1))
    ask = told.voice.ask

    async def woken_meanwhile(said: Sync) -> Synced:
        told.voice.wake.set()
        return await ask(said)

    await sync.once(Voice(told.voice.build, woken_meanwhile, told.voice.heard, told.voice.wake, told.voice.turn))
    assert told.voice.wake.is_set()
