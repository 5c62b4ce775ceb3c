"""Reports: what a sync says of this agent, and of each transfer that is ours under the epoch it runs at."""

from collections.abc import Iterator, Mapping
from itertools import islice

from msgspec import Struct

from agent import patience
from agent.about import about
from agent.config import Settings
from agent.desired import Desired
from agent.disk import Disk
from agent.handover import Handover
from agent.parts import Book
from agent.patience import Waits
from agent.picture import picture
from agent.reconcile import Wanted
from agent.room import DiskRoom
from agent.running import Run, done, phase
from agent.transfer import Transfer, Unacked
from wire.ids import BootId, TransferId
from wire.messages import PARTS_PER_REPORT, Detail, Found, Rates, Report, Stuck, Sync


class Told(Struct, frozen=True):
    """What a report is made of, beside the run."""

    rev: int
    store_rate: int
    handover: bool
    eta_s: int | None = None
    stuck: Stuck | None = None
    detail: Detail | None = None


class Reports(Struct, kw_only=True):
    settings: Settings
    boot: BootId
    version: str
    disk: Disk
    room: DiskRoom
    desired: Desired
    runs: Mapping[TransferId, Run]
    transfers: Mapping[TransferId, Transfer]
    handover: Handover
    waits: Waits
    found: list[Found]
    """What an earlier life left here, until a sync has been answered that says so."""
    asked: set[TransferId] = set()
    """Whose picture goes with the next sync."""
    rev: int = 0
    """Of this boot, one for all transfers: one of its own would begin anew with a transfer, under the same epoch."""

    def sync(self, now_s: float) -> Sync:
        self.rev += 1
        short = self.room.is_short()
        reports = []
        for want, run in self._ours():
            held = self.transfers[run.transfer]
            told = self._told(want, run, held, now_s, short=short)
            reports.append(report(run, held.book, held.unacked, told))
        self.asked.clear()
        return Sync(
            boot=self.boot,
            rev=self.rev,
            version=self.version,
            slots=self.settings.agent_slots,
            held=self.desired.held(),
            found=self.found,
            reports=reports,
            leaving=self.handover.leaving,
            about=about(self.settings, self.room.budget.total_bytes, self.disk.free_bytes()),
        )

    def _ours(self) -> Iterator[tuple[Wanted, Run]]:
        for transfer, run in self.runs.items():
            want = self.desired.wanted.get(transfer)
            if want is not None and want.spec.epoch == run.epoch:
                yield want, run

    def _told(self, want: Wanted, run: Run, held: Transfer, now_s: float, *, short: bool) -> Told:
        return Told(
            rev=self.rev,
            store_rate=held.rate(now_s),
            handover=self.handover.is_due(held, now_s) or (want.seeds and held.gives_way(short=short)),
            eta_s=held.eta_s,
            stuck=patience.stuck(run, self.waits, now_s),
            detail=picture(run, held.book) if run.transfer in self.asked else None,
        )


def report(run: Run, book: Book | None, unacked: Unacked, told: Told) -> Report:
    parts = list(islice(unacked.parts.values(), PARTS_PER_REPORT))
    files = list(islice(unacked.files.values(), PARTS_PER_REPORT - len(parts)))
    return Report(
        transfer=run.transfer,
        epoch=run.epoch,
        rev=told.rev,
        phase=phase(run),
        rates=_rates(run, book, told),
        parts=parts,
        files=files,
        done=done(run) and len(unacked) == len(parts) + len(files),
        failure=run.failure,
        handover=told.handover,
        detail=told.detail,
        steer=run.steer,
    )


def _rates(run: Run, book: Book | None, told: Told) -> Rates:
    figures = run.figures
    return Rates(
        down_bytes=book.there_bytes if book else 0,
        stored_bytes=book.stored_bytes if book else 0,
        total_bytes=book.total_bytes if book else 0,
        down_rate=figures.down_rate if figures else 0,
        up_rate=figures.up_rate if figures else 0,
        store_rate=told.store_rate,
        peers=figures.peers if figures else 0,
        seeds=figures.seeds if figures else 0,
        availability=figures.availability if figures else None,
        ratio=round(figures.given_bytes / figures.fetched_bytes, 3) if figures and figures.fetched_bytes else None,
        given_bytes=figures.given_bytes if figures else 0,
        eta_s=told.eta_s,
        stuck=told.stuck,
    )
