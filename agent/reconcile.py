"""What to do next: a pure plan from what is wanted and what is. Told nothing of what happened, it cannot miss it."""

from collections.abc import Mapping

from msgspec import Struct

from agent.running import Errand, InEngine, Run, done
from wire.ids import TransferId
from wire.messages import Spec


class Wanted(Struct, frozen=True):
    """What the control plane wants of this agent for one transfer."""

    spec: Spec
    go: bool = False
    paused: bool = False
    seeds: bool = False
    """It is stored: peers are given it, and nothing else is done."""


class Start(Struct, frozen=True):
    transfer: TransferId


class Drop(Struct, frozen=True):
    """Stop at once. `wipe`: nothing of it is kept on disk."""

    transfer: TransferId
    wipe: bool


class Go(Struct, frozen=True):
    """A sync said that the metadata is accepted."""

    transfer: TransferId


class Pause(Struct, frozen=True):
    """Nothing is fetched, given or read any more; what is there stays there."""

    transfer: TransferId


class Resume(Struct, frozen=True):
    transfer: TransferId


class Steer(Struct, frozen=True):
    """Go by what people want of it now."""

    transfer: TransferId


class Pace(Struct, frozen=True):
    """Go as fast as its organisation's limit lets it now."""

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
    """Take it out of the engine; what is there stays there, and what is stored is still reported."""

    transfer: TransferId


Action = Start | Drop | Go | Pause | Resume | Steer | Pace | FetchInfo | FetchMetadata | Judge | Prepare | Bring | Halt


def plan(wanted: Mapping[TransferId, Wanted], runs: Mapping[TransferId, Run]) -> list[Action]:
    actions: list[Action] = []
    owners, asked = _owners(wanted, runs), _asked(wanted, runs)
    for transfer, run in runs.items():
        want = wanted.get(transfer)
        if want is None:
            actions.append(Drop(transfer, wipe=True))
        elif not _goes_on(want, run):
            actions.append(Drop(transfer, wipe=False))
    for transfer, want in wanted.items():
        held = runs.get(transfer)
        if held is None:
            actions.append(Start(transfer))
        elif _goes_on(want, held):
            names = _hashes(want)
            is_asked = not asked.isdisjoint(names)
            if is_asked and _gives_way(want, held):
                actions.append(Halt(transfer))
                continue
            free = all(owners.get(name, transfer) == transfer for name in names) and not (is_asked and want.seeds)
            step = _step(want, held, free=free)
            if isinstance(step, FetchMetadata | Bring):
                owners.update(dict.fromkeys(names, transfer))
            if step is not None:
                actions.append(step)
    return actions


def _goes_on(want: Wanted, run: Run) -> bool:
    """Or it begins anew, on the same disk: under another epoch, or in the session that gives, or gives nothing."""
    return want.spec.epoch == run.epoch and want.spec.steer.gives is run.gives


def _step(want: Wanted, run: Run, *, free: bool) -> Action | None:
    """`free`: no other transfer has the same torrent in the engine."""
    transfer = run.transfer
    if run.failure is not None:
        return Halt(transfer) if run.engine is not InEngine.NONE else None
    if want.paused is not run.paused:
        return Pause(transfer) if want.paused else Resume(transfer)
    if want.go and not run.go:
        return Go(transfer)
    if run.errand is Errand.PREPARE:
        return None  # its book is in the making
    if want.spec.steer.rev != run.steer:
        return Steer(transfer)
    if want.spec.pace != run.pace:
        return Pace(transfer)
    if run.paused or run.errand is not Errand.NONE:
        return None
    if not run.info_here:
        if run.info_there:
            return FetchInfo(transfer)
        return FetchMetadata(transfer) if run.engine is InEngine.NONE and free else None
    if not run.go:
        return None if run.refused else Judge(transfer)
    if not run.prepared:
        return Prepare(transfer)
    return Bring(transfer) if run.engine is not InEngine.CONTENT and free and (want.seeds or not done(run)) else None


def _owners(wanted: Mapping[TransferId, Wanted], runs: Mapping[TransferId, Run]) -> dict[str, TransferId]:
    """Who has which info-hash in the engine: it takes a torrent once, so a second transfer of it waits its turn."""
    return {
        name: transfer
        for transfer, run in runs.items()
        if run.engine is not InEngine.NONE and transfer in wanted
        for name in _hashes(wanted[transfer])
    }


def _asked(wanted: Mapping[TransferId, Wanted], runs: Mapping[TransferId, Run]) -> frozenset[str]:
    """Info-hashes of those who are to be fetched and would enter the engine now."""
    return frozenset(
        name
        for transfer, want in wanted.items()
        if not want.seeds and (run := runs.get(transfer)) is not None and run.engine is InEngine.NONE
        if _goes_on(want, run) and isinstance(_step(want, run, free=True), FetchMetadata | Bring)
        for name in _hashes(want)
    )


def _gives_way(want: Wanted, run: Run) -> bool:
    """To others who are to fetch the same torrent. It enters again when they are through."""
    return run.engine is not InEngine.NONE and (want.seeds or (want.paused and run.paused))


def _hashes(want: Wanted) -> tuple[str, ...]:
    return tuple(name for name in (want.spec.v1, want.spec.v2) if name)
