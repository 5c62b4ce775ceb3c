"""What is stored is given to peers for as long as its pool lets it, by its last agent alone, and to nobody's harm."""

import datetime as dt

import pytest
from sqlalchemy import update

from control.audit.service import Actor
from control.errors import Conflict
from control.fleet import duties, pools, service
from control.jobs import service as jobs
from control.jobs import steer
from control.jobs.schemas import EditJob, SeedingView
from control.jobs.views import view
from control.loops import dispatch, finish, purge, seeding
from control.plane import Plane
from control.plans import service as plans
from control.plans.limits import OwnLimits
from control.seeding import Seeding, SeedWhen
from control.torrents import metadata
from control.torrents.model import Torrent
from tests.support.fleet import FakeAgent, Wanted, add_agent, add_transfer, claimed, new_pool, read_job, read_transfer
from wire.clock import utcnow
from wire.messages import Claimed, Found, Rates, Verdict
from wire.states import Duty, JobState, TransferState

ACTOR = Actor(name="person:tests")
HOUR_S = 3600


async def lets(plane: Plane, pool: str, when: SeedWhen, ratio: float | None = None, seconds: int | None = None) -> None:
    async with plane.working() as tx:
        await pools.describe(tx, pool, None, Seeding(when, ratio, seconds), ACTOR, utcnow())


async def lets_by_plan(plane: Plane, wanted: Wanted, seeding: Seeding | None) -> None:
    async with plane.working() as tx:
        await plans.set_own(tx, wanted.org, OwnLimits(seeding=seeding), "A test.", ACTOR, utcnow())


async def stored(plane: Plane, pool: str) -> tuple[Wanted, FakeAgent]:
    """On a pool that seeds up to twice, for an hour."""
    await lets(plane, pool, SeedWhen.AFTER, ratio=2.0, seconds=HOUR_S)
    wanted, agent = await claimed(plane, 100, 50, pool=pool)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    return wanted, agent


async def told(
    agent: FakeAgent, wanted: Wanted, given_bytes: int = 0, *, now: dt.datetime | None = None, handover: bool = False
) -> Verdict:
    rates = Rates(given_bytes=given_bytes, up_rate=7)
    report = agent.report(wanted.transfer, rates=rates, done=True, handover=handover)
    (verdict,) = (await agent.sync(report, now=now)).verdicts
    return verdict


async def shown(plane: Plane, wanted: Wanted) -> SeedingView:
    async with plane.working() as tx:
        job = view(await jobs.get(tx, wanted.org, wanted.job))
    assert job.state is JobState.COMPLETED
    assert job.seeding is not None
    return job.seeding


async def whys(plane: Plane, wanted: Wanted) -> list[str]:
    async with plane.working() as tx:
        return [event.why for event in await jobs.events(tx, wanted.org, wanted.job, 0, 100)]


async def test_what_is_stored_is_seeded_up_to_its_ratio_and_its_job_stays_completed(plane: Plane) -> None:
    wanted, agent = await stored(plane, new_pool())
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.STORED
    verdict = await told(agent, wanted, 149)
    assert (verdict.standing, verdict.seeds) == ("ok", True)
    seen = await shown(plane, wanted)
    assert (seen.given_bytes, seen.ratio, seen.ratio_max, seen.ended_at) == (149, 0.993, 2.0, None)
    assert (await told(agent, wanted, 300)).standing == "stale"
    seen = await shown(plane, wanted)
    assert (seen.given_bytes, seen.sentence) == (300, "It has been given to peers as often as was agreed.")
    assert (await told(agent, wanted, 300)).standing == "stale"
    assert (await whys(plane, wanted))[-3:] == ["all_stored", "seeding", "seeded_ratio"]


async def test_it_ends_in_time_by_its_agents_word_or_without_any(plane: Plane) -> None:
    wanted, agent = await stored(plane, new_pool())
    silent, _ = await stored(plane, new_pool())
    later = utcnow() + dt.timedelta(seconds=HOUR_S)
    assert (await told(agent, wanted, now=later)).standing == "stale"
    await seeding.step(plane, later)
    for each in (wanted, silent):
        assert (await shown(plane, each)).sentence == "It has been given to peers for as long as was agreed."


