"""A row of the feed, as the API and webhooks tell it."""

from control.feed.model import FeedRow
from control.feed.schemas import FeedEvent, FileTold, JobTold


def view(row: FeedRow) -> FeedEvent:
    assert row.seq is not None  # nobody reads what has no number
    job = JobTold(row.job_id, row.name, row.state, row.version, row.from_state, row.why, row.detail)
    file = None
    if row.file is not None and row.path is not None:
        file = FileTold(row.file, row.path, row.size_bytes or 0)
    return FeedEvent(row.seq, row.type, row.at, job, file)
