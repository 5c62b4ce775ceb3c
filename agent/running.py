"""What a transfer is on this agent: a pure fold of what happened.

    nothing ──► metadata from peers ──► judged by the control plane ──► prepared ──► in the engine ──► all stored
       └────── info dict had from the control plane ─────────────────────►┘

Whichever it is at, it may be paused. Intent is not kept here: `reconcile` compares it with this.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from agent.engine.api import Broke, Checked, EngineEvent, Figures, MetadataArrived, PieceVerified, TrackerSaid
from wire.failures import failure
from wire.ids import TransferId
from wire.messages import Failure, Pace, Spec
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


class Still(Struct, frozen=True):
    """What others do not give, and since when."""

    what: Literal["metadata", "payload", "pieces", "room", "store"]
    since_s: float
    mark: int
    """How much of it there was then; with more the wait begins anew."""


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
    away: bool = False
    """It was taken out of the engine: what is there can be read when it is in again, and was looked through."""
    paused: bool = False
    steer: int = 0
    """The rev of what it goes by."""
    pace: Pace = Pace()
    gives: bool = True
    """Peers may be given what is there: with another word it begins anew on the same disk, in the other session."""
    checked: bool = False
    unready: int = 0
    unstored: int = 0
    figures: Figures | None = None
    trackers: Mapping[str, TrackerSaid] = {}
    """The last word of each, by its address."""
    trackers_asked: int = 0
    url: str | None = None
    """Not from a swarm: its server's last word is among the trackers'."""
    swarm: Still | None = None
    store: Still | None = None
    store_word: str = ""
    """What went wrong with the store last."""
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


class Paced(Struct, frozen=True):
    """Its organisation's limit leaves it this."""

    transfer: TransferId
    pace: Pace


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


class Looked(Struct, frozen=True):
    """A second has passed."""

    transfer: TransferId
    now_s: float
    there_bytes: int
    stored_bytes: int
    putting: bool
    """Something is on its way to the store."""
    shut: bool
    """Nothing is asked of the swarm until there is room on the disk."""
    store_word: str
    heard: bool
    """The control plane answers: what hangs on it is nobody else's fault."""


_Ours = (
    Began | Entered | Paused | Resumed | Steered | Paced | InfoFetched | Judged | Prepared | Counted | Failed | Looked
)
Event = EngineEvent | _Ours


def begin(spec: Spec) -> Run:
    return Run(
        transfer=spec.transfer,
        epoch=spec.epoch,
        info_there=spec.has_info,
        go=spec.go,
        steer=spec.steer.rev,
        pace=spec.pace,
        gives=spec.steer.gives,
        trackers_asked=sum(map(len, spec.trackers)),
        url=spec.url,
    )


def fold(run: Run, event: Event) -> Run:
    match event:
        case MetadataArrived():
            return replace(run, info_here=True)
        case Checked():
            return replace(run, checked=True, away=False)
        case PieceVerified():
            return run  # the book keeps pieces; `Counted` says what came of it
        case Figures():
            before = run.figures.availability if run.figures else None
            return replace(run, figures=replace(event, availability=before) if event.availability is None else event)
        case TrackerSaid():
            return replace(run, trackers={**run.trackers, event.url: event})
        case Broke(code=code, detail=detail):
            return _failed(run, failure(code, detail))
        case Began(errand=errand):
            return replace(run, errand=errand)
        case Entered(engine=engine):
            away = run.away or engine is InEngine.NONE
            return replace(run, engine=engine, away=away, checked=False, figures=None, swarm=None)
        case Paused():
            return replace(run, paused=True, swarm=None, store=None)
        case Resumed():
            return replace(run, paused=False)
        case Steered(rev=rev, unready=unready, unstored=unstored):
            # Other files are counted from here on: what was waited for is another thing too.
            return replace(run, steer=rev, unready=unready, unstored=unstored, swarm=None, store=None)
        case Paced(pace=pace):
            return replace(run, pace=pace)
        case InfoFetched():
            return replace(run, info_here=True, errand=Errand.NONE)
        case Judged(go=go):
            return replace(run, info_there=True, go=run.go or go, refused=not go, errand=Errand.NONE)
        case Prepared(unready=unready, unstored=unstored):
            return replace(run, prepared=True, errand=Errand.NONE, unready=unready, unstored=unstored)
        case Counted(unready=unready, unstored=unstored):
            return replace(run, unready=unready, unstored=unstored)
        case Failed(failure=why):
            return _failed(run, why)
        case Looked():
            return _looked(run, event)
        case _:
            assert_never(event)


def _failed(run: Run, why: Failure) -> Run:
    """The first failure stands: what follows is mostly its echo."""
    return run if run.failure else replace(run, failure=why, errand=Errand.NONE)


def _looked(run: Run, now: Looked) -> Run:
    if run.paused or not now.heard:
        return replace(run, swarm=None, store=None)
    store = _still(run.store, Still("store", now.now_s, now.stored_bytes) if now.putting else None)
    return replace(run, swarm=_still(run.swarm, _asks_swarm(run, now)), store=store, store_word=now.store_word)


def _asks_swarm(run: Run, now: Looked) -> Still | None:
    """What peers owe us, if anything, or the disk. Where some sent what is wrong, only what was verified counts."""
    if run.engine is InEngine.METADATA and not run.info_here:
        # Of what lies at a URL all may have to come before its size is known.
        return Still("metadata", now.now_s, run.figures.fetched_bytes if run.url and run.figures else 0)
    if run.engine is not InEngine.CONTENT or not run.checked or not run.unready:
        return None
    if now.shut:
        return Still("room", now.now_s, now.stored_bytes)
    if run.figures and run.figures.wrong_bytes:
        return Still("pieces", now.now_s, now.there_bytes)
    return Still("payload", now.now_s, run.figures.fetched_bytes if run.figures else 0)


def _still(before: Still | None, now: Still | None) -> Still | None:
    waits_on = now is not None and before is not None and before.what == now.what and now.mark <= before.mark
    return before if waits_on else now


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
