"""Loop `gauges`: how much of what there is, for who watches. Only numbers; nothing is decided here."""

from collections import Counter
from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy import func, select

from control.audit.model import Entry, Unsealed
from control.fleet import authority, service
from control.fleet.service import AgentRow
from control.plane import Plane
from control.transfers.model import Seed, Transfer
from wire.states import TRANSFER_ENDED, AgentState, TransferState
from wire.version import VERSION

_TRANSFERS = Gauge("control_transfers", "Transfers that are not over, by state.", ["state"])
_DEAD = Gauge("control_dead_transfers", "Dead letters: transfers that were given up and wait for somebody.")
_SEEDS = Gauge("control_seeds", "Stored transfers that agents still give to peers.")
_AGENTS = Gauge("control_agents", "Agents, by state.", ["state"])
_OUTDATED = Gauge("control_agents_outdated", "Agents that run another version than the control plane.")
_SLOTS = Gauge("control_slots", "Slots of agents that take work, taken or free.", ["pool", "use"])
_DISK = Gauge("control_agent_disk_free_bytes", "What an agent can still fill.", ["agent"])
_CERTIFICATES = Gauge("control_certificate_seconds", "How long a certificate is still good.", ["whose"])

Said = dict[tuple[str, ...], float]
_known: dict[Gauge, set[tuple[str, ...]]] = {}
"""What was said last, so that an agent that is gone is not spoken of for ever."""
_UNSEALED = Gauge("control_audit_unsealed", "Rows of the audit log that wait for their seal.")
_SEAL_LAG = Gauge("control_audit_seal_lag_seconds", "How long the oldest of them has waited.")


async def step(plane: Plane, now: datetime) -> bool:
    open_states = [state for state in TransferState if state not in TRANSFER_ENDED]
    async with plane.working() as tx:
        rows = await tx.execute(
            select(Transfer.state, func.count()).where(Transfer.state.in_(open_states)).group_by(Transfer.state)
        )
        dead = await tx.scalar(select(func.count()).where(Transfer.dead_at.is_not(None)))
        seeds = await tx.scalar(select(func.count()).where(Seed.ended_at.is_(None)))
        agents = await service.listed(tx)
        queued = select(func.count(), func.min(Entry.at)).join_from(Unsealed, Entry, Entry.id == Unsealed.entry_id)
        unsealed, since = (await tx.execute(queued)).one()
    transfers = dict(rows.all())
    _say(_TRANSFERS, {(state.value,): transfers.get(state, 0) for state in open_states})
    _DEAD.set(dead or 0)
    _SEEDS.set(seeds or 0)
    _say(_AGENTS, _by_state(agents))
    _fleet([row for row in agents if row.agent.retired_at is None])
    ends = authority.ends(plane.settings) | {
        f"agent {row.agent.name}": row.agent.certificate_until for row in agents if row.agent.retired_at is None
    }
    _say(_CERTIFICATES, {(whose,): (until - now).total_seconds() for whose, until in ends.items()})
    _UNSEALED.set(unsealed)
    _SEAL_LAG.set((now - since).total_seconds() if unsealed else 0)
    return False


def _by_state(agents: list[AgentRow]) -> Said:
    counts = Counter(row.agent.state for row in agents)
    return {(state.value,): counts[state] for state in AgentState}


def _fleet(agents: list[AgentRow]) -> None:
    _OUTDATED.set(sum(row.agent.version != VERSION for row in agents))
    slots: Said = {}
    for row in agents:
        if row.agent.state is AgentState.READY:
            for use, count in (("taken", row.running), ("free", max(0, row.agent.slots - row.running))):
                slots[row.agent.pool, use] = slots.get((row.agent.pool, use), 0) + count
    _say(_SLOTS, slots)
    _say(_DISK, {(a.name,): a.disk_free_bytes for a in (r.agent for r in agents) if a.disk_free_bytes is not None})


def _say(gauge: Gauge, said: Said) -> None:
    for labels, value in said.items():
        gauge.labels(*labels).set(value)
    for gone in _known.get(gauge, set()) - said.keys():
        gauge.remove(*gone)
    _known[gauge] = set(said)
