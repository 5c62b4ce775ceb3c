"""Loops: each reads the world and closes one gap, whether it was nudged or not."""

import asyncio
import datetime as dt

import msgspec
from prometheus_client import REGISTRY
from sqlalchemy import func, select

from bus import pull
from bus.jetstream import call
from bus.message import Message as Heard
from control import outbox
from control.accounts.model import Answer
from control.audit.service import Actor
from control.fleet import service
from control.fleet.model import EnrolToken
from control.jobs.model import Job
from control.loops import dispatch, driver, ensure, finish, gauges, lost, purge, relay, retention
from control.loops.driver import Loop
from control.outbox import Message
from control.plane import Plane
from control.storage.keys import prefix
from control.torrents.model import Torrent
from control.transfers.model import Tombstone, Transfer
from tests.integration.fleet.conftest import TIME_SCALE
from tests.support.fleet import (
    SLOTS,
    add_agent,
    add_transfer,
    claimed,
    new_pool,
    read_agent,
    read_job,
    read_transfer,
)  # fmt: skip
from tests.support.until import until
from wire.clock import utcnow
from wire.events import JobEvent
from wire.ids import JobId, OrgId, TransferId, new_id
from wire.messages import About, Offer
from wire.states import AgentState, Intent, JobState, TransferState
from wire.subjects import EVENTS, WORK, events_of
from wire.units import DAY_S

LIMIT = 10
"""Of one organisation, at work at once."""


async def states(plane: Plane, *transfers: TransferId) -> list[TransferState]:
    return [(await read_transfer(plane, transfer)).state for transfer in transfers]


async def empty_outbox(plane: Plane) -> None:
    while await relay.step(plane, utcnow()):
        pass
    async with plane.db.working() as tx:
        assert await tx.scalar(select(func.count()).select_from(Message)) == 0


async def test_work_is_offered_only_while_somebody_can_take_it(plane: Plane) -> None:
    pool = new_pool()
    wanted = await add_transfer(plane, 10, pool=pool)
    await dispatch.step(plane, utcnow())
    assert await states(plane, wanted.transfer) == [TransferState.WAITING]
    agent = await add_agent(plane, pool)
    await dispatch.step(plane, utcnow() + dt.timedelta(seconds=plane.settings.lease_s))  # long silent by then
    assert await states(plane, wanted.transfer) == [TransferState.WAITING]
    await agent.sync(slots=0)
    await dispatch.step(plane, utcnow())
    assert await states(plane, wanted.transfer) == [TransferState.WAITING]
    await agent.sync()
    await dispatch.step(plane, utcnow())
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.offer_no) == (TransferState.OFFERED, 1)


async def test_organisations_share_the_slots_and_keep_to_their_limits(plane: Plane) -> None:
    pool = new_pool()
    first = await add_transfer(plane, 10, pool=pool)
    greedy = [await add_transfer(plane, 10, pool=pool, org=first.org) for _ in range(LIMIT + 3)]
    modest = await add_transfer(plane, 10, pool=pool)
    agent = await add_agent(plane, pool)
    await agent.sync(slots=2)
    await dispatch.step(plane, utcnow())
    assert await states(plane, first.transfer, modest.transfer) == [TransferState.OFFERED] * 2
    await agent.sync(slots=50)
    await dispatch.step(plane, utcnow())
    offered = await states(plane, first.transfer, *(each.transfer for each in greedy))
    assert offered.count(TransferState.OFFERED) == LIMIT


async def test_what_was_offered_and_not_claimed_is_offered_again_under_a_new_number(plane: Plane) -> None:
    pool = new_pool()
    wanted, agent = await add_transfer(plane, 10, pool=pool), await add_agent(plane, pool)
    now = utcnow()
    await dispatch.step(plane, now)
    await dispatch.step(plane, now + dt.timedelta(seconds=1))
    assert (await read_transfer(plane, wanted.transfer)).offer_no == 1
    later = now + dt.timedelta(seconds=plane.settings.wait(plane.settings.offer_again_s) + 1)
    await agent.sync(now=later)
    await dispatch.step(plane, later)
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.offer_no) == (TransferState.OFFERED, 2)


async def test_a_retry_waits_its_time(plane: Plane) -> None:
    pool = new_pool()
    wanted = await add_transfer(plane, 10, pool=pool)
    await add_agent(plane, pool)
    now = utcnow()
    async with plane.working() as tx:
        (await tx.get_one(Transfer, wanted.transfer)).not_before = now + dt.timedelta(seconds=1)
    await dispatch.step(plane, now)
    assert await states(plane, wanted.transfer) == [TransferState.WAITING]
    await dispatch.step(plane, now + dt.timedelta(seconds=1.5))
    assert await states(plane, wanted.transfer) == [TransferState.OFFERED]


