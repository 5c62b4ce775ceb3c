"""Loop `seal`: hash-chains the rows of the audit log that are committed and not yet sealed.

Why no row is ever skipped: no cursor is kept that a late commit could fall behind. A row and its place in
`audit_unsealed` become visible together, by their one commit, whenever that is; it leaves there in the transaction that
writes its seal, and in no other (a trigger refuses). Ids that were drawn early and commit late are sealed later, after
higher ones: the chain's order is that of sealing. One sealer at a time: the advisory lock is held until its commit is
visible, so the next one reads the true head; were there two, `seq` would be a duplicate and one of them rolled back.
"""

from datetime import datetime

import msgspec
from prometheus_client import Counter
from sqlalchemy import delete, insert, select

from control.audit import chain, reading
from control.audit.model import Entry, Seal, Unsealed
from control.loops import driver
from control.plane import Plane
from telemetry import logs

log = logs.get(__name__)

BATCH = 500
"""Some 20 ms of hashing and writing; what is left waits for the next step, at once."""

_SEALED = Counter("control_audit_sealed_total", "Rows of the audit log that were sealed.")


async def step(plane: Plane, now: datetime) -> bool:
    async with plane.working() as tx:
        if not await driver.alone(tx, "seal"):
            return False
        waiting = (
            select(*reading.CONTENT)
            .join(Unsealed, Unsealed.entry_id == Entry.id)
            .order_by(Unsealed.entry_id)
            .limit(BATCH)
        )
        rows = [reading.content(found) for found in await tx.execute(waiting)]
        if not rows:
            return False
        links = list(chain.seal(await reading.head(tx), rows, now))
        await tx.execute(insert(Seal), [msgspec.structs.asdict(link) for link in links])
        await tx.execute(delete(Unsealed).where(Unsealed.entry_id.in_([row.id for row in rows])))
    _SEALED.inc(len(links))
    # Whoever keeps logs elsewhere has the chain's heads there, out of reach of those who can change the database.
    log.info("audit.sealed", rows=len(links), seq=links[-1].seq, head=links[-1].hash.hex())
    return len(rows) == BATCH
