"""Job and transfer against a small model: whatever intents, claims, reports, restarts and clocks come, both agree."""

import asyncio
import datetime as dt
from collections.abc import Coroutine
from types import ModuleType
from typing import Any, TypeVar

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace
from sqlalchemy import select, update

from control.audit.service import Actor
from control.config import Settings
from control.db import Tx
from control.errors import Conflict
from control.fleet.model import Agent
from control.jobs import follow, steer
from control.jobs.model import Event
from control.loops import dispatch, finish, lost
from control.plane import Plane
from control.transfers import claim, record, release, stored
from control.transfers.model import Transfer
from tests.support.fleet import (
    FakeAgent,
    Wanted,
    add_agent,
    add_transfer,
    content,
    new_pool,
    read_job,
    read_objects,
    read_transfer,
    wants_of,
)  # fmt: skip
from wire.clock import utcnow
from wire.messages import Claimed, Failure, FileStored, Found, Refused, Report, Verdict
from wire.states import JOB_MOVES, ON_AGENT, TRANSFER_ENDED, TRANSFER_MOVES, AgentState, Intent, JobState, Phase
from wire.states import TransferState as T

EXAMPLES, STEPS = 10, 30
"""A quarter of a minute."""
EXAMPLES_WITH_BUG = 100
"""The first that fails is the last; by luck it comes late, since ids and pauses are drawn as in life."""
STEP_S = 60.0
"""Far more than a step takes on the slowest machine: it says that something hangs."""
SIZES = (40, 30)
TRIES = 5
LEASE = dt.timedelta(seconds=3)
LONGEST_WAIT = dt.timedelta(seconds=72)
"""Ten minutes and a fifth, ten times as fast: who is to wait for longer was told so by a clock that was ahead."""
ACTOR = Actor(name="person:tests")
AGENTS = st.sampled_from((0, 1))
AFTER_FAILURE = release.after_failure
V = TypeVar("V")

OF_PHASE = {
    Phase.FETCHING_METADATA: T.FETCHING_METADATA,
    Phase.HELD: T.HELD,
    Phase.RUNNING: T.RUNNING,
    Phase.TAIL: T.TAIL,
}
PAUSABLE = {JobState.SUBMITTED, JobState.QUEUED, JobState.DOWNLOADING, JobState.UPLOADING}
VERBS = {
    "pause": (steer.pause, Intent.PAUSE, PAUSABLE),
    "resume": (steer.resume, Intent.RUN, {JobState.PAUSED}),
    "cancel": (steer.cancel, Intent.STOP, PAUSABLE | {JobState.PAUSED}),
    "retry": (steer.retry, Intent.RUN, {JobState.FAILED, JobState.CANCELLED}),
}


class Model:
    """What the rules of the design make of one transfer and its one job."""

    def __init__(self) -> None:
        self.intent = Intent.RUN
        self.state = T.WAITING
        self.holder: int | None = None
        self.epoch = self.tries = 0
        self.done = self.reported = False
        self.stored: set[int] = set()

    @property
    def job(self) -> JobState:
        if self.intent is Intent.STOP:
            return JobState.CANCELLED
        if self.state is T.STORED:
            return JobState.COMPLETED
        if self.intent is Intent.PAUSE:
            return JobState.PAUSED
        known = {T.FAILED: JobState.FAILED, T.RUNNING: JobState.DOWNLOADING, T.TAIL: JobState.UPLOADING}
        return known.get(self.state, JobState.QUEUED if self.epoch else JobState.SUBMITTED)

    def leaves(self, to: T | None = None) -> None:
        self.state = to or (T.STOPPED if self.intent is Intent.STOP else T.WAITING)
        self.holder, self.done = None, False

    def taken(self, agent: int) -> None:
        self.state, self.holder, self.done, self.reported = T.CLAIMED, agent, False, False
        self.epoch += 1
        self.tries += 1

    def loses(self) -> None:
        """Its agent died, or lost it."""
        spent = self.intent is Intent.RUN and self.tries >= TRIES
        self.leaves(T.FAILED if spent else None)

    def fails(self, *, retryable: bool) -> None:
        last = self.intent is Intent.RUN and (not retryable or self.tries >= TRIES)
        self.leaves(T.FAILED if last else None)

    def lets_go(self) -> None:
        self.tries = max(0, self.tries - 1)
        self.leaves()

    def wants(self, intent: Intent) -> None:
        resumed = self.intent is Intent.PAUSE and intent is Intent.RUN
        self.intent = intent
        if self.state in (T.FAILED, T.STOPPED) and intent is Intent.RUN:
            self.state, self.tries = T.WAITING, 0
        elif self.state in (T.WAITING, T.OFFERED) and intent is Intent.STOP:
            self.state = T.STOPPED
        elif self.state is T.OFFERED and intent is Intent.PAUSE:
            self.state = T.WAITING
        elif resumed and self.state not in TRANSFER_ENDED:
            self.tries = 0