async def test_one_that_a_bug_has_put_where_it_may_not_be_keeps_no_other_from_its_turn(plane: Plane) -> None:
    pool = new_pool()
    broken, sound = [await add_transfer(plane, 10, pool=pool) for _ in range(2)]
    agent = await add_agent(plane, pool)
    await agent.sync()
    async with plane.working() as tx:
        (await tx.get_one(Job, broken.job)).state = JobState.DOWNLOADING
    before = passed_over()
    await dispatch.step(plane, utcnow())
    assert await states(plane, broken.transfer, sound.transfer) == [TransferState.WAITING, TransferState.OFFERED]
    assert passed_over() == before + 1
    assert (await read_job(plane, broken.job)).state is JobState.DOWNLOADING


def passed_over() -> float:
    return REGISTRY.get_sample_value("control_loop_failures_total", {"loop": "dispatch"}) or 0.0


async def test_a_lost_agents_transfers_go_back_to_the_queue(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    lively = await add_agent(plane, agent.pool)
    later = utcnow() + dt.timedelta(seconds=plane.settings.wait(plane.settings.lease_s) + 0.5)
    await lively.sync(now=later)
    await asyncio.wait_for(_until_postgres_is_old_enough(plane), 30)
    await lost.step(plane, later)
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.agent_id) == (TransferState.WAITING, None)
    assert (await read_agent(plane, agent.id)).state is AgentState.LOST
    assert (await read_agent(plane, lively.id)).state is AgentState.READY
    (verdict,) = (await agent.sync(agent.report(wanted.transfer))).verdicts  # it was only slow
    assert verdict.standing == "stale"


async def _until_postgres_is_old_enough(plane: Plane) -> None:
    lease = dt.timedelta(seconds=plane.settings.wait(plane.settings.lease_s))
    while True:
        async with plane.db.working() as tx:
            if not await lost._could_not_hear(tx, lease):
                return
        await asyncio.sleep(0.05)


async def test_events_leave_in_order_and_carry_their_correlation(plane: Plane) -> None:
    await empty_outbox(plane)
    heard: list[tuple[int, str | None]] = []
    org, job, now = OrgId(new_id()), JobId(new_id()), utcnow()

    async def listen(message: Heard) -> None:
        event = msgspec.json.decode(message.data, type=JobEvent)
        heard.append((event.version, message.headers.get("Seedlift-Correlation")))

    subscription = await plane.app_bus.subscribe(events_of(org), listen)
    async with plane.working() as tx:
        for version in range(1, 41):
            event = JobEvent(job=job, version=version, state=JobState.QUEUED, at=now)
            outbox.put(tx, outbox.of_event(org, event, "c-1"))
    await empty_outbox(plane)
    await until(lambda: len(heard) == 40)
    await plane.app_bus.unsubscribe(subscription)
    assert heard == [(version, "c-1") for version in range(1, 41)]


async def test_deleting_both_streams_costs_no_message(plane: Plane) -> None:
    await empty_outbox(plane)
    pool = "default"
    offer = Offer(TransferId(new_id()), 1, "c-2")
    await call(plane.app_bus, f"STREAM.DELETE.{EVENTS}", None, msgspec.Struct)
    await call(plane.fleet_bus, f"STREAM.DELETE.{WORK}", None, msgspec.Struct)
    async with plane.working() as tx:
        event = JobEvent(job=JobId(new_id()), version=1, state=JobState.QUEUED, at=utcnow())
        outbox.put(tx, outbox.of_event(new_id(), event, "c-2"))
        outbox.put_offer(tx, pool, offer, utcnow())
    await relay.step(plane, utcnow())
    async with plane.db.working() as tx:
        assert await tx.scalar(select(func.count()).select_from(Message)) == 2
    await ensure.step(plane, utcnow())
    await empty_outbox(plane)
    delivery = await pull.pull(plane.fleet_bus, pool, 0, 5)
    assert delivery is not None
    assert msgspec.json.decode(delivery.data, type=Offer) == offer
    await delivery.ack()


async def test_one_process_at_a_time_is_in_a_loop(plane: Plane) -> None:
    async with plane.db.working() as mine, plane.db.working() as theirs:
        assert await driver.alone(mine, "tried")
        assert not await driver.alone(theirs, "tried")
    async with plane.db.working() as next_one:
        assert await driver.alone(next_one, "tried")


async def test_a_loop_is_turned_by_a_nudge_and_outlives_its_failures(plane: Plane) -> None:
    turns: list[dt.datetime] = []

    async def step(plane: Plane, now: dt.datetime) -> bool:
        turns.append(now)
        if len(turns) == 2:
            raise RuntimeError("as a bug would")
        return False

    async with asyncio.TaskGroup() as group:
        turning = group.create_task(driver.turn(plane, Loop("tried", step, tick_s=3600 * TIME_SCALE)))
        await until(lambda: len(turns) == 1)
        await plane.nudge("tried")
        await until(lambda: len(turns) == 3)  # failed, and came back by itself
        await plane.nudge("tried")
        await until(lambda: len(turns) == 4)
        turning.cancel()


