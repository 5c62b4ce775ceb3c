"""States: the tables are whole, and what a job's state follows from never makes a move that the table does not know."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import NamedTuple, TypeAlias

import pytest

from wire.states import (
    AGENT_MOVES,
    AGENT_SYNCS,
    JOB_ACTIVE,
    JOB_ENDED,
    JOB_MOVES,
    ON_AGENT,
    TRANSFER_ENDED,
    TRANSFER_MOVES,
    AgentState,
    Duty,
    Intent,
    JobAction,
    JobState,
    Phase,
    TransferState,
    agent_state,
    job_actions,
    job_state,
    strongest,
)

Moves: TypeAlias = Mapping[StrEnum, frozenset[StrEnum]]
T, J = TransferState, JobState
WITH_METADATA = frozenset({T.RUNNING, T.TAIL, T.STORED})
"""Nothing is downloaded before the file list is known and allowed."""


@pytest.mark.parametrize(
    ("states", "moves"), [(TransferState, TRANSFER_MOVES), (JobState, JOB_MOVES), (AgentState, AGENT_MOVES)]
)
def test_every_state_has_its_row_and_no_move_stays(
    states: type[StrEnum], moves: Mapping[StrEnum, frozenset[StrEnum]]
) -> None:
    assert set(moves) == set(states)
    for state, targets in moves.items():
        assert targets <= set(states)
        assert state not in targets


@pytest.mark.parametrize(
    ("moves", "first"),
    [(TRANSFER_MOVES, T.WAITING), (JOB_MOVES, J.SUBMITTED), (AGENT_MOVES, AgentState.ENROLLED)],
)
def test_every_state_can_be_reached(moves: Moves, first: StrEnum) -> None:
    reached, left = {first}, [first]
    while left:
        new = moves[left.pop()] - reached
        reached |= new
        left += new
    assert reached == set(moves)


def test_what_is_over_is_over() -> None:
    assert not JOB_MOVES[J.EXPIRED]
    assert not AGENT_MOVES[AgentState.RETIRED]
    assert set(JobState) == JOB_ACTIVE | JOB_ENDED
    assert not JOB_ACTIVE & JOB_ENDED
    for state in TransferState:
        assert state in TRANSFER_ENDED or {T.FAILED, T.STOPPED} <= TRANSFER_MOVES[state]
    for state in ON_AGENT:
        assert T.WAITING in TRANSFER_MOVES[state], "an agent can always be lost"


def test_every_phase_is_a_state_on_an_agent() -> None:
    assert {TransferState(phase.value) for phase in Phase} <= ON_AGENT


@pytest.mark.parametrize(("duty", "holds"), list(product(Duty, (False, True))))
def test_an_agent_that_is_heard_of_can_always_do_its_duty(duty: Duty, holds: bool) -> None:
    to = agent_state(duty, holds=holds)
    assert not holds or to is not AgentState.DRAINED
    for state in AgentState:
        can_hold = state in AGENT_SYNCS
        if state is not AgentState.RETIRED and (can_hold or not holds):
            assert to is state or to in AGENT_MOVES[state], f"{state} → {to}"


def test_only_a_person_brings_back_what_was_stored_failed_or_cancelled() -> None:
    for state in TRANSFER_ENDED:
        assert TRANSFER_MOVES[state] - {T.FAILED} == {T.WAITING}
    assert T.FAILED in TRANSFER_MOVES[T.STORED], "it may be blocked"
    for job in (J.FAILED, J.CANCELLED):
        assert JobAction.RETRY in job_actions(job)


class World(NamedTuple):
    """What can be true beside a transfer's state."""

    known: bool
    claimed: bool
    complete: bool


def worlds(state: TransferState) -> list[World]:
    return [
        world
        for world in map(World._make, product((False, True), repeat=3))
        if (world.known or state not in WITH_METADATA)
        and (world.claimed or state not in ON_AGENT)
        and ((world.known and world.claimed) or not world.complete)
    ]


def state_in(intent: Intent, transfer: TransferState, world: World) -> JobState:
    return job_state(
        intent, transfer, metadata_known=world.known, claimed_before=world.claimed, complete=world.complete
    )


@pytest.mark.parametrize(
    ("intent", "before"),
    # A transfer is stopped only when no job wants it.
    [pair for pair in product(Intent, TransferState) if pair[0] is Intent.STOP or pair[1] is not T.STOPPED],
)
def test_a_jobs_state_moves_along_its_table_whatever_its_transfer_does(intent: Intent, before: TransferState) -> None:
    for was, after in product(worlds(before), TRANSFER_MOVES[before]):
        if was.complete:
            continue  # the job has ended
        old = state_in(intent, before, was)
        for now in worlds(after):
            if now.known >= was.known and now.claimed >= was.claimed:
                new = state_in(intent, after, now)
                assert new == old or new in JOB_MOVES[old], f"{before} → {after}: {old} → {new}"


@pytest.mark.parametrize("transfer", TransferState)
@pytest.mark.parametrize(
    ("before", "action", "after"),
    [
        (Intent.RUN, JobAction.PAUSE, Intent.PAUSE),
        (Intent.CHOOSE, JobAction.PAUSE, Intent.PAUSE),
        (Intent.PAUSE, JobAction.RESUME, Intent.RUN),
        (Intent.RUN, JobAction.CANCEL, Intent.STOP),
        (Intent.PAUSE, JobAction.CANCEL, Intent.STOP),
    ],
)
def test_whatever_may_be_done_now_is_a_move_that_the_table_knows(
    transfer: TransferState, before: Intent, action: JobAction, after: Intent
) -> None:
    if before is Intent.PAUSE and transfer is T.STOPPED:
        return  # stopped only when no job wants it
    for world in worlds(transfer):
        was, new = state_in(before, transfer, world), state_in(after, transfer, world)
        if action in job_actions(was):
            assert new == was or new in JOB_MOVES[was], f"{transfer}: {was} → {new}"


@pytest.mark.parametrize("transfer", TransferState)
def test_a_paused_job_is_shown_so_whatever_its_transfer_does(transfer: TransferState) -> None:
    for world in worlds(transfer):
        assert state_in(Intent.PAUSE, transfer, world) is (J.COMPLETED if world.complete else J.PAUSED)


def test_a_job_that_is_to_be_chosen_from_works_until_its_metadata_is_known() -> None:
    unknown = World(known=False, claimed=True, complete=False)
    assert state_in(Intent.CHOOSE, T.FETCHING_METADATA, unknown) is J.METADATA_FETCH
    assert state_in(Intent.CHOOSE, T.HELD, unknown._replace(known=True)) is J.PAUSED


@pytest.mark.parametrize("state", JobState)
def test_a_job_can_be_cancelled_or_removed_but_never_both(state: JobState) -> None:
    assert len(job_actions(state) & {JobAction.CANCEL, JobAction.REMOVE}) == 1
    assert (JobAction.CANCEL in job_actions(state)) is (state in JOB_ACTIVE)


def test_a_transfer_runs_while_any_holder_wants_it() -> None:
    run, choose, pause, stop = Intent.RUN, Intent.CHOOSE, Intent.PAUSE, Intent.STOP
    assert strongest([stop, pause, run, choose]) is run
    assert strongest([pause, choose, stop]) is choose
    assert strongest([stop, pause]) is pause
    assert strongest([stop]) is strongest([]) is stop
