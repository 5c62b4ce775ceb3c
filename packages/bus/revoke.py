"""Retiring on the bus: a new account JWT that names whose credentials are void, pushed to the servers.

The servers cut such a user at once and refuse it from then on. Of several servers one takes the push and tells the
others.
"""

import ssl
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import Struct

from bus.accounts import CONTROL_INBOX, NatsKeys, fleet_account_jwt
from bus.connect import Bus, open_bus
from bus.credentials import control_credentials
from bus.errors import BusRefused

READY_S = 5.0
PUSH_S = 5.0


class _Said(Struct, frozen=True):
    code: int = 0
    message: str = ""
    description: str = ""


class _Answer(Struct, frozen=True):
    data: _Said | None = None
    error: _Said | None = None


async def revoke(
    url: str,
    tls: ssl.SSLContext,
    keys: NatsKeys,
    revoked: Mapping[str, int],
    now: datetime,
    *,
    ready_s: float = READY_S,
) -> None:
    """`revoked` is the whole list, always: the last push holds. Safe to repeat; BusDown if no server took it."""
    credentials = control_credentials(keys, "SYSTEM")
    async with open_bus("revoke", url, tls, credentials, inbox_prefix=CONTROL_INBOX) as bus:
        await bus.ready(ready_s)
        await push_account(bus, fleet_account_jwt(keys, revoked, now))


async def push_account(bus: Bus, jwt: str) -> None:
    """`bus` is connected to account SYSTEM."""
    answer = await bus.request("$SYS.REQ.CLAIMS.UPDATE", jwt.encode(), timeout=PUSH_S)
    said = msgspec.json.decode(answer.data, type=_Answer)
    if said.error is not None:
        raise BusRefused(said.error.code, said.error.description or said.error.message)
