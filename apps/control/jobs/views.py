"""A job, and what happened to it, as the API shows them."""

from control.jobs import reasons
from control.jobs.model import Event, Job
from control.jobs.schemas import (
    EventView,
    FailureView,
    FileProgressView,
    JobView,
    LiveView,
    PiecesView,
    ProgressView,
    SeedingView,
    TrackerView,
)
from control.jobs.service import Whole
from control.transfers import retry
from control.transfers.model import Transfer
from wire.events import Picture
from wire.failures import reason
from wire.messages import Detail, FileTold, Rates, TrackerTold
from wire.states import JobState, TransferState, job_actions
from wire.trackers import origin


def view(whole: Whole) -> JobView:
    job, transfer, torrent = whole.job, whole.transfer, whole.torrent
    return JobView(
        id=job.id,
        name=job.name,
        state=job.state,
        version=job.version,
        source=job.source,
        v1=torrent.v1.hex() if torrent.v1 else None,
        v2=torrent.v2.hex() if torrent.v2 else None,
        private=torrent.is_private,
        size_bytes=torrent.size_bytes,
        files_count=torrent.files_count,
        wanted_bytes=job.wanted_bytes,
        priority=job.priority,
        sequential=job.sequential,
        down_max=job.down_max,
        up_max=job.up_max,
        progress=_progress(job, transfer),
        failure=_failure(whole),
        seeding=_seeding(whole),
        expires_at=job.expires_at,
        actions=sorted(job_actions(job.state)),
        created_at=job.created_at,
        updated_at=job.updated_at,
        ended_at=job.ended_at,
    )


def _progress(job: Job, transfer: Transfer) -> ProgressView:
    """The transfer's, but never more than the job wants: others may want more of it."""
    total = job.wanted_bytes
    if total is None:
        return ProgressView(transfer.down_bytes, transfer.stored_bytes, None)
    if job.state is JobState.COMPLETED:
        return ProgressView(total, total, total)
    return ProgressView(min(transfer.down_bytes, total), min(transfer.stored_bytes, total), total)


def _seeding(whole: Whole) -> SeedingView | None:
    seed = whole.seed
    if seed is None or whole.job.state is not JobState.COMPLETED:
        return None
    return SeedingView(
        given_bytes=seed.given_bytes,
        ratio=round(seed.given_bytes / max(1, whole.transfer.size_bytes or 0), 3),
        ratio_max=seed.ratio_max,
        began_at=seed.began_at,
        ends_at=seed.ends_at,
        ended_at=seed.ended_at,
        sentence=reasons.sentence(seed.why) if seed.why else None,
    )


def _failure(whole: Whole) -> FailureView | None:
    job, transfer = whole.job, whole.transfer
    waits = transfer.state in (TransferState.WAITING, TransferState.OFFERED) and job.ended_at is None
    code = transfer.failure_code if waits else job.failure_code
    if code is None:
        return None
    known = reason(code)
    return FailureView(
        code=code,
        sentence=known.sentence,
        advice=known.advice,
        detail=transfer.failure_detail if waits else job.failure_detail,
        retryable=known.retryable,
        tries=transfer.tries,
        tries_max=retry.TRIES_MAX,
        next_try_at=(transfer.not_before or transfer.moved_at) if waits and job.state is not JobState.PAUSED else None,
    )


def event_view(event: Event) -> EventView:
    return EventView(
        version=event.version,
        from_state=event.from_state,
        to_state=event.to_state,
        who=event.who,
        why=event.why,
        sentence=reasons.sentence(event.why),
        detail=event.detail,
        epoch=event.epoch,
        agent=event.agent_id,
        at=event.at,
    )


def live_view(whole: Whole, picture: Picture, *, live: bool) -> LiveView:
    """Of the trackers only this job's: another's may be waiting for the same transfer."""
    detail = picture.detail
    cells = [(int(run.state), run.count) for run in detail.cells]
    words = {told.url: told for told in detail.trackers}
    return LiveView(
        job=whole.job.id,
        version=whole.job.version,
        live=live,
        at=picture.at,
        rates=picture.rates,
        pieces=PiecesView(detail.pieces_count, cells) if cells else None,
        files=[FileProgressView(told.file, told.down_bytes, told.stored_bytes) for told in detail.files],
        trackers=[_tracker(tier, url, words.get(url)) for tier, urls in enumerate(whole.job.trackers) for url in urls],
    )


def still_picture(whole: Whole, begun: list[FileTold]) -> Picture:
    """What the database knows of it: up to half a minute old."""
    transfer = whole.transfer
    rates = Rates(transfer.down_bytes, transfer.stored_bytes, transfer.size_bytes or 0)
    return Picture(rates, Detail(0, [], begun, []), transfer.progress_at or transfer.moved_at)


def _tracker(tier: int, url: str, told: TrackerTold | None) -> TrackerView:
    if told is None:
        return TrackerView(tier, origin(url), None, "", 0)
    return TrackerView(tier, origin(url), told.kind, told.text, told.peers)
