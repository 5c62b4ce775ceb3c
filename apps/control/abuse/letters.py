"""What we write to the two sides of a takedown case. Pure."""

from collections.abc import Sequence
from uuid import UUID

from control.abuse.states import CaseState
from control.mail.letters import Letter, plain

OUTCOMES = {
    CaseState.BLOCKED: "What the notice names was taken down, and cannot be brought in again.",
    CaseState.REJECTED: "Nothing was taken down.",
    CaseState.REINSTATED: "What was taken down may be brought in again.",
}


def received(case: UUID, hashes: Sequence[str]) -> Letter:
    said = [f"Your takedown notice came in as case {case}. It names:", "\n".join(hashes)]
    return plain("case_received", "Your takedown notice", [*said, "You will hear from us once it is decided."])


def countered(case: UUID) -> Letter:
    said = f"Somebody answered your takedown notice, case {case}, with a counter-notice, and asks us to lift the block."
    return plain("case_countered", "A counter-notice to your case", [said, "You will hear from us once it is decided."])


def heard(case: UUID) -> Letter:
    said = f"Your counter-notice to case {case} came in. Whoever wrote the notice was told, and may go to court."
    return plain("case_heard", "Your counter-notice", [said, "You will hear from us once it is decided."])


def decided(case: UUID, state: CaseState, reason: str) -> Letter:
    return plain("case_decided", "A takedown case was decided", [f"Case {case}: {OUTCOMES[state]}", f"Why: {reason}"])
