"""Reports that say nothing new are taken all at once, and refused for all the same reasons as others."""

import datetime as dt

from msgspec.structs import replace

from control.plane import Plane
from control.transfers import quiet
from control.transfers.model import Transfer
from control.transfers.quiet import Quiet
from control.transfers.record import PROGRESS_WRITTEN_S
from tests.support.fleet import FakeAgent, Wanted, add_transfer, claimed, read_agent, read_transfer
from wire.clock import utcnow
from wire.ids import TransferId
from wire.messages import Claimed, Rates, Report
from wire.states import Intent, Phase, TransferState

LONG_AGO = dt.timedelta(days=1)


async def two(plane: Plane) -> tuple[Wanted, Wanted, FakeAgent]:
    first, agent = await claimed(plane, 10)
    second = await add_transfer(plane, 10, pool=agent.pool)
    assert isinstance(await agent.claim(second.transfer), Claimed)
    await agent.sync(agent.report(first.transfer), agent.report(second.transfer))
    return first, second, agent


async def taken(plane: Plane, agent: FakeAgent, *reports: Report) -> set[TransferId]:
    row = await read_agent(plane, agent.id)
    async with plane.working() as tx:
        said = (Quiet(report, TransferState.RUNNING) for report in reports)
        return {TransferId(each) for each in await quiet.take(tx, row, said, utcnow() - LONG_AGO)}


async def test_all_their_revs_are_taken_and_all_hear_that_they_go_on(plane: Plane) -> None:
    first, second, agent = await two(plane)
    synced = await agent.sync(agent.report(first.transfer), agent.report(second.transfer))
    assert {(v.transfer, v.standing, v.intent, v.go) for v in synced.verdicts} == {
        (first.transfer, "ok", Intent.RUN, True),
        (second.transfer, "ok", Intent.RUN, True),
    }
    assert [(await read_transfer(plane, each.transfer)).rev for each in (first, second)] == [3, 2]


async def test_one_of_an_older_rev_epoch_or_boot_is_not_taken(plane: Plane) -> None:
    first, second, agent = await two(plane)
    report, other = agent.report(first.transfer), agent.report(second.transfer)
    assert await taken(plane, agent, report, other) == {first.transfer, second.transfer}
    assert await taken(plane, agent, replace(report, rev=report.rev - 1), other) == {second.transfer}
    assert await taken(plane, agent, replace(report, epoch=0), replace(other, epoch=9)) == set()
    agent.reboot()
    await agent.sync()
    assert await taken(plane, agent, report, other) == set()


async def test_what_says_something_or_is_wanted_no_more_is_looked_at(plane: Plane) -> None:
    first, second, agent = await two(plane)
    done = agent.report(first.transfer, done=True)
    async with plane.working() as tx:
        (await tx.get_one(Transfer, second.transfer)).intent = Intent.STOP
    assert await taken(plane, agent, done, agent.report(second.transfer)) == set()
    (verdict,) = (await agent.sync(agent.report(second.transfer))).verdicts
    assert verdict.intent is Intent.STOP
    assert (await agent.sync(agent.report(first.transfer, phase=Phase.TAIL))).verdicts
    assert (await read_transfer(plane, first.transfer)).state is TransferState.TAIL


async def test_one_that_goes_by_an_older_steer_or_is_paused_is_looked_at(plane: Plane) -> None:
    first, second, agent = await two(plane)
    async with plane.working() as tx:
        (await tx.get_one(Transfer, first.transfer)).steer_rev = 3
        (await tx.get_one(Transfer, second.transfer)).intent = Intent.PAUSE
    reports = agent.report(first.transfer), agent.report(second.transfer)
    assert await taken(plane, agent, *reports) == set()
    by = {verdict.transfer: verdict for verdict in (await agent.sync(*reports)).verdicts}
    assert (steer := by[first.transfer].steer) is not None
    assert steer.rev == 3
    assert by[second.transfer].intent is Intent.PAUSE
    assert await taken(plane, agent, replace(agent.report(first.transfer), steer=3)) == {first.transfer}


async def test_progress_is_still_written_once_it_is_due(plane: Plane) -> None:
    first, agent = await claimed(plane, 1_000)
    more = replace(agent.report(first.transfer), rates=Rates(down_bytes=700))
    await agent.sync(more)
    assert (await read_transfer(plane, first.transfer)).down_bytes == 0
    later = utcnow() + dt.timedelta(seconds=PROGRESS_WRITTEN_S + 1)
    await agent.sync(replace(more, rev=more.rev + 1), now=later)
    assert (await read_transfer(plane, first.transfer)).down_bytes == 700
