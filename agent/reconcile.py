"""What to do next: a pure plan from what is wanted and what is. Told nothing of what happened, it cannot miss it."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from agent.running import Errand, InEngine, Run, done
from wire.ids import TransferId
from wire.messages import Spec


class Wanted(Struct, frozen=True):
    """What the control plane wants of this agent for one transfer."""

    spec: Spec
    go: bool = False


class Start(Struct, frozen=True):
    transfer: TransferId


class Drop(Struct, frozen=True):
    """Stop at once. `wipe`: nothing of it is kept on disk."""

    transfer: TransferId
    wipe: bool


class Go(Struct, frozen=True):
    """A sync said that the metadata is accepted."""

    transfer: TransferId


class FetchInfo(Struct, frozen=True):
    """From the control plane."""

    transfer: TransferId


class FetchMetadata(Struct, frozen=True):
    """From peers."""

    transfer: TransferId


class Judge(Struct, frozen=True):
    """Show the info dict to the control plane and hear whether to go on."""

    transfer: TransferId


class Prepare(Struct, frozen=True):
    transfer: TransferId


class Bring(Struct, frozen=True):
    transfer: TransferId


class Halt(Struct, frozen=True):
    """Take it out of the engine; what is stored is still reported."""

    transfer: TransferId


Action = Start | Drop | Go | FetchInfo | FetchMetadata | Judge | Prepare | Bring | Halt


def plan(wanted: Mapping[TransferId, Wanted], runs: Mapping[TransferId, Run]) -> list[Action]:
    actions: list[Action] = []
    for transfer, run in runs.items():
        want = wanted.get(transfer)
        if want is None:
            actions.append(Drop(transfer, wipe=True))
        elif want.spec.epoch != run.epoch:
            actions.append(Drop(transfer, wipe=False))
    for transfer, want in wanted.items():
        held = runs.get(transfer)
        if held is None:
            actions.append(Start(transfer))
        elif held.epoch == want.spec.epoch:
            actions.extend(_steps(want, held, taken=_in_engine(wanted, runs, transfer)))
    return actions


def _steps(want: Wanted, run: Run, taken: frozenset[str]) -> Iterator[Action]:
    transfer = run.transfer
    free = taken.isdisjoint(_hashes(want))
    if run.failure is not None:
        if run.engine is not InEngine.NONE:
            yield Halt(transfer)
    elif want.go and not run.go:
        yield Go(transfer)
    elif run.errand is not Errand.NONE:
        return
    elif not run.info_here:
        if run.info_there:
            yield FetchInfo(transfer)
        elif run.engine is InEngine.NONE and free:
            yield FetchMetadata(transfer)
    elif not run.go:
        if not run.refused:
            yield Judge(transfer)
    elif not run.prepared:
        yield Prepare(transfer)
    elif run.engine is not InEngine.CONTENT and free and not done(run):
        yield Bring(transfer)


def _in_engine(wanted: Mapping[TransferId, Wanted], runs: Mapping[TransferId, Run], but: TransferId) -> frozenset[str]:
    """Info-hashes that other transfers have in the engine: it takes a torrent once, so the second waits its turn."""
    return frozenset(
        name
        for transfer, run in runs.items()
        if transfer != but and run.engine is not InEngine.NONE and transfer in wanted
        for name in _hashes(wanted[transfer])
    )


def _hashes(want: Wanted) -> frozenset[str]:
    return frozenset(name for name in (want.spec.v1, want.spec.v2) if name)
