"""States: the tables are whole, and what a job's state follows from never makes a move that the table does not know."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import TypeAlias

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
    assert not TRANSFER_MOVES[T.STORED]
    assert not JOB_MOVES[J.CANCELLED]
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


def worlds(state: TransferState) -> list[tuple[bool, bool]]:
    """(metadata_known, claimed_before) that can be true in a state."""
    return [
        (known, claimed)
        for known, claimed in product((False, True), repeat=2)
        if (known or state not in WITH_METADATA) and (claimed or state not in ON_AGENT)
    ]


@pytest.mark.parametrize(
    ("intent", "before"),
    # A transfer is stopped only when no job wants it to run.
    [pair for pair in product(Intent, TransferState) if pair != (Intent.RUN, T.STOPPED)],
)
def test_a_jobs_state_moves_along_its_table_whatever_its_transfer_does(intent: Intent, before: TransferState) -> None:
    for (known, claimed), after in product(worlds(before), TRANSFER_MOVES[before]):
        old = job_state(intent, before, metadata_known=known, claimed_before=claimed)
        for known_now, claimed_now in worlds(after):
            if known_now >= known and claimed_now >= claimed:
                new = job_state(intent, after, metadata_known=known_now, claimed_before=claimed_now)
                assert new == old or new in JOB_MOVES[old], f"{before} → {after}: {old} → {new}"


@pytest.mark.parametrize("transfer", TransferState)
def test_an_active_job_can_be_cancelled_and_stays_so(transfer: TransferState) -> None:
    for known, claimed in worlds(transfer):
        before = job_state(Intent.RUN, transfer, metadata_known=known, claimed_before=claimed)
        after = job_state(Intent.STOP, transfer, metadata_known=known, claimed_before=claimed)
        assert after is J.CANCELLED
        if JobAction.CANCEL in job_actions(before):
            assert after in JOB_MOVES[before]


@pytest.mark.parametrize("state", JobState)
def test_a_job_can_be_cancelled_or_removed_but_never_both(state: JobState) -> None:
    assert len(job_actions(state)) == 1
