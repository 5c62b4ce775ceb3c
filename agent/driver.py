"""The driver: one task that owns the engine and every transfer.

It hears events (from the engine, from errands, from uploads), folds them, looks at what is wanted, and acts on the
plan. Whatever takes time (errands, uploads) runs beside it and comes back as an event.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import assert_never

from agent import reconcile
from agent.config import Settings
from agent.desired import Desired
from agent.disk import Disk
from agent.engine.api import Add, Checked, Engine, MetadataArrived, MetadataMismatch, NotThere, PieceVerified
from agent.fleet import Fleet, Refusal
from agent.journal import Journal
from agent.metrics import TRANSFERS
from agent.prepare import CannotPrepare, prepare
from agent.pump import Ears, Pump
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
    Prepared,
    Run,
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
from wire.ids import BootId, TransferId
from wire.messages import PARTS_PER_REPORT, Failure, Found, Spec, Sync, Synced
from wire.states import Phase

log = logs.get(__name__)

TICK_S = 1.0
"""How often the engine says its rates."""
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
        ears = Ears(self._inbox.put_nowait, self._refused, self.wake.set)
        self._pump = Pump(settings.agent_uploads, engine, uploads, ears)
        self._found: list[Found] = disk.found()
        self._rev = 0
        self._leaving = False
        self._group: asyncio.TaskGroup | None = None
        engine.listen(self._inbox.put_nowait)

    # What others call.

    def take(self, spec: Spec) -> None:
        self.desired.take(spec)
        self._inbox.put_nowait(None)

    def load(self) -> int:
        return len(self.desired.wanted)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self._tick())
            self._group.create_task(self._clean())
            self._sweep()
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
        reports = []
        for transfer, run in self.runs.items():
            want = self.desired.wanted.get(transfer)
            if want is None or want.spec.epoch != run.epoch:
                continue
            held = self._transfers[transfer]
            held.rev += 1
            told = Told(rev=held.rev, store_rate=held.rate(now_s), handover=self._leaving)
            reports.append(report(run, held.book, held.unacked, told))
        return Sync(
            boot=self._boot,
            rev=self._rev,
            version=self._version,
            slots=self._settings.agent_slots,
            held=self.desired.held(),
            found=self._found,
            reports=reports,
            leaving=self._leaving,
        )

    def heard(self, sync: Sync, synced: Synced) -> None:
        accepted = {verdict.transfer for verdict in synced.verdicts if verdict.standing == "ok"}
        for told in sync.reports:
            held = self._transfers.get(told.transfer)
            if held is not None and held.spec.epoch == told.epoch and told.transfer in accepted:
                held.unacked.acknowledged(told)
                cut = len(told.parts) + len(told.files) == PARTS_PER_REPORT
                if cut or (done(self.runs[told.transfer]) and not told.done):
                    self.wake.set()
        self.desired.heard(sync, synced)
        for transfer in self.desired.not_adopted(sync.found):
            self._disk.drop(transfer)
        if sync.found:
            self._found = []
            self._sweep()
        self._inbox.put_nowait(None)

    # Hearing.

    def _hear(self, event: Event) -> None:
        run = self.runs.get(event.transfer)
        if run is None:
            return  # of a transfer that was dropped meanwhile
        held = self._transfers[event.transfer]
        if isinstance(event, PieceVerified | Checked | Counted):
            event = self._count(held, event)
        elif isinstance(event, MetadataArrived):
            held.raw_info = event.info
        after = self.runs[run.transfer] = fold(run, event)
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
            elif done(after):
                log.info("transfer.done", transfer=after.transfer, epoch=after.epoch)
            else:
                log.info("transfer.phase", transfer=after.transfer, phase=phase(after))

    # Acting.

    def _look(self) -> None:
        while actions := reconcile.plan(self.desired.wanted, self.runs):
            if self._leaving:
                break
            for action in actions:
                self._act(action)
        for transfer, held in self._transfers.items():
            if held.book and (changes := held.book.slide()):
                self._engine.ask(transfer, list(changes.items()))
        for held, task in self._pump.take(self._may_upload):
            self._beside(held, self._pump.upload(held, task))
        for kind in Phase:
            TRANSFERS.labels(phase=kind).set(sum(phase(run) is kind for run in self.runs.values()))

    def _may_upload(self, transfer: TransferId) -> Transfer | None:
        run = self.runs[transfer]
        return self._transfers[transfer] if run.prepared and not run.failure and not self._leaving else None

    def _act(self, action: reconcile.Action) -> None:
        transfer = action.transfer
        match action:
            case reconcile.Start():
                self._start(self.desired.wanted[transfer].spec)
            case reconcile.Drop(wipe=wipe):
                self._drop(transfer, wipe=wipe)
            case reconcile.Go():
                self._hear(Judged(transfer, go=True))
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
        held = Transfer(spec, Journal(self._disk.journal(spec.transfer)))
        held.held()
        self._transfers[spec.transfer] = held
        self.runs[spec.transfer] = begin(spec)
        self._pump.join(spec.transfer)
        self.wake.set()

    def _drop(self, transfer: TransferId, *, wipe: bool) -> None:
        held = self._transfers.pop(transfer)
        for task in held.tasks:
            task.cancel()
        self._engine.remove(transfer)
        held.journal.close()
        if wipe:
            self._disk.drop(transfer)
            self._sweep()
        del self.runs[transfer]
        self._pump.leave(transfer)
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
            info=held.raw_info if content else None,
            priorities=held.book.priorities() if content and held.book else (),
            sizes=[(file.index, file.size_bytes) for file in held.info.content] if content and held.info else (),
        )
        try:
            self._engine.allow(held.spec.allow)
            self._engine.add(add)
        except MetadataMismatch as bad:
            self._hear(Failed(transfer, Failure("metadata_mismatch", str(bad), retryable=False)))
        except RuntimeError as failure:  # what libtorrent raises
            self._hear(Failed(transfer, Failure("engine_error", str(failure))))
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
            except CannotPrepare as failure:
                self._inbox.put_nowait(Failed(held.spec.transfer, failure.failure))
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
        await prepare(held, self._fleet, self._disk)
        assert held.book is not None
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

    def _sweep(self) -> None:
        if self._group is not None:
            self._group.create_task(asyncio.to_thread(self._disk.sweep))

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(ORPHANS_S)
            known = {*self._transfers, *self.desired.wanted, *(found.transfer for found in self._found)}
            if orphans := self._disk.orphans(known):
                log.info("disk.orphans", folders=orphans)
                self._sweep()

    async def _tick(self) -> None:
        while True:
            with suppress(NotThere):  # the session may end before we do
                self._engine.tick()
            await asyncio.sleep(TICK_S)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _tells(run: Run) -> tuple[Phase, bool, Failure | None]:
    """What the control plane should hear of at once."""
    return phase(run), done(run), run.failure


def _endpoint(peer: str) -> tuple[str, int]:
    host, _, port = peer.rpartition(":")
    return host.strip("[]"), int(port)
