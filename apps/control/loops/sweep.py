"""Loop `sweep`: once a day, and when an operator asks, the whole store is held against the rows, both ways.

    objects that no row names ──► removed          uploads that no row names ──► aborted
    rows whose object is not there ──► forgotten, told, and counted for an alert
A page of names is one step, and how far it has come is in its row: whoever is killed is taken up where he was.
"""

from datetime import datetime, timedelta

from prometheus_client import Counter
from sqlalchemy import delete, exists, select

from control.audit import service as audit
from control.audit.model import Severity
from control.audit.service import Actor
from control.db import Tx
from control.loops import driver
from control.plane import Plane
from control.storage.store import Listed
from control.transfers import orphans
from control.transfers.model import Object, Sweep
from telemetry import logs
from wire.ids import new_id
from wire.units import DAY_S, HOUR_S

log = logs.get(__name__)

WHO = "loop:sweep"
EVERY_S = DAY_S
OLD_S = DAY_S
"""Between a PUT and the report of it there are seconds, or an agent's restart; a day is far from any doubt."""
SETTLED_S = HOUR_S
"""A row that is younger than this may be about an object that came after the page was listed."""
EXAMPLES_MAX = 50

_ORPHANS = Counter("control_orphans_total", "Objects that no row named, removed from the store.")
_LOST = Counter("control_objects_lost_total", "Rows whose object was not in the store.")


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "sweep"):
            return False
        sweep = await _next(tx, plane, now)
    if sweep is None:
        return False
    page = await plane.store.page(sweep.after_key)
    old = now - timedelta(seconds=plane.settings.wait(OLD_S))
    through = page[-1].key if page else None
    async with plane.working() as tx:
        found = await orphans.judge(tx, page, old)
        settled = now - timedelta(seconds=plane.settings.wait(SETTLED_S))
        said = await orphans.stored_between(tx, sweep.after_key, through, settled)
    lost = await orphans.lost(plane, page, said)
    uploads = [] if page else await orphans.uploads(plane, old)
    if not sweep.dry_run:
        await plane.store.remove(each.key for each in found.orphans)
        for upload in uploads:
            await plane.store.abort(upload.key, upload.upload_id)
    async with plane.working() as tx:
        row = await tx.get(Sweep, sweep.id, with_for_update=True)
        if row is None or row.after_key != sweep.after_key or row.ended_at is not None:
            return True  # another process was faster
        lost = list(await tx.scalars(select(Object.key).where(Object.key.in_(lost))))  # or purged meanwhile
        if lost and not row.dry_run:
            await _forget(tx, lost, now)
        _count(row, page, found, lost, len(uploads))
        if through is None:
            row.ended_at = now
            log.info("sweep.ended", **summary(row))
        else:
            row.after_key = through
        if not row.dry_run:
            _ORPHANS.inc(len(found.orphans))
            _LOST.inc(len(lost))
    return True


async def _next(tx: Tx, plane: Plane, now: datetime) -> Sweep | None:
    """The oldest that is not over; or, a day after the last one that did more than look, another."""
    unfinished = select(Sweep).where(Sweep.ended_at.is_(None)).order_by(Sweep.asked_at, Sweep.id).limit(1)
    if (found := await tx.scalar(unfinished)) is not None:
        return found
    since = now - timedelta(seconds=plane.settings.wait(EVERY_S))
    if await tx.scalar(select(exists().where(~Sweep.dry_run, Sweep.asked_at > since))):
        return None
    daily = Sweep(id=new_id(), dry_run=False, asked_by=WHO, asked_at=now)
    tx.add(daily)
    await tx.flush()
    return daily


async def _forget(tx: Tx, keys: list[str], now: datetime) -> None:
    """The file is shown as not stored; choosing it again fetches it again."""
    gone = delete(Object).where(Object.key.in_(keys)).returning(Object.transfer_id, Object.file, Object.scope_id)
    rows = await tx.execute(gone.execution_options(synchronize_session=False))
    for transfer, file, scope in rows.all():
        log.error("object.lost", transfer=str(transfer), file=file)
        actor = Actor(name=WHO, org=scope)
        await audit.record_as(tx, Severity.CRITICAL, actor, "object.lost", f"transfer:{transfer}", now, file=file)


def _count(row: Sweep, page: list[Listed], found: orphans.Found, lost: list[str], uploads: int) -> None:
    row.looked_at += len(page)
    row.orphans += len(found.orphans)
    row.orphan_bytes += sum(each.size_bytes for each in found.orphans)
    row.lost += len(lost)
    row.uploads += uploads
    row.strange += len(found.strange)
    named = [f"orphan {each.key}" for each in found.orphans] + [f"lost {key}" for key in lost]
    row.examples = [*row.examples, *named][:EXAMPLES_MAX]


def summary(row: Sweep) -> dict[str, object]:
    fields = ("looked_at", "orphans", "orphan_bytes", "lost", "uploads", "strange", "dry_run")
    return {"sweep": str(row.id), **{field: getattr(row, field) for field in fields}}