class Machine(RuleBasedStateMachine):
    """Every rule does one thing to the database and the same to the model; then the two are compared."""

    plane: Plane
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now = utcnow()
        self.ready = [True, True]
        self.said: list[tuple[int, Report]] = []

    def do(self, work: Coroutine[Any, Any, V]) -> V:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(STEP_S)

    @initialize()
    def begin(self) -> None:
        pool = new_pool()
        self.wanted: Wanted = self.do(add_transfer(self.plane, *SIZES, pool=pool))
        self.agents: list[FakeAgent] = [self.do(add_agent(self.plane, pool)) for _ in range(2)]

    # People.

    @rule(verb=st.sampled_from(sorted(VERBS)))
    def asks(self, verb: str) -> None:
        act, intent, allowed = VERBS[verb]

        async def ask() -> bool:
            try:
                async with self.plane.working() as tx:
                    await act(tx, self.wanted.org, self.wanted.job, ACTOR, utcnow())
            except Conflict:
                return False
            return True

        assert self.do(ask()) is (self.model.job in allowed)
        if self.model.job in allowed:
            self.model.wants(intent)

    # Loops and clocks.

    @rule()
    def dispatches(self) -> None:
        for agent in (each for each, ready in zip(self.agents, self.ready, strict=True) if ready):
            self.do(agent.sync(now=self.now))
        due = self.do(read_transfer(self.plane, self.wanted.transfer)).not_before
        self.do(dispatch.step(self.plane, self.now))
        waits = self.model.state is T.WAITING and self.model.intent is Intent.RUN
        ahead = due is not None and due > self.now + LONGEST_WAIT
        if waits and any(self.ready) and (due is None or due <= self.now or ahead):
            self.model.state = T.OFFERED

    @rule()
    def finishes(self) -> None:
        self.do(finish.step(self.plane, self.now))
        orphaned = self.model.state is T.WAITING and self.model.epoch and len(self.model.stored) == len(SIZES)
        if orphaned or (self.model.done and self.model.holder is not None):
            self.model.leaves(T.STORED)

    @rule(hours=st.sampled_from((-1, 1, 24)))
    def the_clock_jumps(self, hours: int) -> None:
        self.now += dt.timedelta(hours=hours)

    @rule(agent=AGENTS, holding=st.booleans())
    def falls_silent(self, agent: int, holding: bool) -> None:
        if holding:
            self.takes(agent)
        other = self.agents[1 - agent]
        self.do(self.agents[agent].sync(now=self.now))
        self.now += LEASE
        self.do(other.sync(now=self.now))
        self.do(lost.step(self.plane, self.now))
        self.ready = [each != agent for each in (0, 1)]
        if self.model.holder == agent:
            self.model.loses()

    # Agents.

    @rule(agent=AGENTS)
    def claims(self, agent: int) -> None:
        answer = self.do(self.agents[agent].claim(self.wanted.transfer))
        model = self.model
        if model.state in TRANSFER_ENDED:
            assert answer == Refused("gone")
        elif model.state in ON_AGENT:
            assert answer == Refused("taken")
        elif model.intent is not Intent.RUN:
            assert answer == Refused("gone")
        elif not self.ready[agent]:
            assert answer == Refused("not_ready")
            model.state = T.WAITING
        else:
            assert isinstance(answer, Claimed)
            model.taken(agent)
            assert (answer.spec.epoch, set(answer.spec.files)) == (model.epoch, model.stored)

    def holds(self) -> bool:
        return self.model.holder is not None

    def takes(self, agent: int) -> bool:
        """Somebody has it then, if it is to be had."""
        if not self.holds():
            self.claims(agent)
        return self.holds()

    def says(self, **what: Any) -> Verdict:
        """By whoever holds it; and it is answered with what should be."""
        holder = self.model.holder
        assert holder is not None
        agent = self.agents[holder]
        if (phase := OF_PHASE[what["phase"]]) in TRANSFER_MOVES[self.model.state]:
            self.model.state = phase
        report = agent.report(self.wanted.transfer, **what)
        self.said.append((holder, report))
        self.model.reported = True
        (verdict,) = self.do(agent.sync(report, now=self.now)).verdicts
        assert verdict.standing == "ok"
        return verdict

    @rule(agent=AGENTS, phase=st.sampled_from(Phase))
    def reports(self, agent: int, phase: Phase) -> None:
        if self.takes(agent):
            assert self.says(phase=phase).intent is self.model.intent

    @precondition(lambda self: self.model.intent is Intent.RUN and len(self.model.stored) < len(SIZES))
    @rule(agent=AGENTS)
    def stores_a_file(self, agent: int) -> None:
        if self.takes(agent):
            self.stores(len(self.model.stored))

    def stores(self, file: int) -> None:
        agent = self.agents[self.model.holder or 0]

        async def put() -> FileStored:
            ((want, body),) = wants_of(file, content(file, SIZES[file]))
            (grant,) = await agent.grants(self.wanted.transfer, want)
            return FileStored(file, len(body), want.crc32, await agent.put(grant, body), grant.key)

        stored = self.do(put())
        self.model.stored.add(file)
        self.model.tries = 0
        self.model.done = self.model.done or len(self.model.stored) == len(SIZES)
        self.says(phase=Phase.RUNNING, files=[stored], done=len(self.model.stored) == len(SIZES))

    @rule(agent=AGENTS, retryable=st.booleans())
    def cannot(self, agent: int, retryable: bool) -> None:
        if self.takes(agent):
            self.fails(retryable=retryable)

    def fails(self, *, retryable: bool) -> None:
        self.says(phase=Phase.RUNNING, failure=Failure(f"model_{retryable}".lower(), "Said.", retryable=retryable))
        self.model.fails(retryable=retryable)

    @rule(agent=AGENTS, times=st.sampled_from((2, 2 * TRIES)))
    def is_tried_again_and_again(self, agent: int, times: int) -> None:
        for _ in range(times):
            self.cannot(agent, retryable=True)

    @rule(agent=AGENTS)
    def hands_over(self, agent: int) -> None:
        if self.takes(agent):
            self.says(phase=Phase.RUNNING, handover=True)
            self.model.lets_go()

    @rule(agent=AGENTS)
    def knows_nothing_of_it_any_more(self, agent: int) -> None:
        """As an agent does that was told to stop, or has lost it, once it has spoken of it."""
        if self.takes(agent):
            if not self.model.reported:
                self.says(phase=Phase.RUNNING)
            self.forgets()

    def forgets(self) -> None:
        agent = self.agents[self.model.holder or 0]
        agent.holds.clear()
        self.do(agent.sync(now=self.now))
        if self.model.intent is Intent.STOP:
            self.model.lets_go()
        else:
            self.model.loses()

    @rule(agent=AGENTS, finds=st.booleans())
    def begins_anew(self, agent: int, finds: bool) -> None:
        restarted, model = self.agents[agent], self.model
        known = restarted.holds.get(self.wanted.transfer)
        found = [Found(self.wanted.transfer, known.epoch)] if known and finds else []
        restarted.reboot()
        verdicts = self.do(restarted.sync(found=found, now=self.now)).verdicts
        self.ready[agent] = True
        free = model.state in (T.WAITING, T.OFFERED)
        current = bool(found) and found[0].epoch == model.epoch and model.intent is not Intent.STOP
        if model.holder == agent:
            model.loses()
            free = model.state is T.WAITING
        if current and free:
            model.taken(agent)
        assert [verdict.standing for verdict in verdicts] == (
            [("adopt" if current and free else "stale")] if found else []
        )

    @precondition(lambda self: self.said)
    @rule(ages=st.lists(st.integers(0, 3), min_size=1, max_size=4))
    def old_words_come_late(self, ages: list[int]) -> None:
        """Again, or after later ones: nothing comes of them."""
        for age in ages:
            agent, report = self.said[-1 - age % len(self.said)]
            self.do(self.agents[agent].sync(report, now=self.now))
            self.ready[agent] = True

    @invariant()
    def both_agree(self) -> None:
        self.do(self.compared())

    async def compared(self) -> None:
        transfer, job = (
            await read_transfer(self.plane, self.wanted.transfer),
            await read_job(self.plane, self.wanted.job),
        )
        model = self.model
        holder = None if model.holder is None else self.agents[model.holder].id
        assert (transfer.state, transfer.agent_id, transfer.epoch) == (model.state, holder, model.epoch)
        assert (transfer.intent, transfer.tries, job.state) == (model.intent, model.tries, model.job)
        objects = await read_objects(self.plane, self.wanted.transfer)
        assert [each.file for each in objects if each.stored_at] == sorted(model.stored)
        assert all(each.epoch <= model.epoch for each in objects)
        async with self.plane.db.working() as tx:
            events = list(await tx.scalars(select(Event).where(Event.job_id == job.id).order_by(Event.version)))
        state = JobState.SUBMITTED
        for event in events:
            assert event.from_state is state
            assert event.to_state is state or event.to_state in JOB_MOVES[state]
            state = event.to_state
        assert state is job.state

    def teardown(self) -> None:
        """So that no later step looks at it again."""

        async def end() -> None:
            async with self.plane.db.working() as tx:
                over = {"state": T.STOPPED, "agent_id": None}
                await tx.execute(update(Transfer).where(Transfer.id == self.wanted.transfer).values(over))
                ids = [agent.id for agent in self.agents]
                await tx.execute(update(Agent).where(Agent.id.in_(ids)).values(state=AgentState.RETIRED))

        if hasattr(self, "agents"):
            self.do(end())


