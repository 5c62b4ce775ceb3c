"""Routes of jobs: add, list, look at, pause, resume, cancel, retry, change, remove."""

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from control import cursor as cursors
from control import http
from control.accounts import answers, throttle
from control.accounts.permissions import Permission
from control.accounts.throttle import Throttle
from control.audit.service import Actor
from control.auth import Principal, actor_of
from control.db import Tx
from control.http import Asked, request_id, tell_rate
from control.jobs import plain, shown, steer
from control.jobs import service as jobs
from control.jobs.schemas import EditJob, FilePage, FileView, JobPage, JobView, LiveView, Timeline
from control.jobs.shown import Tally
from control.jobs.steer import Steered
from control.jobs.views import event_view, live_view, shown_view, still_picture, view
from control.plane import Plane
from control.torrents import sent as torrents_sent
from control.transfers import progress
from wire.clock import utcnow
from wire.ids import AgentId, JobId, OrgId, TransferId
from wire.messages import FILES_TOLD_MAX
from wire.states import JobState

TAG = ["jobs"]
PAGE = 50
PAGE_MAX = 200
FILES_PAGE_MAX = 1_000
REPLAYED = {"Idempotency-Replayed": "true"}

Verb = Callable[[Tx, OrgId, UUID, Actor, dt.datetime], Awaitable[Steered]]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="At most so many.")]
States = Annotated[list[JobState] | None, QueryParameter(name="state", description="Only these; may be repeated.")]
KeepData = Annotated[bool, QueryParameter(description="Leave what is stored, for whoever asks for it again.")]
FilesLimit = Annotated[int, QueryParameter(ge=1, le=FILES_PAGE_MAX, description="At most so many.")]


