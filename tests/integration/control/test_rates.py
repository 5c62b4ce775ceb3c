"""Rates are counted once for all api processes, whoever is asked; each is one statement, and refusals often none."""

import asyncio
import datetime as dt
import secrets

import pytest
from sqlalchemy import delete, select

from control.accounts import throttle
from control.accounts.model import Rate
from control.accounts.throttle import Rule, Throttle, Throttled
from control.loops import retention
from control.plane import Plane
from tests.support.control import Api, magnet, serving
from wire.clock import utcnow


def some_rule(times: int, at_once: int = 1) -> Rule:
    return Rule(f"test-{secrets.token_hex(4)}", times, 60, at_once)


async def admitted(throttling: Throttle, rule: Rule, tries: int, now: dt.datetime) -> int:
    async def one() -> bool:
        try:
            await throttling.hit(rule, "a", now=now)
        except Throttled:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(one()) for _ in range(tries)]
    return sum(task.result() for task in asked)


@pytest.mark.parametrize("at_once", [1, 4])
async def test_two_processes_together_let_through_what_the_rule_says_and_no_more(plane: Plane, at_once: int) -> None:
    rule, now, here, there = some_rule(10, at_once), utcnow(), Throttle(plane.db), Throttle(plane.db)
    async with asyncio.TaskGroup() as group:
        each = [group.create_task(admitted(process, rule, 20, now)) for process in (here, there)]
    assert sum(task.result() for task in each) == 10
    await here.hit(rule, "b", now=now)
    scaled = Throttle(plane.db, scale=2)
    assert await admitted(scaled, rule, 30, now) == 10, "twice as many"


async def test_who_is_half_as_fast_as_allowed_is_never_refused_for_what_a_process_took_ahead(
    plane: Plane,
) -> None:
    rule, now, process = some_rule(60, 10), utcnow(), Throttle(plane.db)
    for second in range(0, 60, 2):  # half as fast as the rule allows
        await process.hit(rule, "a", now=now + dt.timedelta(seconds=second))


async def test_a_window_moves_on(plane: Plane) -> None:
    rule, now, process = some_rule(10), utcnow(), Throttle(plane.db)
    assert await admitted(process, rule, 11, now) == 10
    assert await admitted(process, rule, 11, now + dt.timedelta(seconds=59)) == 0
    assert await admitted(process, rule, 11, now + dt.timedelta(seconds=90)) == 5, "half of them are still inside"
    assert await admitted(process, rule, 11, now + dt.timedelta(seconds=300)) == 10


async def test_who_is_refused_hears_when_to_come_back_and_comes_in_then(plane: Plane) -> None:
    rule, now, process = some_rule(2), utcnow(), Throttle(plane.db)
    assert (await process.hit(rule, "a", now=now)).left == 1
    await process.hit(rule, "a", now=now)
    with pytest.raises(Throttled) as refused:
        await process.hit(rule, "a", now=now)
    assert refused.value.headers["RateLimit-Policy"] == f'"{rule.name}";q=2;w=60'
    wait_s = refused.value.retry_after_s
    assert wait_s is not None
    await process.hit(rule, "a", now=now + dt.timedelta(seconds=wait_s))


async def test_a_process_refuses_by_itself_what_it_knows_to_be_too_much(plane: Plane) -> None:
    rule, now, process = some_rule(1), utcnow(), Throttle(plane.db)
    assert await admitted(process, rule, 2, now) == 1
    async with plane.working() as tx:
        await tx.execute(delete(Rate).where(Rate.key == f"{rule.name}/a"))
    assert await admitted(process, rule, 5, now) == 0, "or it would have asked"
    assert await admitted(Throttle(plane.db), rule, 5, now) == 1


async def test_who_read_the_clock_before_the_first_one_was_counted_comes_in_as_well(plane: Plane) -> None:
    rule, now, process = some_rule(3), utcnow(), Throttle(plane.db)
    earlier = now - dt.timedelta(milliseconds=30)
    await process.hit(rule, "a", now=now)
    assert await process.has_room(rule, "a", now=earlier)
    assert await Throttle(plane.db).has_room(rule, "a", now=earlier)
    assert await admitted(process, rule, 5, earlier) == 2


async def test_where_the_rules_let_less_through_what_was_taken_ahead_is_good_for_longer(plane: Plane) -> None:
    rule, now, process = some_rule(600, 10), utcnow(), Throttle(plane.db, scale=0.02)  # 12 a minute
    for second in range(12):
        await process.hit(rule, "a", now=now + dt.timedelta(seconds=second))


async def test_looking_counts_nothing(plane: Plane) -> None:
    rule, now, process = some_rule(1), utcnow(), Throttle(plane.db)
    for _ in range(3):
        await process.check(rule, "a", now=now)
    await process.hit(rule, "a", now=now)
    other = Throttle(plane.db)
    assert not await other.has_room(rule, "a", now=now)
    with pytest.raises(Throttled):
        await other.check(rule, "a", now=now)


async def test_what_is_over_is_forgotten(plane: Plane) -> None:
    rule, now = some_rule(1), utcnow()
    await Throttle(plane.db).hit(rule, "a", now=now)
    for seconds, kept in ((119, True), (121, False)):
        await retention.step(plane, now + dt.timedelta(seconds=seconds))
        async with plane.working() as tx:
            found = await tx.scalar(select(Rate.key).where(Rate.key == f"{rule.name}/a"))
        assert (found is not None) is kept


async def test_every_answer_says_where_one_stands(api: Api, plane: Plane) -> None:
    async with serving(plane) as url, Api(url, plane, api.databases).member() as http:
        listed = await http.get("/api/v1/jobs")
        made = await http.post("/api/v1/jobs", json={"magnet": magnet("ab")})
        http.cookies.clear()
        somebody = await http.get("/api/v1/jobs", headers={"Authorization": "Bearer nonsense"})
    assert listed.headers["RateLimit-Policy"] == f'"read";q={throttle.READ.times};w=60'
    assert made.headers["RateLimit-Policy"] == '"add-job";q=300;w=60, "write";q=600;w=60'
    assert somebody.headers["RateLimit-Policy"].startswith('"anybody";')
