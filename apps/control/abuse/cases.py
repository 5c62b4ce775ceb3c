"""Verbs on takedown cases: a notice comes in, is decided, may be countered. What is blocked is so by the blocklist."""

import datetime as dt
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import insert, select, update

from control.abuse import letters
from control.abuse.model import Case
from control.abuse.schemas import CounterNotice, Notice
from control.abuse.states import HOLDS_BLOCKS, LEADS_TO, CaseState, Decision, decisions
from control.accounts.service import clean_email
from control.audit import service as audit
from control.audit.service import Actor
from control.db import Tx
from control.errors import BadInput, Conflict, NotFound
from control.mail import service as mails
from control.torrents import blocklist
from control.torrents.model import Block
from control.vault import Vault
from wire.ids import new_id

LINE_CHARS_MAX = 200
TEXT_CHARS_MAX = 10_000
TORRENTS_MAX = 200
"""Of one notice; whoever has more sends several, and each is looked at."""


async def receive(tx: Tx, vault: Vault, said: Notice, actor: Actor, now: dt.datetime) -> UUID:
    """Without RETURNING: whoever writes one may read none."""
    if not (said.good_faith and said.accurate):
        raise BadInput("Both statements must be made, or it is no notice.", code="statements_missing")
    hashes = _hashes(said.torrents)
    case = new_id()
    row = {
        "id": case,
        "state": CaseState.RECEIVED,
        "hashes": hashes,
        "name": _line(said.name),
        "email": clean_email(said.email),
        "on_behalf_of": _line(said.on_behalf_of),
        "work": _text(said.work),
        "signature": _line(said.signature),
        "ip": actor.ip,
        "created_at": now,
    }
    await tx.execute(insert(Case).values(row).inline())
    await mails.queue(tx, vault, clean_email(said.email), letters.received(case, hashes), None, now)
    await audit.record(tx, actor, "case.received", f"case:{case}", now, count=len(hashes))
    return case


async def counter(tx: Tx, vault: Vault, case_id: UUID, said: CounterNotice, actor: Actor, now: dt.datetime) -> None:
    """Once: another one would have to wait until the first is decided."""
    if not (said.good_faith and said.consent):
        raise BadInput("Both statements must be made, or it is no counter-notice.", code="statements_missing")
    case = await _locked(tx, case_id)
    if case.state is not CaseState.BLOCKED:
        raise Conflict("Nothing is blocked by this case now, or a counter-notice came already.", code="not_blocked")
    case.counter_name, case.counter_email = _line(said.name), clean_email(said.email)
    case.counter_statement, case.counter_signature = _text(said.statement), _line(said.signature)
    case.state, case.countered_at = CaseState.COUNTERED, now
    for address, letter in ((case.email, letters.countered(case.id)), (case.counter_email, letters.heard(case.id))):
        await mails.queue(tx, vault, address, letter, None, now)
    await audit.record(tx, actor, "case.countered", f"case:{case.id}", now)


async def decide(
    tx: Tx, vault: Vault, case_id: UUID, decision: Decision, reason: str, actor: Actor, now: dt.datetime
) -> Case:
    """`tx` sees every organisation. Whoever calls nudges loop `blocked`."""
    case = await _locked(tx, case_id)
    if decision not in decisions(case.state):
        raise Conflict(f"This case is {case.state}: it cannot be decided so now.", code="case_state")
    before, case.state = case.state, LEADS_TO[decision]
    case.decided_by, case.decided_for, case.decided_at = actor.name, reason, now
    await tx.flush()
    hashes = {bytes.fromhex(each) for each in case.hashes}
    if decision is Decision.BLOCK:
        await blocklist.block(tx, dict.fromkeys(hashes, f"takedown, case {case.id}"), actor, now, case.id)
    elif before in HOLDS_BLOCKS:
        await _let_go(tx, hashes, case.id, reason, actor, now)
    for address in filter(None, (case.email, case.counter_email)):
        await mails.queue(tx, vault, address, letters.decided(case.id, case.state, reason), None, now)
    await audit.record(
        tx, actor, "case.decided", f"case:{case.id}", now, before=before, after=case.state, reason=reason
    )  # fmt: skip
    return case


async def _let_go(tx: Tx, hashes: Collection[bytes], case: UUID, reason: str, actor: Actor, now: dt.datetime) -> None:
    """Only what is blocked by this case; and what another one names as well is that one's from now on."""
    mine = set(await tx.scalars(select(Block.hash).where(Block.hash.in_(hashes), Block.case_id == case)))
    for each in sorted(mine):
        others = select(Case.id).where(
            Case.id != case, Case.state.in_(HOLDS_BLOCKS), Case.hashes.contains([each.hex()])
        )
        if (other := await tx.scalar(others.order_by(Case.id).limit(1))) is not None:
            await tx.execute(update(Block).where(Block.hash == each).values(case_id=other))
            mine.discard(each)
    await blocklist.unblock(tx, mine, reason, actor, now, case)


async def get(tx: Tx, case_id: UUID) -> Case:
    case = await tx.get(Case, case_id)
    if case is None:
        raise NotFound("There is no such case.")
    return case


async def listed(tx: Tx, states: Collection[CaseState], before: UUID | None, limit: int) -> list[Case]:
    """Newest first."""
    found = select(Case).order_by(Case.id.desc()).limit(limit)
    if states:
        found = found.where(Case.state.in_(states))
    if before is not None:
        found = found.where(Case.id < before)
    return list(await tx.scalars(found))


async def _locked(tx: Tx, case_id: UUID) -> Case:
    case = await tx.scalar(select(Case).where(Case.id == case_id).with_for_update(key_share=True))
    if case is None:
        raise NotFound("There is no such case.")
    return case


def _hashes(texts: list[str]) -> list[str]:
    if not 0 < len(texts) <= TORRENTS_MAX:
        raise BadInput(f"Name 1 to {TORRENTS_MAX} torrents.", code="bad_hash")
    return [each.hex() for each in blocklist.read(texts)]


def _line(text: str) -> str:
    line = " ".join(text.split())
    if not 0 < len(line) <= LINE_CHARS_MAX or not line.isprintable():
        raise BadInput(f"A name or signature has 1 to {LINE_CHARS_MAX} printable characters.", code="bad_name")
    return line


def _text(text: str) -> str:
    clean = "".join(each for each in text.strip() if each.isprintable() or each in "\n\t")
    if not 0 < len(clean) <= TEXT_CHARS_MAX:
        raise BadInput(f"A text has 1 to {TEXT_CHARS_MAX:,} characters.", code="bad_text")
    return clean
