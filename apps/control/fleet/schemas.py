"""What the API takes and gives about the fleet."""

import datetime as dt
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from control.fleet import service
from control.fleet.pools import PoolRow
from control.fleet.service import AgentRow
from control.seeding import Seeding
from control.transfers.model import Transfer
from wire.states import AgentState, Duty, TransferState
from wire.version import VERSION


class MakeToken(Struct, frozen=True, forbid_unknown_fields=True):
    name: str | None = None
    """The agent's; else it names itself."""
    pool: str | None = None
    ttl_s: int = service.TOKEN_S


class TokenView(Struct, frozen=True):
    token: str
    """Shown once, good once: `seedlift agent enrol --token …`."""
    expires_at: dt.datetime


class Why(Struct, frozen=True, forbid_unknown_fields=True):
    reason: str | None = None
    """Stands in the log of audit."""


class Drain(Struct, frozen=True, forbid_unknown_fields=True):
    hand_over: bool = False
    """Others go on with what is at work, from the parts that are stored; else it is ended here first."""
    reason: str | None = None


class Rename(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class DescribePool(Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    description: str | UnsetType = UNSET
    seeding: Seeding | UnsetType = UNSET
    """Whether its agents give to peers; of what an organisation's plan says, the stricter counts."""


class AgentView(Struct, frozen=True, kw_only=True):
    id: UUID
    name: str
    pool: str
    region: str
    labels: dict[str, str]
    duty: Duty
    """What it should do."""
    state: AgentState
    boot: UUID | None
    """Which life of its process this is."""
    version: str
    is_current: bool
    """Of the control plane's own version."""
    slots: int
    running: int
    disk_budget_bytes: int | None
    """What it may fill with what it downloads."""
    disk_free_bytes: int | None
    """What of that it could still fill now."""
    down_max: int
    """Bytes a second of all that it does; 0: no limit."""
    up_max: int
    seen_at: dt.datetime | None
    certificate_until: dt.datetime
    created_at: dt.datetime
    retired_at: dt.datetime | None


class HeldView(Struct, frozen=True):
    """A transfer at work on an agent. Whose it is and what is in it is no operator's business."""

    id: UUID
    state: TransferState
    epoch: int
    size_bytes: int | None
    stored_bytes: int
    moved_at: dt.datetime


class AgentDetail(Struct, frozen=True):
    agent: AgentView
    held: list[HeldView]


class Agents(Struct, frozen=True):
    items: list[AgentView]


class Pools(Struct, frozen=True):
    items: list[PoolRow]


def view(row: AgentRow) -> AgentView:
    agent = row.agent
    return AgentView(
        id=agent.id,
        name=agent.name,
        pool=agent.pool,
        region=agent.region,
        labels=agent.labels,
        duty=agent.duty,
        state=agent.state,
        boot=agent.boot,
        version=agent.version,
        is_current=agent.version == VERSION,
        slots=agent.slots,
        running=row.running,
        disk_budget_bytes=agent.disk_budget_bytes,
        disk_free_bytes=agent.disk_free_bytes,
        down_max=agent.down_max,
        up_max=agent.up_max,
        seen_at=agent.seen_at,
        certificate_until=agent.certificate_until,
        created_at=agent.created_at,
        retired_at=agent.retired_at,
    )


def held_view(transfer: Transfer) -> HeldView:
    return HeldView(
        id=transfer.id,
        state=transfer.state,
        epoch=transfer.epoch,
        size_bytes=transfer.size_bytes,
        stored_bytes=transfer.stored_bytes,
        moved_at=transfer.moved_at,
    )
