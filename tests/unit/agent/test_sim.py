"""The sim engine: what its scripts say is what comes, behind the real engine's protocol."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.engine.api import Add, Broke, Checked, Engine, EngineEvent, Figures, NotThere, PieceVerified, Steering
from agent.engine.script import BadScript, Break, Give, Lie, Stall, dealt, parse
from agent.engine.sim import GONE_READS, Sim, content_of
from tests.support.control import torrent_file
from wire.ids import TransferId, new_id
from wire.metainfo import parse_torrent

LIMIT_S = 10.0
PIECES = 4


class Listening:
    def __init__(self, script: str) -> None:
        self.engine: Engine = Sim(script)
        self.said: list[EngineEvent] = []
        self._more = asyncio.Event()
        self.engine.listen(self._hear)

    def _hear(self, event: EngineEvent) -> None:
        self.said.append(event)
        self._more.set()

    @property
    def pieces(self) -> list[int]:
        return [event.piece for event in self.said if isinstance(event, PieceVerified)]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds():
                self._more.clear()
                await self._more.wait()

    def figures(self) -> Figures:
        self.engine.tick(availability=False)
        figures = self.said[-1]
        assert isinstance(figures, Figures)
        return figures


def some_add() -> Add:
    torrent = parse_torrent(torrent_file("sim", size=16_384 * PIECES - 5))
    return Add(
        transfer=TransferId(new_id()),
        folder=Path("/nowhere"),
        v1=torrent.info.hashes.v1_hex,
        v2=None,
        trackers=[],
        web_seeds=[],
        peers=[],
        info=torrent.raw_info,
        priorities=[1] * PIECES,
    )


def test_a_script_is_read_and_nonsense_is_refused() -> None:
    assert parse("give 3 0.1; stall 5; lie wrong; give") == ((Give(3, 0.1), Stall(5.0), Lie("wrong"), Give()),)
    assert parse("give | break disk_error") == ((Give(),), (Break("disk_error"),))
    for bad in ("", "give;", "give 0", "give x", "give 1 -1", "give 1 inf", "stall", "stall 0", "lie well", "break it"):
        with pytest.raises(BadScript):
            parse(bad)


def test_a_torrent_has_the_same_script_always() -> None:
    scripts = parse("give | stall 1")
    assert {dealt(scripts, f"{number:040x}") for number in range(1 << 32, 1 << 36, 1 << 32)} <= set(scripts)
    assert dealt(scripts, "00000001" + "0" * 32) == (Stall(1.0),)


async def test_pieces_come_by_priority_and_hold_what_they_always_hold() -> None:
    sim, add = Listening("give"), some_add()
    sim.engine.add(replace(add, priorities=[1, 0, 7, 1]))
    await sim.until(lambda: len(sim.pieces) == 3)
    assert sim.said[0] == Checked(add.transfer, ())
    assert sim.pieces == [2, 0, 3]
    assert await sim.engine.read(add.transfer, 3) == content_of(add.v1 or "", 3, 16_384 - 5)
    with pytest.raises(NotThere):
        await sim.engine.read(add.transfer, 1)
    sim.engine.ask(add.transfer, [(1, 1)])
    await sim.until(lambda: 1 in sim.pieces)
    await sim.engine.aclose()


async def test_a_script_ends_and_a_break_is_the_end() -> None:
    sim, add = Listening("give 2; break metadata_mismatch; give"), some_add()
    sim.engine.add(add)
    await sim.until(lambda: any(isinstance(event, Broke) for event in sim.said))
    assert sim.pieces == [0, 1]
    assert sim.figures().fetched_bytes == 2 * 16_384
    await sim.engine.aclose()


async def test_lies_are_counted_as_wrong_or_cannot_be_read_for_a_while() -> None:
    sim, add = Listening("lie wrong; lie gone; give 1"), some_add()
    sim.engine.add(add)
    await sim.until(lambda: sim.pieces == [0])
    assert sim.figures().wrong_bytes == 16_384
    for _ in range(GONE_READS):
        with pytest.raises(NotThere):
            await sim.engine.read(add.transfer, 0)
    assert len(await sim.engine.read(add.transfer, 0)) == 16_384
    await sim.engine.aclose()


async def test_what_is_paused_gives_nothing_until_it_goes_on() -> None:
    sim, add = Listening("give 1; stall 0.01; give"), some_add()
    sim.engine.add(add)
    sim.engine.pause(add.transfer)
    await asyncio.sleep(0)
    sim.engine.ask(add.transfer, [(0, 7)])
    other = some_add()
    sim.engine.add(other)
    await sim.until(lambda: len(sim.pieces) == PIECES)
    assert {event.transfer for event in sim.said if isinstance(event, PieceVerified)} == {other.transfer}
    sim.engine.resume(add.transfer)
    await sim.until(lambda: len(sim.pieces) == 2 * PIECES)
    await sim.engine.aclose()


async def test_a_magnet_finds_nothing_and_what_is_removed_says_nothing_more() -> None:
    sim, add = Listening("give"), some_add()
    sim.engine.add(replace(add, info=None, priorities=()))
    assert sim.figures().down_rate == 0
    sim.engine.steer(add.transfer, Steering(down_max=16_384))
    sim.engine.remove(add.transfer)
    with pytest.raises(NotThere):
        await sim.engine.read(add.transfer, 0)
    await asyncio.sleep(0)
    assert sim.pieces == []