async def test_removed_jobs_leave_nothing_behind(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10)
    _, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, files=files, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    await purge.step(plane, utcnow())
    assert await plane.store.listed(prefix(wanted.org, wanted.torrent)) != []
    async with plane.working() as tx:
        (await tx.get_one(Job, wanted.job)).removed_at = utcnow()
    now = utcnow()
    await purge.step(plane, now)
    assert await plane.store.listed(prefix(wanted.org, wanted.torrent)) == []
    async with plane.db.working() as tx:
        assert await tx.get(Job, wanted.job) is None
        assert await tx.get(Transfer, wanted.transfer) is None
        assert await tx.get(Torrent, wanted.torrent) is None
        assert await tx.get(Tombstone, prefix(wanted.org, wanted.torrent)) is not None
    await purge.step(plane, now + dt.timedelta(seconds=1000))
    async with plane.db.working() as tx:
        assert await tx.get(Tombstone, prefix(wanted.org, wanted.torrent)) is None


async def test_a_purge_spares_what_was_asked_for_again(plane: Plane) -> None:
    """The same torrent, taken up again while the tombstone of its cancelled transfer still stands."""
    wanted, agent = await claimed(plane, 10)
    async with plane.working() as tx:
        (await tx.get_one(Transfer, wanted.transfer)).intent = Intent.STOP
        (await tx.get_one(Job, wanted.job)).intent = Intent.STOP
    await agent.sync(agent.report(wanted.transfer, handover=True))
    now = utcnow()
    await purge.step(plane, now)
    async with plane.working() as tx:
        transfer = await tx.get_one(Transfer, wanted.transfer)
        assert (transfer.state, transfer.go) == (TransferState.STOPPED, False)
        transfer.intent, transfer.state, transfer.ended_at = Intent.RUN, TransferState.WAITING, None
        (await tx.get_one(Job, wanted.job)).intent = Intent.RUN
    agent.revs.clear()
    await agent.claim(wanted.transfer)
    _, files = await agent.put_everything(wanted)
    await purge.step(plane, now + dt.timedelta(seconds=1000))  # the last sweep
    assert await plane.store.listed(prefix(wanted.org, wanted.torrent)) == [files[0].key]


async def test_old_rows_go(plane: Plane) -> None:
    now, day = utcnow(), dt.timedelta(days=1)
    org = (await add_transfer(plane, pool=new_pool(), go=False)).org
    async with plane.working() as tx:
        for key, age in (("old", 25), ("young", 23)):
            created = now - dt.timedelta(hours=age)
            tx.add(
                Answer(
                    principal=str(org), key=key, org_id=org, body_hash=b"", status=201, answer=b"", created_at=created
                )
            )
        for name, ended in ((b"old" + org.bytes, now - 8 * day), (b"new" + org.bytes, now - 6 * day)):
            tx.add(EnrolToken(token_hash=name, pool="p", created_at=now - 9 * day, expires_at=ended))
    await retention.step(plane, now)
    async with plane.db.working() as tx:
        kept = await tx.scalars(select(Answer.key).where(Answer.principal == str(org)))
        assert list(kept) == ["young"]
        assert await tx.get(EnrolToken, b"old" + org.bytes) is None
        assert await tx.get(EnrolToken, b"new" + org.bytes) is not None


async def test_gauges_count_what_is_there(plane: Plane) -> None:
    await add_transfer(plane, 10, pool=new_pool())
    await gauges.step(plane, utcnow())
    assert (REGISTRY.get_sample_value("control_transfers", {"state": "waiting"}) or 0) >= 1


async def test_gauges_tell_of_each_pools_room_and_each_agents_certificate_until_it_is_retired(plane: Plane) -> None:
    _, agent = await claimed(plane, 10)
    await agent.sync(about=About(disk_budget_bytes=7, disk_free_bytes=5))
    name = f"agent-{agent.id}"
    await gauges.step(plane, utcnow())

    def said(metric: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(metric, labels)

    assert said("control_slots", pool=agent.pool, use="taken") == 1
    assert said("control_slots", pool=agent.pool, use="free") == SLOTS - 1
    assert said("control_agent_disk_free_bytes", agent=name) == 5
    assert 0 < (said("control_certificate_seconds", whose=f"agent {name}") or 0) <= DAY_S
    assert (said("control_certificate_seconds", whose="ca") or 0) > 0
    assert (said("control_agents_outdated") or 0) >= 1  # it says that it is of version "test"
    await service.retire(plane, agent.id, None, Actor(name="person:tests"), utcnow())
    await gauges.step(plane, utcnow())
    assert said("control_slots", pool=agent.pool, use="free") is None
    assert said("control_certificate_seconds", whose=f"agent {name}") is None
