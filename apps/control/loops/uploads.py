"""Loop `uploads`: multipart uploads that nobody will complete are aborted: open for a day, and named by no row.

One that was opened and not kept (a process died in between, or the store did not hear the abort) is paid for by the
gigabyte and seen by nobody. One that a row names is a transfer's, however long that takes.
"""

from datetime import datetime, timedelta

from prometheus_client import Counter

from control.loops import driver
from control.plane import Plane
from control.transfers import orphans
from telemetry import logs
from wire.units import DAY_S

log = logs.get(__name__)

OLD_S = DAY_S
"""Between opening one and keeping its name there are milliseconds; a day is far from any doubt."""

_ABORTED = Counter("control_uploads_aborted_total", "Multipart uploads aborted because no row named them.")


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "uploads"):
            return False
    old = now - timedelta(seconds=plane.settings.wait(OLD_S))
    for upload in await orphans.uploads(plane, old):
        await plane.store.abort(upload.key, upload.upload_id)
        _ABORTED.inc()
        log.info("upload.aborted", key=upload.key)
    return False