@pytest.mark.parametrize("when", [SeedWhen.NEVER, SeedWhen.DOWNLOADING])
async def test_where_the_pool_does_not_say_so_nothing_is_seeded(plane: Plane, when: SeedWhen) -> None:
    pool = new_pool()
    await lets(plane, pool, when)
    wanted, agent = await claimed(plane, 100, pool=pool)
    assert agent.holds[wanted.transfer].steer.gives is (when is SeedWhen.DOWNLOADING)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    assert (await told(agent, wanted)).standing == "stale"
    async with plane.working() as tx:
        assert view(await jobs.get(tx, wanted.org, wanted.job)).seeding is None


async def test_another_word_of_the_pool_reaches_what_is_under_way_and_what_is_seeded(plane: Plane) -> None:
    pool = new_pool()
    seeded, agent = await stored(plane, pool)
    running = await add_transfer(plane, 10, pool=pool)
    assert isinstance(await agent.claim(running.transfer), Claimed)
    await agent.sync(agent.report(running.transfer), agent.report(seeded.transfer))
    await lets(plane, pool, SeedWhen.NEVER)
    await seeding.step(plane, utcnow())
    answer = await agent.sync(agent.report(running.transfer), agent.report(seeded.transfer))
    verdicts = {verdict.transfer: verdict for verdict in answer.verdicts}
    assert verdicts[seeded.transfer].standing == "stale"
    steered = verdicts[running.transfer].steer
    assert steered is not None
    assert (steered.rev, steered.gives) == (1, False)
    await seeding.step(plane, utcnow())
    assert (await read_transfer(plane, running.transfer)).steer_rev == 1
    await lets(plane, pool, SeedWhen.DOWNLOADING)
    await seeding.step(plane, utcnow())
    assert (await read_transfer(plane, running.transfer)).gives


async def test_of_what_pool_and_plan_say_the_stricter_counts_from_the_claim_on(plane: Plane) -> None:
    pool = new_pool()
    await lets(plane, pool, SeedWhen.AFTER, ratio=2.0, seconds=HOUR_S)
    for plan in (Seeding(SeedWhen.NEVER), Seeding(SeedWhen.AFTER, ratio=0.5, seconds=2 * HOUR_S)):
        wanted, agent = await add_transfer(plane, 100, 50, pool=pool), await add_agent(plane, pool)
        await lets_by_plan(plane, wanted, plan)
        assert isinstance(await agent.claim(wanted.transfer), Claimed)
        assert agent.holds[wanted.transfer].steer.gives is plan.gives
        parts, files = await agent.put_everything(wanted)
        await agent.sync(agent.report(wanted.transfer, parts=parts, files=files, done=True))
        await finish.step(plane, utcnow())
        assert (await told(agent, wanted, 74)).seeds is plan.goes_on
    seen = await shown(plane, wanted)
    assert (seen.ratio_max, (seen.ends_at - seen.began_at).total_seconds()) == (0.5, HOUR_S)
    assert (await told(agent, wanted, 75)).standing == "stale"


async def test_another_word_of_the_plan_reaches_what_is_under_way_and_what_is_seeded(plane: Plane) -> None:
    seeded, giver = await stored(plane, new_pool())
    running, agent = await claimed(plane, 100)
    for wanted in (seeded, running):
        await lets_by_plan(plane, wanted, Seeding(SeedWhen.NEVER))
    await seeding.step(plane, utcnow())
    assert (await told(giver, seeded)).standing == "stale"
    (verdict,) = (await agent.sync(agent.report(running.transfer))).verdicts
    assert verdict.steer is not None
    assert not verdict.steer.gives
    await lets_by_plan(plane, running, None)
    for _ in range(2):
        await seeding.step(plane, utcnow())
    mended = await read_transfer(plane, running.transfer)
    assert (mended.gives, mended.steer_rev) == (True, 2)


async def test_an_agent_that_begins_anew_goes_on_seeding_and_nothing_given_is_forgotten(plane: Plane) -> None:
    wanted, agent = await stored(plane, new_pool())
    await told(agent, wanted, 100)
    epoch = agent.holds[wanted.transfer].epoch
    await agent.sync(leaving=True)
    agent.reboot()
    (verdict,) = (await agent.sync(found=[Found(wanted.transfer, epoch)], held=[])).verdicts
    assert verdict.spec is not None
    assert (verdict.standing, verdict.seeds, verdict.spec.epoch, verdict.spec.files) == ("adopt", True, epoch, [0, 1])
    assert (await told(agent, wanted, 50)).seeds
    assert (await shown(plane, wanted)).given_bytes == 150


