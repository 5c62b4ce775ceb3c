"""States of a takedown case.

received ──┬──► blocked ──counter-notice──► countered ──┬──► reinstated ──► blocked
           └──► rejected ──► blocked                    └──► blocked, for good reason
"""

from enum import StrEnum


class CaseState(StrEnum):
    RECEIVED = "received"
    BLOCKED = "blocked"
    REJECTED = "rejected"
    COUNTERED = "countered"
    REINSTATED = "reinstated"


class Decision(StrEnum):
    BLOCK = "block"
    REJECT = "reject"
    REINSTATE = "reinstate"


S = CaseState
LEADS_TO = {Decision.BLOCK: S.BLOCKED, Decision.REJECT: S.REJECTED, Decision.REINSTATE: S.REINSTATED}
HOLDS_BLOCKS = frozenset({S.BLOCKED, S.COUNTERED})
"""What such a case names is on the blocklist because of it."""

_DECISIONS: dict[CaseState, frozenset[Decision]] = {
    S.RECEIVED: frozenset({Decision.BLOCK, Decision.REJECT}),
    S.BLOCKED: frozenset({Decision.REINSTATE}),
    S.REJECTED: frozenset({Decision.BLOCK}),
    S.COUNTERED: frozenset({Decision.BLOCK, Decision.REINSTATE}),
    S.REINSTATED: frozenset({Decision.BLOCK}),
}


def decisions(state: CaseState) -> frozenset[Decision]:
    """What may be decided now; the screen and the route both ask here."""
    return _DECISIONS[state]
