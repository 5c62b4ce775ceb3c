"""Ids: a NewType for each noun, so that one cannot be passed for another. All are UUIDs that sort by age."""

import os
import time
from typing import NewType
from uuid import UUID

OrgId = NewType("OrgId", UUID)
PersonId = NewType("PersonId", UUID)
SessionId = NewType("SessionId", UUID)
KeyId = NewType("KeyId", UUID)
TorrentId = NewType("TorrentId", UUID)
TransferId = NewType("TransferId", UUID)
JobId = NewType("JobId", UUID)
AgentId = NewType("AgentId", UUID)
BootId = NewType("BootId", UUID)
ClaimId = NewType("ClaimId", UUID)


def new_id() -> UUID:
    """A version 7 UUID: 48 bits of milliseconds, then randomness."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value &= ~(0xF << 76) & ~(0x3 << 62)
    return UUID(int=value | 0x7 << 76 | 0x2 << 62)