async def played(plane: Plane, examples: int = EXAMPLES) -> None:
    Machine.plane, Machine.loop = plane, asyncio.get_running_loop()
    bounded = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],  # steps are told as they were: to shrink them takes minutes
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    await asyncio.to_thread(run_state_machine_as_test, Machine, settings=bounded)


async def test_whatever_happens_to_them_job_and_transfer_are_what_the_model_says(plane: Plane) -> None:
    await played(plane)


async def nothing(*_: object, **__: object) -> None:
    """Done."""


async def same_epoch(_: object, transfer: Transfer) -> int:
    return max(1, transfer.epoch)


async def nothing_new(*_: object) -> stored.Recorded:
    return stored.NOTHING


async def as_if_it_might_help(
    tx: Tx, transfer: Transfer, failed: Failure, known: Settings, *, now: dt.datetime, who: str
) -> None:
    await AFTER_FAILURE(tx, transfer, replace(failed, retryable=True), known, now=now, who=who)


async def as_if_in_order(tx: Tx, transfer: Transfer, _: object, *, now: dt.datetime, who: str, why: str) -> None:
    await release.after_handover(tx, transfer, now=now, who=who, why=why)


@pytest.mark.parametrize(
    ("where", "what", "instead"),
    [
        (claim, "_next_epoch", same_epoch),
        (follow, "jobs_of", nothing),
        (release, "after_loss", as_if_in_order),
        (release, "after_failure", as_if_it_might_help),
        (record, "_give_away", nothing),
        (stored, "record_files", nothing_new),
    ],
)
async def test_the_model_sees_what_a_bug_would_do(
    plane: Plane, monkeypatch: pytest.MonkeyPatch, where: ModuleType, what: str, instead: object
) -> None:
    monkeypatch.setattr(where, what, instead)
    with pytest.raises(AssertionError):
        await played(plane, EXAMPLES_WITH_BUG)
