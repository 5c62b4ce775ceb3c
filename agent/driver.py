"""The driver: one task that owns the engine and every transfer.

It hears events (from the engine, from errands, from uploads), folds them, looks at what is wanted, and acts on the
plan. Whatever takes time (errands, uploads) runs beside it and comes back as an event.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial, reduce
from typing import assert_never

from msgspec.structs import replace

from agent import patience, reconcile
from agent.about import about
from agent.config import Settings
from agent.desired import Desired
from agent.disk import Disk
from agent.drain import Drain
from agent.engine.api import Add, Checked, Engine, MetadataArrived, MetadataMismatch, NotThere, PieceVerified
from agent.fleet import Fleet, Refusal
from agent.journal import Journal
from agent.metrics import TRANSFERS
from agent.parts import Book
from agent.patience import Waits
from agent.picture import picture
from agent.prepare import CannotPrepare, prepare
from agent.pump import Ears, Pump
from agent.room import DiskRoom
from agent.running import (
    Began,
    Counted,
    Entered,
    Errand,
    Event,
    Failed,
    InEngine,
    InfoFetched,
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
from agent.sync import Told, report
from agent.transfer import Transfer
from agent.upload import Uploads
from telemetry import logs
from telemetry.correlation import correlated
from wire.failures import failure
from wire.ids import BootId, TransferId
from wire.messages import PARTS_PER_REPORT, Failure, Found, Spec, Sync, Synced
from wire.states import Duty, Phase

log = logs.get(__name__)

TICK_S = 1.0
"""How often the engine says its rates, and it is looked whether anything moves."""
AVAILABILITY_TICKS = 5
HEARD_S = 20.0
"""A lease: for as long as the control plane has not answered, nobody else is to blame."""
HAND_OVER_S = 8.0
"""For parts on their way to the store, when others shall go on with our transfers."""
ORPHANS_S = 5.0
"""How often folders of no transfer are looked for: what libtorrent still writes after a torrent left makes one anew."""


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
        self._settings = settings
        self._engine = engine
        self._fleet = fleet
        self._disk = disk
        self._boot = boot
        self._version = version
        self._inbox: asyncio.Queue[Event | None] = asyncio.Queue()
        self._drain = Drain(self._transfers, self._beside, self._inbox.put_nowait)
        self.room = DiskRoom(disk.budget(settings.agent_disk_bytes), disk, self._drain.held)
        ears = Ears(self._inbox.put_nowait, self._refused, self.wake.set, self._drain.free)
        self._uploads = uploads
        self._pump = Pump(settings.agent_uploads, engine, uploads, ears)
        self._found: list[Found] = disk.found()
        for found in self._found:
            self.room.budget.found(found.transfer, disk.occupied(found.transfer))
        self._rev = 0
        self._asked: set[TransferId] = set()
        self._leaving = False
        self._duty = Duty.WORK
        self._let_go_at = 0.0
        """Handing over: parts on their way to the store are not waited for any longer."""
        self._heard_at_s = self._looked_at_s = asyncio.get_running_loop().time()
        self._waits = Waits(
            told_s=settings.wait(patience.TOLD_S),
            metadata_s=settings.wait(settings.agent_metadata_s),
            refused_s=settings.wait(settings.agent_refused_s),
            stall_s=settings.wait(settings.agent_stall_s),
            store_s=settings.wait(settings.agent_store_s),
        )
        self._group: asyncio.TaskGroup | None = None
        engine.listen(self._inbox.put_nowait)

    # What others call.

    def take(self, spec: Spec) -> None:
        self.desired.take(spec)
        self._inbox.put_nowait(None)

    def asked(self, transfer: TransferId) -> None:
        """Somebody looks at it closely: its picture goes with the next sync, which is now."""
        if transfer in self.runs:
            self._asked.add(transfer)
            self.wake.set()

    def load(self) -> int:
        return self.desired.at_work()

    def may_claim(self) -> bool:
        budget = self.room.budget
        unknown = sum(not want.paused and each not in budget for each, want in self.desired.wanted.items())
        return self._duty is Duty.WORK and budget.may_claim(unknown)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self._tick())
            self._group.create_task(self._clean())
            while True:
                event = await self._inbox.get()
                if event is not None:
                    self._hear(event)
                if self._inbox.empty():
                    self._look()

    async def leave(self, grace_s: float) -> None:
        """Nothing new is begun; what is on its way to the store has a moment to arrive. The next sync says so."""
        self._leaving = True
        tasks = {task for transfer in self._transfers.values() for task in transfer.tasks}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()

    def build(self) -> Sync:
        self._rev += 1
        now_s = asyncio.get_running_loop().time()
        short = self.room.is_short()
        reports = []
        for transfer, run in self.runs.items():
            want = self.desired.wanted.get(transfer)
            if want is None or want.spec.epoch != run.epoch:
                continue
            held = self._transfers[transfer]
            told = Told(
                rev=self._rev,  # of its own it would begin anew with it, under the same epoch
                store_rate=held.rate(now_s),
                handover=self._leaving or self._lets_go(held, now_s) or (want.seeds and held.gives_way(short=short)),
                eta_s=held.eta_s,
                stuck=patience.stuck(run, self._waits, now_s),
                detail=picture(run, held.book) if transfer in self._asked else None,
            )
            reports.append(report(run, held.book, held.unacked, told))
        self._asked.clear()
        return Sync(
            boot=self._boot,
            rev=self._rev,
            version=self._version,
            slots=self._settings.agent_slots,
            held=self.desired.held(),
            found=self._found,
            reports=reports,
            leaving=self._leaving,
            about=about(self._settings, self.room.budget.total_bytes, self._disk.free_bytes()),
        )

    def heard(self, sync: Sync, synced: Synced) -> None:
        self._heard_at_s = asyncio.get_running_loop().time()
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
            self._found = []
        self._inbox.put_nowait(None)

    def _follow(self, duty: Duty) -> None:
        if duty is not self._duty:
            log.info("agent.duty", duty=duty, was=self._duty)
            self._duty = duty
            self._let_go_at = asyncio.get_running_loop().time() + self._settings.wait(HAND_OVER_S)
            self.changed()
            self.wake.set()

    def _lets_go(self, held: Transfer, now_s: float) -> bool:
        """What was stored goes with it: all of it is in the report that says so."""
        if not self._goes(held) or len(held.unacked) > PARTS_PER_REPORT:
            return False
        return not held.tasks or now_s >= (self._let_go_at if held.let_go_at is None else held.let_go_at)

    def _goes(self, held: Transfer) -> bool:
        return self._duty is Duty.HAND_OVER or held.let_go_at is not None

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
        after = self.runs[run.transfer] = reduce(fold, events, run)
        if _tells(run) != _tells(after):
            self.wake.set()
            self._say(held, run, after)

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

    def _say(self, held: Transfer, before: Run, after: Run) -> None:
        with correlated(held.spec.correlation_id):
            if after.failure is not None and before.failure is None:
                log.warning(
                    "transfer.failed", transfer=after.transfer, code=after.failure.code, detail=after.failure.detail
                )
            elif after.paused is not before.paused:
                log.info("transfer.paused" if after.paused else "transfer.resumed", transfer=after.transfer)
            elif done(after):
                log.info("transfer.done", transfer=after.transfer, epoch=after.epoch)
            else:
                log.info("transfer.phase", transfer=after.transfer, phase=phase(after))

    # Acting.

    def _look(self) -> None:
        while actions := self._plan():
            for action in actions:
                self._act(action)
        rooms = self.room.rooms()
        for transfer, held in self._transfers.items():
            if held.book and (changes := held.book.slide(rooms.get(transfer, 0))):
                self._engine.ask(transfer, list(changes.items()))
        for held, task in self._pump.take(self._may_upload):
            self._beside(held, self._pump.upload(held, task))

    def _plan(self) -> list[reconcile.Action]:
        """Who leaves does nothing any more, and who hands over brings nothing."""
        if self._leaving:
            return []
        actions = reconcile.plan(self.desired.wanted, self.runs)
        if self._duty is not Duty.HAND_OVER:
            return actions
        return [action for action in actions if isinstance(action, reconcile.Start | reconcile.Drop | reconcile.Halt)]

    def _may_upload(self, transfer: TransferId) -> Transfer | None:
        run = self.runs[transfer]
        idle = run.paused or run.failure or self._leaving or self._goes(self._transfers[transfer])
        return self._transfers[transfer] if run.prepared and not idle else None

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
                self._errand(transfer, Errand.FETCH_INFO, self._fetch_info)
            case reconcile.FetchMetadata():
                self._enter(transfer, InEngine.METADATA)
            case reconcile.Judge():
                self._errand(transfer, Errand.JUDGE, self._judge)
            case reconcile.Prepare():
                self._errand(transfer, Errand.PREPARE, self._prepare)
            case reconcile.Bring():
                self._enter(transfer, InEngine.CONTENT)
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
            held.let_go_at = asyncio.get_running_loop().time() + self._settings.wait(HAND_OVER_S)
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

    def _enter(self, transfer: TransferId, kind: InEngine) -> None:
        held = self._transfers[transfer]
        content = kind is InEngine.CONTENT
        peers = [*map(_endpoint, held.spec.peers), *self._engine.known_peers(transfer)]
        add = Add(
            transfer=transfer,
            folder=self._disk.data(transfer),
            v1=held.spec.v1,
            v2=held.spec.v2,
            trackers=held.spec.trackers,
            web_seeds=held.spec.web_seeds,
            peers=peers,
            steering=held.steering,
            info=held.raw_info if content else None,
            priorities=held.book.priorities(bounded=held.holes is not None) if content and held.book else (),
            sizes=[(file.index, file.size_bytes) for file in held.info.content] if content and held.info else (),
            gives=held.holes is None and held.spec.steer.gives,
            url=held.spec.url,
        )
        try:
            self._engine.allow(held.spec.allow)
            self._engine.add(add)
        except MetadataMismatch as bad:
            self._hear(Failed(transfer, failure("metadata_mismatch", str(bad))))
        except RuntimeError as broken:  # what libtorrent raises
            self._hear(Failed(transfer, failure("engine_error", str(broken))))
        else:
            self._hear(Entered(transfer, kind))

    # Errands: one at a time for a transfer, beside the driver.

    def _errand(self, transfer: TransferId, errand: Errand, do: Callable[[Transfer], Awaitable[Event]]) -> None:
        self._hear(Began(transfer, errand))
        held = self._transfers[transfer]
        self._beside(held, self._run_errand(held, do))

    async def _run_errand(self, held: Transfer, do: Callable[[Transfer], Awaitable[Event]]) -> None:
        with correlated(held.spec.correlation_id):
            try:
                event = await do(held)
            except Refusal as refusal:
                self._refused(held, refusal)
            except CannotPrepare as cannot:
                self._inbox.put_nowait(Failed(held.spec.transfer, cannot.failure))
            else:
                self._inbox.put_nowait(event)

    async def _fetch_info(self, held: Transfer) -> Event:
        spec = held.spec
        held.raw_info = await self._fleet.patiently(partial(self._fleet.info, spec.transfer, spec.epoch))
        return InfoFetched(spec.transfer)

    async def _judge(self, held: Transfer) -> Event:
        spec, info = held.spec, held.raw_info
        assert info is not None
        verdict = await self._fleet.patiently(partial(self._fleet.judge, spec.transfer, spec.epoch, info))
        return Judged(spec.transfer, go=verdict.go)

    async def _prepare(self, held: Transfer) -> Event:
        await prepare(held, self._fleet, self._disk, self.room)
        assert held.book is not None
        self.changed()
        return Prepared(held.spec.transfer, held.book.unready, held.book.unstored)

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
        self._disk.drop(transfer)
        number = self.room.discard(transfer, held_bytes)
        if self._group is not None:
            self._group.create_task(self._swept(number))

    async def _swept(self, number: int) -> None:
        await asyncio.to_thread(self._disk.sweep)
        self.room.swept(number)
        self.changed()
        self._inbox.put_nowait(None)

    async def _clean(self) -> None:
        while True:
            await asyncio.to_thread(self._disk.sweep)
            await asyncio.sleep(ORPHANS_S)
            known = {*self._transfers, *self.desired.wanted, *(found.transfer for found in self._found)}
            if orphans := self._disk.orphans(known):
                log.info("disk.orphans", folders=orphans)

    async def _tick(self) -> None:
        for tick in itertools.count():
            with suppress(NotThere):  # the session may end before we do
                self._engine.tick(availability=tick % AVAILABILITY_TICKS == 0)
            self._see_what_moves(asyncio.get_running_loop().time())
            phases = Counter(phase(run) for run in self.runs.values())
            for kind in Phase:
                TRANSFERS.labels(phase=kind).set(phases[kind])
            await asyncio.sleep(TICK_S)

    def _see_what_moves(self, now_s: float) -> None:
        heard = now_s - self._heard_at_s < self._settings.wait(HEARD_S)
        for transfer, held in self._transfers.items():
            word = self._uploads.trouble.get(transfer, "")
            self._hear(held.looked(now_s, store_word=word, heard=heard, paused=self.runs[transfer].paused))
            if patience.asks_again(self.runs[transfer], self._waits, self._looked_at_s, now_s):
                log.info("transfer.alone", transfer=transfer)
                self._engine.announce(transfer, at_once=False)
            if why := patience.failure_of(self.runs[transfer], self._waits, now_s):
                self._hear(Failed(transfer, why))
        self._looked_at_s = now_s
        self._inbox.put_nowait(None)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _tells(run: Run) -> tuple[Phase, bool, bool, int, Failure | None]:
    """What the control plane should hear of at once."""
    return phase(run), done(run), run.paused, run.steer, run.failure


def _endpoint(peer: str) -> tuple[str, int]:
    host, _, port = peer.rpartition(":")
    return host.strip("[]"), int(port)
