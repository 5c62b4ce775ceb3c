"""What the control plane wants of this agent: an entry for every transfer that is ours, from claims and verdicts."""

from collections.abc import Iterable

from msgspec.structs import replace

from agent.reconcile import Wanted
from wire.ids import TransferId
from wire.messages import Found, Spec, Sync, Synced, Verdict
from wire.states import Intent


class Desired:
    def __init__(self) -> None:
        self.wanted: dict[TransferId, Wanted] = {}

    def take(self, spec: Spec, intent: Intent = Intent.RUN, *, seeds: bool = False) -> None:
        self.wanted[spec.transfer] = Wanted(spec, go=spec.go, paused=intent is Intent.PAUSE, seeds=seeds)

    def let_go(self, transfer: TransferId, epoch: int) -> None:
        """Not ours any more under that epoch; a newer claim stands."""
        want = self.wanted.get(transfer)
        if want is not None and want.spec.epoch == epoch:
            del self.wanted[transfer]

    def held(self) -> list[Found]:
        return [Found(transfer, want.spec.epoch) for transfer, want in self.wanted.items()]

    def heard(self, sync: Sync, synced: Synced) -> None:
        """Verdicts speak of the epochs that the sync named: what was claimed meanwhile is not meant."""
        said = {held.transfer: held.epoch for held in sync.held}
        for verdict in synced.verdicts:
            if verdict.standing == "adopt" and verdict.spec is not None:
                self.take(verdict.spec, verdict.intent, seeds=verdict.seeds)
            elif verdict.transfer in said:
                self._one(verdict, said[verdict.transfer])

    def _one(self, verdict: Verdict, epoch: int) -> None:
        if verdict.standing == "stale" or verdict.intent is Intent.STOP:
            self.let_go(verdict.transfer, epoch)
            return
        want = self.wanted.get(verdict.transfer)
        if want is not None and want.spec.epoch == epoch:
            spec = replace(want.spec, steer=verdict.steer or want.spec.steer, pace=verdict.pace)
            paused = verdict.intent is Intent.PAUSE
            go = want.go or verdict.go
            self.wanted[verdict.transfer] = replace(want, spec=spec, go=go, paused=paused, seeds=verdict.seeds)

    def at_work(self) -> int:
        """What is paused, or only given to peers, keeps its place on disk and takes no slot."""
        return sum(not (want.paused or want.seeds) for want in self.wanted.values())

    def not_adopted(self, found: Iterable[Found]) -> list[TransferId]:
        return [one.transfer for one in found if one.transfer not in self.wanted]
