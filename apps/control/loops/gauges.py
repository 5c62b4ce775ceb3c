"""Loop `gauges`: how much of what there is, for who watches. Only numbers; nothing is decided here."""

from datetime import datetime

from prometheus_client import Gauge
from sqlalchemy import func, select

from control.audit.model import Entry, Unsealed
from control.fleet.model import Agent
from control.plane import Plane
from control.transfers.model import Transfer
from wire.states import TRANSFER_ENDED, AgentState, TransferState

_TRANSFERS = Gauge("control_transfers", "Transfers that are not over, by state.", ["state"])
_AGENTS = Gauge("control_agents", "Agents, by state.", ["state"])
_UNSEALED = Gauge("control_audit_unsealed", "Rows of the audit log that wait for their seal.")
_SEAL_LAG = Gauge("control_audit_seal_lag_seconds", "How long the oldest of them has waited.")


async def step(plane: Plane, now: datetime) -> bool:
    open_states = [state for state in TransferState if state not in TRANSFER_ENDED]
    async with plane.working() as tx:
        transfers = await tx.execute(
            select(Transfer.state, func.count()).where(Transfer.state.in_(open_states)).group_by(Transfer.state)
        )
        agents = await tx.execute(select(Agent.state, func.count()).group_by(Agent.state))
        waiting = select(func.count(), func.min(Entry.at)).join_from(Unsealed, Entry, Entry.id == Unsealed.entry_id)
        unsealed, since = (await tx.execute(waiting)).one()
    by_state, by_agent_state = dict(transfers.all()), dict(agents.all())
    for state in open_states:
        _TRANSFERS.labels(state.value).set(by_state.get(state, 0))
    for agent_state in AgentState:
        _AGENTS.labels(agent_state.value).set(by_agent_state.get(agent_state, 0))
    _UNSEALED.set(unsealed)
    _SEAL_LAG.set((now - since).total_seconds() if unsealed else 0)
    return False