@post(
    "/jobs",
    permission=Permission.JOBS_WRITE,
    status_code=201,
    summary="Ask for a torrent, or for what lies at a URL; 200 gives the job that asks for it already",
    tags=TAG,
    request_max_body_size=http.TORRENT_BYTES_MAX,
    opt={"reads_own_body": True},
    operation_class=http.TorrentOperation,
    responses={200: ResponseSpec(JobView, description="Asked for already: that job.", generate_examples=False)},
)
async def add(
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> Response[JobView]:
    now, key = utcnow(), request.headers.get("Idempotency-Key")
    tell_rate(request, (await throttling.hit(throttle.ADD_JOB, str(who.org), now=now)).headers)
    sent, actor = await torrents_sent.read(request, who.org), actor_of(request, who)
    if key is None:
        made = await plain.add(plane, who.asker, who.org, who.person, sent, actor, request_id(request), now)
        if made is not None:
            await plane.nudge("dispatch")
            return Response(answer := view(made), status_code=201, headers=_location(answer))
    async with plane.asking(who.asker) as tx:
        if key is not None and (earlier := await answers.kept(tx, who.name, who.org, key, sent.digest, now)):
            said = msgspec.json.decode(earlier.answer, type=JobView)
            return Response(said, status_code=earlier.status, headers=REPLAYED | _location(said))
        added = await jobs.add(tx, who.org, who.person, sent, plane.settings, actor, request_id(request), now)
        answer, status = view(added.whole), 201 if added.created else 200
        if key is not None:
            await answers.keep(tx, who.name, key, status, msgspec.json.encode(answer))
    if added.created:
        await plane.nudge("dispatch")
    return Response(answer, status_code=status, headers=_location(answer))


def _location(job: JobView) -> dict[str, str]:
    return {"Location": f"/api/v1/jobs/{job.id}"}


@get("/jobs", permission=Permission.JOBS_READ, summary="The organisation's jobs, newest first", tags=TAG)
async def list_jobs(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    tally: NamedDependency[Tally],
    states: States = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> JobPage:
    before = cursors.id_of(cursor) if cursor else None
    async with plane.db.straight(who.asker) as asked:
        found = await shown.page(asked, who.org, states or [], before, limit + 1)
        counts = await tally.counts(asked, who.org)
    page = found[:limit]
    more = cursors.after_id(page[-1].id) if len(found) > limit else None
    return JobPage([shown_view(job) for job in page], more, counts)


@get("/jobs/{job_id:uuid}", permission=Permission.JOBS_READ, summary="One job", tags=TAG)
async def get_job(job_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> JobView:
    async with plane.db.straight(who.asker) as asked:
        return shown_view(await shown.one(asked, who.org, job_id))


@get(
    "/jobs/{job_id:uuid}/progress",
    permission=Permission.JOBS_READ,
    summary="Progress in full: rates, piece map, files that are begun, trackers' last words",
    tags=TAG,
)
async def live(job_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> LiveView:
    """Its agent is asked, between two short transactions; what is light of it comes with every frame of the stream."""
    async with plane.asking(who.asker) as tx:
        whole = await jobs.get(tx, who.org, job_id)
    transfer = whole.transfer
    if transfer.agent_id is not None:
        of = TransferId(transfer.id)
        picture = await progress.ask(plane, who.org, JobId(job_id), of, AgentId(transfer.agent_id))
        if picture is not None:
            return live_view(whole, picture, live=True)
    async with plane.asking(who.asker) as tx:
        begun = await jobs.begun(tx, transfer, FILES_TOLD_MAX)
    return live_view(whole, still_picture(whole, begun), live=False)


@get(
    "/jobs/{job_id:uuid}/timeline",
    permission=Permission.JOBS_READ,
    summary="What happened to a job, oldest first",
    tags=TAG,
)
async def timeline(
    job_id: FromPath[UUID],
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> Timeline:
    after = cursors.index_of(cursor) if cursor else 0
    async with plane.asking(who.asker) as tx:
        found = await jobs.events(tx, who.org, job_id, after, limit + 1)
    page = [event_view(event) for event in found[:limit]]
    return Timeline(page, cursors.after_index(page[-1].version) if len(found) > limit else None)


@get(
    "/jobs/{job_id:uuid}/files",
    permission=Permission.JOBS_READ,
    summary="A job's files, and which are stored",
    tags=TAG,
)
async def list_files(
    job_id: FromPath[UUID],
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    cursor: FromQuery[str | None] = None,
    limit: FilesLimit = PAGE_MAX,
) -> FilePage:
    after = cursors.index_of(cursor) if cursor else -1
    async with plane.asking(who.asker) as tx:
        found = await jobs.files(tx, who.org, job_id, after, limit + 1)
    page = [
        FileView(r.file.index, r.file.path, r.file.size_bytes, r.wanted, r.stored, r.expires_at) for r in found[:limit]
    ]
    return FilePage(page, cursors.after_index(page[-1].index) if len(found) > limit else None)


@post(
    "/jobs/{job_id:uuid}/pause",
    permission=Permission.JOBS_WRITE,
    status_code=200,
    summary="Pause a job; its slot is free at once",
    tags=TAG,
)
async def pause(
    job_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> JobView:
    return await _steer(steer.pause, job_id, request, plane, who)


@post(
    "/jobs/{job_id:uuid}/resume",
    permission=Permission.JOBS_WRITE,
    status_code=200,
    summary="Go on with a paused job",
    tags=TAG,
)
async def resume(
    job_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> JobView:
    return await _steer(steer.resume, job_id, request, plane, who)


@post(
    "/jobs/{job_id:uuid}/cancel",
    permission=Permission.JOBS_WRITE,
    status_code=200,
    summary="Stop a job; what is stored stays until removal",
    tags=TAG,
)
async def cancel(
    job_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> JobView:
    return await _steer(steer.cancel, job_id, request, plane, who)


@post(
    "/jobs/{job_id:uuid}/retry",
    permission=Permission.JOBS_WRITE,
    status_code=200,
    summary="Try a failed or cancelled job once more",
    tags=TAG,
)
async def retry(
    job_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> JobView:
    return await _steer(steer.retry, job_id, request, plane, who)


@post(
    "/jobs/{job_id:uuid}/reannounce",
    permission=Permission.JOBS_WRITE,
    status_code=200,
    summary="Ask the trackers for peers now",
    tags=TAG,
)
async def reannounce(
    job_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> JobView:
    return await _steer(steer.reannounce, job_id, request, plane, who)


@patch(
    "/jobs/{job_id:uuid}",
    permission=Permission.JOBS_WRITE,
    summary="Change a job: its files, name, priority, order and speed",
    tags=TAG,
)
async def edit(
    job_id: FromPath[UUID],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    data: JSONBody[EditJob],
) -> JobView:
    async with plane.asking(who.asker) as tx:
        done = await steer.edit(tx, who.org, job_id, data, actor_of(request, who), utcnow())
    return await _steered(plane, done)


async def _steer(verb: Verb, job_id: UUID, request: Asked, plane: Plane, who: Principal) -> JobView:
    async with plane.asking(who.asker) as tx:
        done = await verb(tx, who.org, job_id, actor_of(request, who), utcnow())
    return await _steered(plane, done)


async def _steered(plane: Plane, done: Steered) -> JobView:
    """The agent acts within a second; a slot may be free, or wanted."""
    if done.agent is not None:
        await plane.nudge_agent(done.agent)
    await plane.nudge("dispatch")
    return view(done.whole)


@delete(
    "/jobs/{job_id:uuid}",
    permission=Permission.JOBS_WRITE,
    status_code=204,
    summary="Take an ended job off the list, and its files away",
    tags=TAG,
)
async def remove(
    job_id: FromPath[UUID],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    keep_data: KeepData = False,
) -> None:
    async with plane.asking(who.asker) as tx:
        await steer.remove(tx, who.org, job_id, actor_of(request, who), utcnow(), keep_data=keep_data)
    await plane.nudge("purge")


ROUTES = [add, list_jobs, get_job, live, timeline, list_files, pause, resume, cancel, retry, reannounce, edit, remove]
