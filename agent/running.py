"""What a transfer is on this agent: a pure fold of what happened.

    nothing ──► metadata from peers ──► judged by the control plane ──► prepared ──► in the engine ──► all stored
       └────── info dict had from the control plane ─────────────────────►┘

Whichever it is at, it may be paused. Intent is not kept here: `reconcile` compares it with this.
"""

from enum import StrEnum
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from agent.engine.api import Broke, Checked, EngineEvent, Figures, MetadataArrived, PieceVerified
from wire.ids import TransferId
from wire.messages import Failure, Spec
from wire.states import Phase


class Errand(StrEnum):
    """Work that waits for somebody else; one at a time for a transfer."""

    NONE = "none"
    FETCH_INFO = "fetch_info"
    JUDGE = "judge"
    PREPARE = "prepare"


class InEngine(StrEnum):
    NONE = "none"
    METADATA = "metadata"
    CONTENT = "content"


class Run(Struct, frozen=True):
    transfer: TransferId
    epoch: int
    info_there: bool = False
    """The control plane has the info dict."""
    info_here: bool = False
    go: bool = False
    refused: bool = False
    """The control plane has seen the metadata and did not say go; only a sync can change that."""
    errand: Errand = Errand.NONE
    prepared: bool = False
    """The units are laid out and what earlier epochs stored is known."""
    engine: InEngine = InEngine.NONE
    paused: bool = False
    steer: int = 0
    """The rev of what it goes by."""
    checked: bool = False
    unready: int = 0
    unstored: int = 0
    figures: Figures | None = None
    failure: Failure | None = None


class Began(Struct, frozen=True):
    transfer: TransferId
    errand: Errand


class Entered(Struct, frozen=True):
    transfer: TransferId
    engine: InEngine


class Paused(Struct, frozen=True):
    transfer: TransferId


class Resumed(Struct, frozen=True):
    transfer: TransferId


class Steered(Struct, frozen=True):
    """It goes by another `Steer`, and its book says this."""

    transfer: TransferId
    rev: int
    unready: int
    unstored: int


class InfoFetched(Struct, frozen=True):
    transfer: TransferId


class Judged(Struct, frozen=True):
    transfer: TransferId
    go: bool


class Prepared(Struct, frozen=True):
    """The book is open, and says this."""

    transfer: TransferId
    unready: int
    unstored: int


class Counted(Struct, frozen=True):
    """What the transfer's book says now."""

    transfer: TransferId
    unready: int
    unstored: int


class Failed(Struct, frozen=True):
    transfer: TransferId
    failure: Failure


Event = EngineEvent | Began | Entered | Paused | Resumed | Steered | InfoFetched | Judged | Prepared | Counted | Failed


def begin(spec: Spec) -> Run:
    return Run(transfer=spec.transfer, epoch=spec.epoch, info_there=spec.has_info, go=spec.go, steer=spec.steer.rev)


def fold(run: Run, event: Event) -> Run:
    match event:
        case MetadataArrived():
            return replace(run, info_here=True)
        case Checked():
            return replace(run, checked=True)
        case PieceVerified():
            return run  # the book keeps pieces; `Counted` says what came of it
        case Figures():
            return replace(run, figures=event)
        case Broke(code=code, detail=detail, retryable=retryable):
            return _failed(run, Failure(code, detail, retryable))
        case Began(errand=errand):
            return replace(run, errand=errand)
        case Entered(engine=engine):
            return replace(run, engine=engine, checked=False, figures=None)
        case Paused():
            return replace(run, paused=True)
        case Resumed():
            return replace(run, paused=False)
        case Steered(rev=rev, unready=unready, unstored=unstored):
            return replace(run, steer=rev, unready=unready, unstored=unstored)
        case InfoFetched():
            return replace(run, info_here=True, errand=Errand.NONE)
        case Judged(go=go):
            return replace(run, info_there=True, go=run.go or go, refused=not go, errand=Errand.NONE)
        case Prepared(unready=unready, unstored=unstored):
            return replace(run, prepared=True, errand=Errand.NONE, unready=unready, unstored=unstored)
        case Counted(unready=unready, unstored=unstored):
            return replace(run, unready=unready, unstored=unstored)
        case Failed(failure=failure):
            return _failed(run, failure)
        case _:
            assert_never(event)


def _failed(run: Run, failure: Failure) -> Run:
    """The first failure stands: what follows is mostly its echo."""
    return run if run.failure else replace(run, failure=failure, errand=Errand.NONE)


def phase(run: Run) -> Phase:
    if not (run.info_here or run.info_there):
        return Phase.FETCHING_METADATA
    if not run.go:
        return Phase.HELD
    if not run.prepared or run.unready:
        return Phase.RUNNING
    return Phase.TAIL


def done(run: Run) -> bool:
    """Every wanted byte is in the store."""
    return run.prepared and not run.unstored and run.failure is None
