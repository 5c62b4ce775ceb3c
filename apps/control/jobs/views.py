"""A job as the API shows it."""

from control.jobs.model import Job
from control.jobs.schemas import FailureView, JobView, ProgressView
from control.jobs.service import Whole
from control.transfers.model import Transfer
from wire.states import JobState, job_actions


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
        failure=FailureView(job.failure_code, job.failure_detail) if job.failure_code else None,
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
