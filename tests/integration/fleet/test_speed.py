"""An organisation's limit of speed is one, however many transfers and agents there are."""

import pytest

from control.accounts import organisations
from control.audit.service import Actor
from control.jobs import steer
from control.loops import shares
from control.plane import Plane
from control.speed import LimitSpeed
from control.transfers.shares import due
from tests.support.fleet import FakeAgent, Wanted, add_agent, add_transfer, new_pool, read_transfer
from wire.clock import utcnow
from wire.ids import OrgId
from wire.messages import Claimed, Found, Pace, Rates
from wire.units import MIB

ACTOR = Actor(name="person:tests")


async def limit(plane: Plane, org: OrgId, down_max: int = 0, up_max: int = 0) -> None:
    async with plane.working() as tx:
        await organisations.limit(tx, org, LimitSpeed(down_max, up_max), ACTOR, utcnow())


async def heard(agent: FakeAgent, wanted: Wanted, *, down_rate: int = 0, up_rate: int = 0) -> Pace:
    rates = Rates(down_rate=down_rate, up_rate=up_rate)
    (verdict,) = (await agent.sync(agent.report(wanted.transfer, rates=rates))).verdicts
    return verdict.pace


async def on_two_agents(plane: Plane) -> list[tuple[Wanted, FakeAgent]]:
    """Two transfers of one organisation."""
    pool = new_pool()
    first = await add_transfer(plane, 10, pool=pool)
    second = await add_transfer(plane, 10, pool=pool, org=first.org)
    both = [(wanted, await add_agent(plane, pool)) for wanted in (first, second)]
    for wanted, agent in both:
        assert isinstance(await agent.claim(wanted.transfer), Claimed)
        await agent.sync(agent.report(wanted.transfer))
    return both


async def test_a_limit_is_shared_over_agents_and_what_one_leaves_the_other_gets(plane: Plane) -> None:
    (slow, here), (fast, there) = await on_two_agents(plane)
    assert await heard(here, slow) == Pace()
    await limit(plane, slow.org, 8 * MIB, 2 * MIB)
    await shares.step(plane, utcnow())
    assert await heard(here, slow, down_rate=MIB) == Pace(4 * MIB, MIB)
    assert await heard(there, fast, down_rate=4 * MIB, up_rate=MIB) == Pace(4 * MIB, MIB)
    await shares.step(plane, utcnow())
    left = await heard(here, slow, down_rate=MIB)
    got = await heard(there, fast)
    assert got.down_max > 6 * MIB
    assert left.down_max + got.down_max == 8 * MIB
    await limit(plane, slow.org)
    await shares.step(plane, utcnow())
    assert await heard(here, slow) == await heard(there, fast) == Pace()


async def test_a_quiet_report_hears_its_share_and_says_its_rates_too(plane: Plane) -> None:
    """Nothing but the share has changed: it is answered without its row's being loaded."""
    (wanted, agent), _ = await on_two_agents(plane)
    await heard(agent, wanted)
    await limit(plane, wanted.org, 8 * MIB)
    await shares.step(plane, utcnow())
    assert await heard(agent, wanted, down_rate=123) == Pace(4 * MIB, 0)
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.down_rate, transfer.steer_rev) == (123, 0)


async def test_whoever_is_claimed_next_has_an_even_part_from_the_first_byte(plane: Plane) -> None:
    (first, agent), _ = await on_two_agents(plane)
    await limit(plane, first.org, 9 * MIB)
    third = await add_transfer(plane, 10, pool=agent.pool, org=first.org)
    answer = await agent.claim(third.transfer)
    assert isinstance(answer, Claimed)
    assert answer.spec.pace == Pace(3 * MIB, 0)


async def test_an_adopted_transfer_has_its_share_again(plane: Plane) -> None:
    (wanted, agent), _ = await on_two_agents(plane)
    await limit(plane, wanted.org, 8 * MIB)
    epoch = agent.holds[wanted.transfer].epoch
    agent.reboot()
    (verdict,) = (await agent.sync(found=[Found(wanted.transfer, epoch)], held=[])).verdicts
    assert verdict.spec is not None
    assert verdict.spec.pace == Pace(4 * MIB, 0)


@pytest.mark.parametrize("how", ["paused", "handed over"])
async def test_who_does_not_run_has_no_part(plane: Plane, how: str) -> None:
    (idle, here), (busy, there) = await on_two_agents(plane)
    await limit(plane, idle.org, 8 * MIB)
    if how == "paused":
        async with plane.working() as tx:
            await steer.pause(tx, idle.org, idle.job, ACTOR, utcnow())
    else:
        await here.sync(here.report(idle.transfer, handover=True))
    await shares.step(plane, utcnow())
    assert await heard(there, busy) == Pace(8 * MIB, 0)


async def test_once_shared_nothing_is_written_again(plane: Plane) -> None:
    both = await on_two_agents(plane)
    org = both[0][0].org
    await limit(plane, org, 8 * MIB)
    await shares.step(plane, utcnow())
    for wanted, agent in both:
        await heard(agent, wanted, down_rate=4 * MIB)
    async with plane.working() as tx:
        assert [each for each in await due(tx) if each.sharing.org == org] == []


async def test_one_organisations_limit_is_nothing_to_another(plane: Plane) -> None:
    (wanted, _), _ = await on_two_agents(plane)
    (other, agent), _ = await on_two_agents(plane)
    await limit(plane, wanted.org, MIB)
    await shares.step(plane, utcnow())
    assert await heard(agent, other) == Pace()
