"""Handing over: all transfers when this agent is drained or leaves, one when it cannot stay here.

What is on its way to the store has a moment to arrive. What was stored goes with the transfer: all of it is in the
report that says so.
"""

from agent.reconcile import Action, Drop, Halt, Start
from agent.transfer import Transfer
from wire.messages import PARTS_PER_REPORT
from wire.states import Duty

HAND_OVER_S = 8.0
"""For parts on their way to the store, when others shall go on with our transfers."""


class Handover:
    def __init__(self, wait_s: float) -> None:
        self.duty = Duty.WORK
        self.leaving = False
        """Nothing new is begun; the next sync says so."""
        self._wait_s = wait_s
        self._let_go_at = 0.0
        """Parts on their way to the store are not waited for any longer."""

    def follow(self, duty: Duty, now_s: float) -> None:
        self.duty = duty
        self._let_go_at = now_s + self._wait_s

    def let_go(self, held: Transfer, now_s: float) -> None:
        held.let_go_at = now_s + self._wait_s

    def allowed(self, actions: list[Action]) -> list[Action]:
        """Who leaves does nothing any more, and who hands over brings nothing."""
        if self.leaving:
            return []
        if self.duty is not Duty.HAND_OVER:
            return actions
        return [action for action in actions if isinstance(action, Start | Drop | Halt)]

    def goes(self, held: Transfer) -> bool:
        """Nothing more of it is put."""
        return self.leaving or self._is_let_go(held)

    def is_due(self, held: Transfer, now_s: float) -> bool:
        """Its next report says that others may go on with it."""
        if self.leaving:
            return True
        if not self._is_let_go(held) or len(held.unacked) > PARTS_PER_REPORT:
            return False
        return not held.tasks or now_s >= (self._let_go_at if held.let_go_at is None else held.let_go_at)

    def _is_let_go(self, held: Transfer) -> bool:
        return self.duty is Duty.HAND_OVER or held.let_go_at is not None
