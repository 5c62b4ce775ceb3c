"""A job, and what happened to it, as the API shows them."""

from control.jobs import reasons, shown
from control.jobs.model import Event
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
from control.jobs.shown import Shown
from control.transfers import retry
from wire.events import Picture
from wire.failures import reason
from wire.messages import Detail, FileTold, Rates, TrackerTold
from wire.states import JobState, TransferState, job_actions
from wire.trackers import origin


def view(whole: Whole) -> JobView:
    return shown_view(shown.of(whole))


def shown_view(job: Shown) -> JobView:
    return JobView(
        id=job.id,
        name=job.name,
        state=job.state,
        version=job.version,
        source=job.source,
        v1=job.v1.hex() if job.v1 else None,
        v2=job.v2.hex() if job.v2 else None,
        private=job.is_private,
        size_bytes=job.torrent_bytes,
        files_count=job.files_count,
        wanted_bytes=job.wanted_bytes,
        priority=job.priority,
        sequential=job.sequential,
        down_max=job.down_max,
        up_max=job.up_max,
        progress=_progress(job),
        failure=_failure(job),
        seeding=_seeding(job),
        expires_at=job.expires_at,
        actions=sorted(job_actions(job.state)),
        created_at=job.created_at,
        updated_at=job.updated_at,
        ended_at=job.ended_at,
    )


def _progress(job: Shown) -> ProgressView:
    """The transfer's, but never more than the job wants: others may want more of it."""
    total = job.wanted_bytes
    if total is None:
        return ProgressView(job.down_bytes, job.stored_bytes, None)
    if job.state is JobState.COMPLETED:
        return ProgressView(total, total, total)
    return ProgressView(min(job.down_bytes, total), min(job.stored_bytes, total), total)


def _seeding(job: Shown) -> SeedingView | None:
    if job.given_from is None or job.given_until is None or job.state is not JobState.COMPLETED:
        return None
    given = job.given_bytes or 0
    return SeedingView(
        given_bytes=given,
        ratio=round(given / max(1, job.transfer_bytes or 0), 3),
        ratio_max=job.ratio_max,
        began_at=job.given_from,
        ends_at=job.given_until,
        ended_at=job.given_ended_at,
        sentence=reasons.sentence(job.given_why) if job.given_why else None,
    )


def _failure(job: Shown) -> FailureView | None:
    waits = job.transfer_state in (TransferState.WAITING, TransferState.OFFERED) and job.ended_at is None
    code = job.transfer_failure_code if waits else job.failure_code
    if code is None:
        return None
    known = reason(code)
    return FailureView(
        code=code,
        sentence=known.sentence,
        advice=known.advice,
        detail=job.transfer_failure_detail if waits else job.failure_detail,
        retryable=known.retryable,
        tries=job.tries,
        tries_max=retry.TRIES_MAX,
        next_try_at=(job.not_before or job.moved_at) if waits and job.state is not JobState.PAUSED else None,
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
