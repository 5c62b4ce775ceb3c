"""The driver: one task that owns the engine and every transfer.

It hears events (from the engine, from errands, from uploads), folds them, looks at what is wanted, and acts on the
plan. Whatever takes time (errands, uploads) runs beside it and comes back as an event.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial, reduce
from typing import assert_never

from msgspec.structs import replace

from agent import reconcile
from agent.config import Settings
from agent.desired import Desired
from agent.disk import Disk, tidy
from agent.drain import Drain
from agent.engine.api import Checked, Engine, MetadataArrived, PieceVerified
from agent.entry import enter
from agent.errands import Errands
from agent.fleet import Fleet, Refusal
from agent.handover import HAND_OVER_S, Handover
from agent.journal import Journal
from agent.parts import Book
from agent.patience import waits_of
from agent.pump import Ears, Pump
from agent.reports import Reports
from agent.room import DiskRoom
from agent.running import (
    Began,
    Counted,
    Entered,
    Errand,
    Event,
    Failed,
    InEngine,
    Judged,
    Paced,
    Paused,
    Prepared,
    Resumed,
    Run,
    Steered,
    begin,
    done,
    fold,
    phase,
)
from agent.transfer import Transfer
from agent.upload import Uploads
from agent.watch import HEARD_S, Watch
from telemetry import logs
from telemetry.correlation import correlated
from wire.ids import BootId, TransferId
from wire.messages import PARTS_PER_REPORT, Failure, Spec, Sync, Synced
from wire.states import Duty, Phase

log = logs.get(__name__)


class Driver:
    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        fleet: Fleet,
        uploads: Uploads,
        disk: Disk,
        boot: BootId,
        version: str,
    ) -> None:
        self.desired = Desired()
        self.runs: dict[TransferId, Run] = {}
        self.wake = asyncio.Event()
        """A sync is due now."""
        self.changed: Callable[[], None] = lambda: None
        """There may be room for another claim."""
        self._transfers: dict[TransferId, Transfer] = {}
        self._engine = engine
        self._disk = disk
        self._group: asyncio.TaskGroup | None = None
        self._inbox: asyncio.Queue[Event | None] = asyncio.Queue()
        self._drain = Drain(self._transfers, self._beside, self._inbox.put_nowait)
        self.room = DiskRoom(disk.budget(settings.agent_disk_bytes), disk, self._drain.held)
        self._uploads = uploads
        ears = Ears(self._inbox.put_nowait, self._refused, self.wake.set, self._drain.free)
        self._pump = Pump(settings.agent_uploads, engine, uploads, ears)
        self._errands = Errands(fleet, disk, self.room, self._inbox.put_nowait, self._refused)
        self._handover = Handover(settings.wait(HAND_OVER_S))
        waits, now_s = waits_of(settings), self._now_s()
        self._watch = Watch(
            engine=engine,
            runs=self.runs,
            transfers=self._transfers,
            trouble=uploads.trouble,
            waits=waits,
            heard_s=settings.wait(HEARD_S),
            hear=self._hear,
            look=partial(self._inbox.put_nowait, None),
            heard_at_s=now_s,
            looked_at_s=now_s,
        )
        self._reports = Reports(
            settings=settings,
            boot=boot,
            version=version,
            disk=disk,
            room=self.room,
            desired=self.desired,
            runs=self.runs,
            transfers=self._transfers,
            handover=self._handover,
            waits=waits,
            found=disk.found(),
        )
        for found in self._reports.found:
            self.room.budget.found(found.transfer, disk.occupied(found.transfer))
        engine.listen(self._inbox.put_nowait)

    # What others call.

    def take(self, spec: Spec) -> None:
        self.desired.take(spec)
        self._inbox.put_nowait(None)

    def asked(self, transfer: TransferId) -> None:
        """Somebody looks at it closely: its picture goes with the next sync, which is now."""
        if transfer in self.runs:
            self._reports.asked.add(transfer)
            self.wake.set()

    def load(self) -> int:
        return self.desired.at_work()

    def may_claim(self) -> bool:
        budget = self.room.budget
        unknown = sum(not want.paused and each not in budget for each, want in self.desired.wanted.items())
        return self._handover.duty is Duty.WORK and budget.may_claim(unknown)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self._watch.run())
            self._group.create_task(tidy(self._disk, self._known))
            while True:
                event = await self._inbox.get()
                if event is not None:
                    self._hear(event)
                if self._inbox.empty():
                    self._look()

    async def leave(self, grace_s: float) -> None:
        """Nothing new is begun; what is on its way to the store has a moment to arrive. The next sync says so."""
        self._handover.leaving = True
        tasks = {task for transfer in self._transfers.values() for task in transfer.tasks}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()

    def build(self) -> Sync:
        return self._reports.sync(self._now_s())

    def heard(self, sync: Sync, synced: Synced) -> None:
        self._watch.heard_at_s = self._now_s()
        accepted = {verdict.transfer for verdict in synced.verdicts if verdict.standing == "ok"}
        for told in sync.reports:
            held = self._transfers.get(told.transfer)
            if held is not None and held.spec.epoch == told.epoch and told.transfer in accepted:
                self._drain.free(held, held.acknowledged(told))
                cut = len(told.parts) + len(told.files) == PARTS_PER_REPORT
                if cut or (done(self.runs[told.transfer]) and not told.done):
                    self.wake.set()
        self._follow(synced.duty)
        self.desired.heard(sync, synced)
        for transfer in self.desired.not_adopted(sync.found):
            self._throw_away(transfer, 0)
        if sync.found:
            self._reports.found = []
        self._inbox.put_nowait(None)

    def _follow(self, duty: Duty) -> None:
        if duty is not self._handover.duty:
            log.info("agent.duty", duty=duty, was=self._handover.duty)
            self._handover.follow(duty, self._now_s())
            self.changed()
            self.wake.set()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def _known(self) -> Collection[TransferId]:
        return {*self._transfers, *self.desired.wanted, *(found.transfer for found in self._reports.found)}

    # Hearing.

    def _hear(self, event: Event) -> None:
        run = self.runs.get(event.transfer)
        if run is None:
            return  # of a transfer that was dropped meanwhile
        held = self._transfers[event.transfer]
        events = [event]
        if isinstance(event, PieceVerified | Checked | Counted):
            events.append(self._count(held, event))
        elif isinstance(event, MetadataArrived):
            held.raw_info = event.info
        elif isinstance(event, Prepared):
            self.changed()  # its size is known: there may be room for another
        after = self.runs[run.transfer] = reduce(fold, events, run)
        if _tells(run) != _tells(after):
            self.wake.set()
            with correlated(held.spec.correlation_id):
                _say(run, after)

    def _count(self, held: Transfer, event: PieceVerified | Checked | Counted) -> Event:
        """Counted now: what was counted when an event was sent may be older than what was heard since."""
        book = held.book
        if book is None:
            return event
        if isinstance(event, PieceVerified):
            book.verified(event.piece)
            if not book.needed[event.piece]:  # it was on its way when others were chosen
                self._drain.free(held, [event.piece])
        elif isinstance(event, Checked):
            for piece in event.have:
                book.verified(piece)
        return Counted(event.transfer, unready=book.unready, unstored=book.unstored)

    # Acting.

    def _look(self) -> None:
        while actions := self._handover.allowed(reconcile.plan(self.desired.wanted, self.runs)):
            for action in actions:
                self._act(action)
        rooms = self.room.rooms()
        for transfer, held in self._transfers.items():
            if held.book and (changes := held.book.slide(rooms.get(transfer, 0))):
                self._engine.ask(transfer, list(changes.items()))
        for held, task in self._pump.take(self._may_upload):
            self._beside(held, self._pump.upload(held, task))

    def _may_upload(self, transfer: TransferId) -> Transfer | None:
        run = self.runs[transfer]
        held = self._transfers[transfer]
        idle = run.paused or run.away or run.failure or self._handover.goes(held)
        return held if run.prepared and not idle else None

    def _act(self, action: reconcile.Action) -> None:
        transfer = action.transfer
        match action:
            case reconcile.Start():
                self._start(self.desired.wanted[transfer].spec)
            case reconcile.Drop(wipe=wipe):
                self._drop(transfer, wipe=wipe)
            case reconcile.Go():
                self._hear(Judged(transfer, go=True))
            case reconcile.Pause():
                self._engine.pause(transfer)
                self._hear(Paused(transfer))
                self.changed()
            case reconcile.Resume():
                self._engine.resume(transfer)
                self._hear(Resumed(transfer))
            case reconcile.Steer():
                self._steer(transfer)
            case reconcile.Pace():
                held, pace = self._transfers[transfer], self.desired.wanted[transfer].spec.pace
                held.spec = replace(held.spec, pace=pace)
                self._engine.steer(transfer, held.steering)
                self._hear(Paced(transfer, pace))
            case reconcile.FetchInfo():
                self._errand(transfer, Errand.FETCH_INFO, self._errands.fetch_info)
            case reconcile.FetchMetadata():
                self._hear(enter(self._transfers[transfer], InEngine.METADATA, self._engine, self._disk))
            case reconcile.Judge():
                self._errand(transfer, Errand.JUDGE, self._errands.judge)
            case reconcile.Prepare():
                self._errand(transfer, Errand.PREPARE, self._errands.prepare)
            case reconcile.Bring():
                self._hear(enter(self._transfers[transfer], InEngine.CONTENT, self._engine, self._disk))
            case reconcile.Halt():
                self._engine.remove(transfer)
                self._hear(Entered(transfer, InEngine.NONE))
            case _:
                assert_never(action)

    def _start(self, spec: Spec) -> None:
        try:
            held = Transfer(spec, Journal(self._disk.journal(spec.transfer)))
            held.held()
        except OSError as broken:  # without a journal it cannot even be reported
            log.error("disk.failed", transfer=spec.transfer, detail=str(broken))
            self.desired.let_go(spec.transfer, spec.epoch)
            return
        self._transfers[spec.transfer] = held
        self.runs[spec.transfer] = begin(spec)
        self._pump.join(spec.transfer)
        self.wake.set()

    def _steer(self, transfer: TransferId) -> None:
        held = self._transfers[transfer]
        before, held.spec = held.spec.steer, self.desired.wanted[transfer].spec
        steer = held.spec.steer
        self._engine.steer(transfer, held.steering)
        if steer.announces > before.announces:
            self._engine.announce(transfer, at_once=True)
        if held.book is not None and steer.files != before.files:
            self._choose(held, held.book)
        unready, unstored = (held.book.unready, held.book.unstored) if held.book else (0, 0)
        self._hear(Steered(transfer, steer.rev, unready, unstored))

    def _choose(self, held: Transfer, book: Book) -> None:
        """Where there is no room for what is wanted now, or some of it has left the disk already, we let go: whoever
        claims the transfer next begins with a book and a budget that know of it."""
        transfer = held.spec.transfer
        missing = book.missing_bytes
        self._drain.free(held, book.choose(held.spec.steer.files))
        held.counts_anew()
        grown = self.room.grow(transfer, book, book.missing_bytes - missing)
        if not grown or (held.holes is not None and book.wants_back()):
            log.info("transfer.outgrown", transfer=transfer)
            self._handover.let_go(held, self._now_s())
            return
        self._engine.ask(transfer, list(enumerate(book.priorities(bounded=held.holes is not None))))

    def _drop(self, transfer: TransferId, *, wipe: bool) -> None:
        held = self._transfers.pop(transfer)
        for task in held.tasks:
            task.cancel()
        self._engine.remove(transfer)
        held.journal.close()
        if wipe:
            self._throw_away(transfer, held.book.held_bytes if held.book else 0)
        else:
            self.room.leave(transfer)
        del self.runs[transfer]
        self._pump.leave(transfer)
        self._uploads.trouble.pop(transfer, None)
        self.changed()
        with correlated(held.spec.correlation_id):
            log.info("transfer.dropped", transfer=transfer, epoch=held.spec.epoch)

    def _errand(self, transfer: TransferId, errand: Errand, do: Callable[[Transfer], Awaitable[Event]]) -> None:
        self._hear(Began(transfer, errand))
        held = self._transfers[transfer]
        self._beside(held, self._errands.run(held, do))

    def _refused(self, held: Transfer, refusal: Refusal) -> None:
        if refusal.void:
            log.info("transfer.void", transfer=held.spec.transfer, code=refusal.code)
            self.desired.let_go(held.spec.transfer, held.spec.epoch)
            self._inbox.put_nowait(None)
        else:
            self._inbox.put_nowait(Failed(held.spec.transfer, Failure(refusal.code, refusal.detail)))

    # Beside.

    def _beside(self, held: Transfer, work: Awaitable[None]) -> None:
        assert self._group is not None
        task = self._group.create_task(_awaited(work))
        held.tasks.add(task)
        task.add_done_callback(held.tasks.discard)

    def _throw_away(self, transfer: TransferId, held_bytes: int) -> None:
        number = self.room.discard(transfer, held_bytes)
        if self._group is not None:
            self._group.create_task(self._sweep(number))

    async def _sweep(self, number: int) -> None:
        await self.room.sweep(number)
        self.changed()
        self._inbox.put_nowait(None)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _tells(run: Run) -> tuple[Phase, bool, bool, int, Failure | None]:
    """What the control plane should hear of at once."""
    return phase(run), done(run), run.paused, run.steer, run.failure


def _say(before: Run, after: Run) -> None:
    transfer = after.transfer
    if after.failure is not None and before.failure is None:
        log.warning("transfer.failed", transfer=transfer, code=after.failure.code, detail=after.failure.detail)
    elif after.paused is not before.paused:
        log.info("transfer.paused" if after.paused else "transfer.resumed", transfer=transfer)
    elif done(after):
        log.info("transfer.done", transfer=transfer, epoch=after.epoch)
    else:
        log.info("transfer.phase", transfer=transfer, phase=phase(after))
