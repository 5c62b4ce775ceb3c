"""Live streams (SSE): one hub a process, a few bytes a watcher.

    bus ──events, progress──► hub ──the same encoded frame──► watchers of that job ──► browsers
    Postgres ──versions, and who may still watch, every tick and at each new bus connection──┘

What the bus says is only a nudge that came early: every tick the versions of all watched jobs are read again, so a
message that was lost costs seconds. A watcher holds at most a few state frames and one of progress (the newest wins),
so a slow reader costs bounded memory and never slows another. No stream holds a database connection.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from uuid import UUID

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Struct
from prometheus_client import Counter, Gauge
from sse_starlette import EventSourceResponse, ServerSentEvent

from bus.message import Message, Subscription
from control.accounts import known as accounts
from control.accounts.permissions import Permission
from control.auth import Principal
from control.errors import NotFound, Unavailable
from control.jobs import service as jobs
from control.jobs.views import view
from control.plane import Plane
from telemetry import logs
from wire import subjects
from wire.clock import utcnow
from wire.events import JobEvent
from wire.ids import OrgId
from wire.states import JOB_ENDED, JobAction, JobState, job_actions
from wire.units import HOUR_S

log = logs.get(__name__)

SSE_TICK_S = 5.0
"""What a lost message costs."""
SUBSCRIBED_S = 2.0
"""A bus that is away is not waited for: the tick tells, too."""
ALIVE_S = 15
"""Proxies cut what is silent for half a minute or more."""
STREAM_S = HOUR_S
"""A browser connects again by itself."""
NUDGED = "streams"
"""Somebody is not welcome any more: each process looks whose streams it serves."""
STATES_KEPT = 16
"""For a reader that is slow; a job has some ten changes in its life."""

_STREAMS = Gauge("control_streams", "Live streams that are open.")
_FRAMES = Counter("control_stream_frames_total", "Frames encoded, each once for all its watchers.", ["event"])


class StateView(Struct, frozen=True):
    """`event: state`. A version at or below one already seen is old."""

    job: UUID
    version: int
    state: JobState
    at: datetime
    code: str | None
    removed: bool
    actions: list[JobAction]


class Frame(Struct, frozen=True):
    data: bytes
    version: int = 0
    last: bool = False


class Watcher:
    """One open stream's slots. `by`: the session or key that opened it."""

    def __init__(self, by: UUID) -> None:
        self.by = by
        self.states: deque[Frame] = deque(maxlen=STATES_KEPT)
        self.progress: Frame | None = None
        self.seen = 0
        self.closed = False
        self.news = asyncio.Event()

    def state(self, frame: Frame) -> None:
        self.states.append(frame)
        self.news.set()

    def rates(self, frame: Frame) -> None:
        self.progress = frame
        self.news.set()

    def close(self) -> None:
        self.closed = True
        self.news.set()

    async def frames(self, lasts_s: float) -> AsyncIterator[Frame]:
        """Until the job has ended, the hub closes or `lasts_s` have passed."""
        ends = asyncio.get_running_loop().time() + lasts_s
        while not self.closed:
            try:
                async with asyncio.timeout_at(ends):
                    await self.news.wait()
            except TimeoutError:
                return
            self.news.clear()
            while self.states:
                frame = self.states.popleft()
                if frame.version > self.seen:
                    self.seen = frame.version
                    yield frame
                    if frame.last:
                        return
            if self.progress is not None:
                frame, self.progress = self.progress, None
                yield frame


class Served:
    """An organisation with open streams."""

    def __init__(self) -> None:
        self.watchers: dict[UUID, set[Watcher]] = {}
        self.told: dict[UUID, int] = {}
        """The highest version that was sent out, by job."""
        self.subscribed = asyncio.Event()


