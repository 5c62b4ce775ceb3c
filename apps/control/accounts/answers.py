"""Answers kept for repeated creates: the same `Idempotency-Key` from the same principal gets the same answer for a day.

The row is written first, in the create's own transaction: of two at once the second waits for the first one's commit,
then finds its answer; if the first is rolled back, the second simply creates.
"""

import datetime as dt
import re

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from control.accounts.model import Answer
from control.db import Tx
from control.errors import BadInput
from wire.ids import OrgId
from wire.units import DAY_S

KEPT_S = DAY_S
_SANE = re.compile(r"[!-~]{1,255}")


async def kept(tx: Tx, principal: str, org: OrgId, key: str, body_hash: bytes, now: dt.datetime) -> Answer | None:
    """The earlier answer; None: this is the first time, go on and `keep`."""
    if not _SANE.fullmatch(key):
        raise BadInput("An Idempotency-Key has 1 to 255 printable ASCII characters.", code="bad_idempotency_key")
    mine = (Answer.principal == principal) & (Answer.key == key)
    await tx.execute(delete(Answer).where(mine, Answer.created_at < now - dt.timedelta(seconds=KEPT_S)))
    row = {
        "principal": principal, "key": key, "org_id": org, "body_hash": body_hash,
        "status": 0, "answer": b"", "created_at": now,
    }  # fmt: skip
    first = await tx.scalar(insert(Answer).values(row).on_conflict_do_nothing().returning(Answer.key))
    if first is not None:
        return None
    earlier = (await tx.scalars(select(Answer).where(mine))).one()
    if earlier.body_hash != body_hash:
        raise BadInput("This Idempotency-Key was used for something else.", code="idempotency_mismatch")
    return earlier


async def keep(tx: Tx, principal: str, key: str, status: int, answer: bytes) -> None:
    mine = (Answer.principal == principal) & (Answer.key == key)
    await tx.execute(update(Answer).where(mine).values(status=status, answer=answer))
