"""Retired agents on the bus: the FLEET account's JWT names them, and the servers cut and refuse them."""

import datetime as dt

from msgspec import Struct
from sqlalchemy import select

from bus import revoke
from bus.accounts import AGENT_JWT_S
from bus.credentials import tls_context
from control.db import Tx
from control.fleet.model import Agent
from control.plane import Plane
from wire.clock import utcnow

KEEP_S = 24 * AGENT_JWT_S
"""By then every JWT that a retired agent was ever given has long expired, and it gets no other."""


class Revocations(Struct, frozen=True):
    """The same for the same rows, whoever asks and when: pushing it again changes nothing."""

    users: dict[str, int]
    """Public nkey, and the time up to which what was issued to it is void."""
    at: dt.datetime
    """When the last of them was retired: the account JWT is as old as that."""


async def read(tx: Tx, now: dt.datetime) -> Revocations | None:
    since = now - dt.timedelta(seconds=KEEP_S)
    rows = await tx.execute(select(Agent.nats_user, Agent.retired_at).where(Agent.retired_at > since))
    retired = [(user, at) for user, at in rows.all() if at is not None]
    if not retired:
        return None
    users = {user: int(at.timestamp()) + KEEP_S for user, at in retired}
    return Revocations(users, max(at for _, at in retired))


async def push(plane: Plane) -> Revocations | None:
    """All of them, always; BusError if no server took it."""
    async with plane.working() as tx:
        revocations = await read(tx, utcnow())
    if revocations is not None:
        settings = plane.settings
        tls = tls_context(settings.ca_cert_file, settings.control_cert_file, settings.control_key_file)
        await revoke.revoke(settings.nats_url, tls, plane.keys, revocations.users, revocations.at)
    return revocations