class Hub:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._served: dict[OrgId, Served] = {}
        self._subscriptions: dict[OrgId, list[Subscription]] = {}
        self._changed = asyncio.Event()
        self._look = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._plane.app_bus.subscribe(subjects.nudge_loop(NUDGED), self._nudged)
        self._plane.app_bus.on_connected(self._look.set)
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(self._keep_subscribed()), group.create_task(self._keep_current())]
            try:
                yield
            finally:
                self.close()
                for each in loops:
                    each.cancel()

    def close(self) -> None:
        """Ends every stream; the browsers come back, to another process or a later one."""
        self._closed = True
        for served in self._served.values():
            for watchers in served.watchers.values():
                for watcher in watchers:
                    watcher.close()

    @contextmanager
    def watch(self, org: OrgId, job: UUID, by: UUID) -> Iterator[Watcher]:
        """Synchronous at its end, so that a cancelled request leaves nothing behind."""
        if self._closed:
            raise Unavailable("This process is going away; connect again.", retry_after_s=1)
        watcher = Watcher(by)
        served = self._served.setdefault(org, Served())
        served.watchers.setdefault(job, set()).add(watcher)
        self._changed.set()
        _STREAMS.inc()
        try:
            yield watcher
        finally:
            _STREAMS.dec()
            served.watchers[job].discard(watcher)
            if not served.watchers[job]:
                del served.watchers[job]
                served.told.pop(job, None)
            if not served.watchers and self._served.get(org) is served:
                del self._served[org]
                self._changed.set()

    async def subscribed(self, org: OrgId) -> None:
        """Whatever is said from now on is heard, or the bus is away."""
        served = self._served[org]
        try:
            async with asyncio.timeout(SUBSCRIBED_S):
                await served.subscribed.wait()
        except TimeoutError:
            log.info("stream.not_subscribed", org=str(org))

    async def _keep_subscribed(self) -> None:
        bus = self._plane.app_bus
        while True:
            await self._changed.wait()
            self._changed.clear()
            for org in list(self._subscriptions.keys() - self._served.keys()):
                for subscription in self._subscriptions.pop(org):
                    await bus.unsubscribe(subscription)
            for org, served in list(self._served.items()):
                if org not in self._subscriptions:
                    self._subscriptions[org] = [
                        await bus.subscribe(subjects.events_of(org), self._event),
                        await bus.subscribe(subjects.progress_of(org), self._progress),
                    ]
                if bus.connected:
                    served.subscribed.set()

    async def _keep_current(self) -> None:
        tick_s = self._plane.settings.wait(SSE_TICK_S)
        while True:
            try:
                async with asyncio.timeout(tick_s):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            watched = [job for served in self._served.values() for job in served.watchers]
            if not watched:
                continue
            here = self._watchers()
            try:
                async with self._plane.working() as tx:
                    events = await jobs.latest(tx, watched)
                    welcome = await accounts.still(tx, {watcher.by for _, watcher in here}, utcnow())
            except Exception:
                # The driver of a loop: whatever it was, the next tick tries again.
                log.warning("stream.tick_failed", exc_info=True)
                continue
            for org, event in events:
                self._tell(org, event)
            self._end(set(watched) - {event.job for _, event in events})
            for org, watcher in here:
                if (watcher.by, org) not in welcome:
                    watcher.close()  # signed out, revoked, suspended or no member any more since it came

    def _watchers(self) -> list[tuple[OrgId, Watcher]]:
        served = [(org, some) for org, each in self._served.items() for some in each.watchers.values()]
        return [(org, watcher) for org, some in served for watcher in some]

    def _end(self, gone: set[UUID]) -> None:
        """Removed and purged, and nobody heard of it: their streams would stay open for nothing."""
        for served in self._served.values():
            for job in gone & served.watchers.keys():
                for watcher in served.watchers[job]:
                    watcher.close()

    async def _nudged(self, _: Message) -> None:
        self._look.set()

    async def _event(self, message: Message) -> None:
        org, _ = _place(message.subject)
        self._tell(org, msgspec.json.decode(message.data, type=JobEvent))

    async def _progress(self, message: Message) -> None:
        org, job = _place(message.subject)
        served = self._served.get(org)
        watchers = served.watchers.get(job) if served else None
        if watchers:
            _FRAMES.labels("progress").inc()
            frame = Frame(_frame("progress", message.data))
            for watcher in watchers:
                watcher.rates(frame)

    def _tell(self, org: OrgId, event: JobEvent) -> None:
        served = self._served.get(org)
        watchers = served.watchers.get(event.job) if served else None
        if served is None or not watchers or event.version <= served.told.get(event.job, 0):
            return
        served.told[event.job] = event.version
        said = StateView(
            job=event.job,
            version=event.version,
            state=event.state,
            at=event.at,
            code=event.code,
            removed=event.removed,
            actions=sorted(job_actions(event.state)),
        )
        _FRAMES.labels("state").inc()
        last = event.removed or event.state in JOB_ENDED
        frame = Frame(_frame("state", msgspec.json.encode(said)), event.version, last)
        for watcher in watchers:
            watcher.state(frame)


def _place(subject: str) -> tuple[OrgId, UUID]:
    _, org, job = subject.split(".")
    return OrgId(UUID(org)), UUID(job)


def _frame(event: str, data: bytes) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


def _alive() -> ServerSentEvent:
    return ServerSentEvent(comment="alive", sep="\n")


@get(
    "/jobs/{job_id:uuid}/events",
    permission=Permission.JOBS_READ,
    summary="Live: a snapshot, then `state` and `progress` events, until the job has ended",
    tags=["jobs"],
    media_type="text/event-stream",
)
async def events(
    job_id: FromPath[UUID],
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    hub: NamedDependency[Hub],
) -> EventSourceResponse:
    async with plane.asking(who.asker) as tx:
        await jobs.get(tx, who.org, job_id)
    return EventSourceResponse(_stream(plane, hub, who, job_id), ping=ALIVE_S, ping_message_factory=_alive)


async def _stream(plane: Plane, hub: Hub, who: Principal, job_id: UUID) -> AsyncIterator[bytes]:
    """Listens first, then reads the snapshot: nothing can fall between."""
    with hub.watch(who.org, job_id, who.by) as watcher:
        await hub.subscribed(who.org)
        try:
            async with plane.asking(who.asker) as tx:
                snapshot = view(await jobs.get(tx, who.org, job_id))
        except NotFound:
            return  # removed a moment ago
        watcher.seen = snapshot.version
        yield _frame("snapshot", msgspec.json.encode(snapshot))
        if snapshot.state in JOB_ENDED:
            return
        async for frame in watcher.frames(STREAM_S):
            yield frame.data


ROUTES = [events]