@pytest.mark.parametrize("restarted", [True, False])
async def test_who_knows_nothing_of_it_has_let_it_go(plane: Plane, restarted: bool) -> None:
    wanted, agent = await stored(plane, new_pool())
    await told(agent, wanted)
    if restarted:
        agent.reboot()
    agent.holds.clear()
    await agent.sync()
    assert (await shown(plane, wanted)).sentence is not None


async def test_an_agent_that_needs_its_disk_gives_way_to_work(plane: Plane) -> None:
    wanted, agent = await stored(plane, new_pool())
    assert (await told(agent, wanted, handover=True)).standing == "stale"
    assert "its disk for others" in str((await shown(plane, wanted)).sentence)


@pytest.mark.parametrize("how", ["drained", "retired"])
async def test_who_is_drained_or_retired_seeds_nothing(plane: Plane, how: str) -> None:
    wanted, agent = await stored(plane, new_pool())
    if how == "drained":
        await duties.assign(plane, agent.id, Duty.DRAIN, None, ACTOR, utcnow())
        assert (await told(agent, wanted)).standing == "stale"
    else:
        await service.retire(plane, agent.id, None, ACTOR, utcnow())
        await seeding.step(plane, utcnow())
    assert (await shown(plane, wanted)).ended_at is not None


async def test_a_removed_job_is_not_seeded_any_more_unless_its_data_is_kept(plane: Plane) -> None:
    for keep_data, standing in ((True, "ok"), (False, "stale")):
        wanted, agent = await stored(plane, new_pool())
        async with plane.working() as tx:
            await steer.remove(tx, wanted.org, wanted.job, ACTOR, utcnow(), keep_data=keep_data)
        assert (await told(agent, wanted)).standing == standing
        await purge.step(plane, utcnow())


async def test_what_is_wanted_again_is_claimed_under_a_new_epoch_and_the_seed_is_over(plane: Plane) -> None:
    pool = new_pool()
    await lets(plane, pool, SeedWhen.AFTER)
    wanted, agent = await claimed(plane, 100, 50, pool=pool)
    async with plane.working() as tx:
        await steer.edit(tx, wanted.org, wanted.job, EditJob(files=[0]), ACTOR, utcnow())
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts
    assert verdict.steer is not None
    parts, files = await agent.put_everything(Wanted(wanted.org, wanted.torrent, wanted.transfer, wanted.job, (100,)))
    done = agent.report(wanted.transfer, parts=parts, files=files, done=True, steer=verdict.steer.rev)
    await agent.sync(done)
    await finish.step(plane, utcnow())
    assert (await told(agent, wanted)).seeds
    async with plane.working() as tx:
        await steer.edit(tx, wanted.org, wanted.job, EditJob(files=None), ACTOR, utcnow())
    assert (await told(agent, wanted)).standing == "stale"
    await dispatch.step(plane, utcnow())
    assert isinstance(await agent.claim(wanted.transfer), Claimed)
    assert agent.holds[wanted.transfer].epoch == 2
    assert (await read_job(plane, wanted.job)).state is JobState.QUEUED


async def test_nobody_elses_word_moves_a_seed(plane: Plane) -> None:
    wanted, agent = await stored(plane, new_pool())
    other = await add_agent(plane, agent.pool)
    other.holds[wanted.transfer] = agent.holds[wanted.transfer]
    assert (await told(other, wanted, 10**9)).standing == "stale"
    assert (await told(agent, wanted, 1)).seeds
    assert (await shown(plane, wanted)).given_bytes == 1


async def test_its_agent_alone_reads_what_it_is_of_and_as_long_as_it_is_open(plane: Plane) -> None:
    """A new boot has the bytes on its disk, and must ask which these are."""
    wanted, agent = await stored(plane, new_pool())
    epoch = agent.holds[wanted.transfer].epoch
    async with plane.working() as tx:
        await tx.execute(update(Torrent).where(Torrent.id == wanted.torrent).values(info=b"d4:name1:xe"))
    assert await metadata.raw_info(plane, agent.id, wanted.transfer, epoch) == b"d4:name1:xe"
    other = await add_agent(plane, agent.pool)
    for who, at in ((other.id, epoch), (agent.id, epoch - 1)):
        with pytest.raises(Conflict):
            await metadata.raw_info(plane, who, wanted.transfer, at)
    assert (await told(agent, wanted, 10**9)).standing == "stale"
    with pytest.raises(Conflict):
        await metadata.raw_info(plane, agent.id, wanted.transfer, epoch)
