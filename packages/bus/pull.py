"""Pulling work: the broker itself gives an offer to the least loaded agent that waits.

A pull says how loaded the agent is (0 idle … 9 full) and expires within seconds, so what it says is fresh. An offer
that is lost between the broker and us comes again after ACK_WAIT_S.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import msgspec
from msgspec import Struct

from bus.connect import Bus
from bus.errors import BusDown, NoStream
from bus.streams import GROUP, PULL_MAX_S
from wire.subjects import WORK

GRACE_S = 1.0
"""The broker says when a pull has expired; if even that does not come, we stop waiting."""
AGAIN_S = 0.25
"""Between two tries within one pull, when the consumer is gone or the bus is down: no spinning."""
EXPIRED = frozenset({"404", "408"})
"""No message, and: the request has expired. Any other status (409: the consumer was deleted, the server is
leaving, too many pulls wait) means to ask again."""
PRIORITY_MAX = 9


class Delivery(Struct, frozen=True):
    data: bytes
    headers: Mapping[str, str]
    bus: Bus
    ack_subject: str

    async def ack(self) -> None:
        """A lost ack costs one more delivery, which the claim refuses."""
        with suppress(BusDown):
            await self.bus.publish(self.ack_subject, b"+ACK")

    async def give_back(self) -> None:
        """For whoever else waits, at once; if this is lost, when `ack_wait` is over."""
        with suppress(BusDown):
            await self.bus.publish(self.ack_subject, b"-NAK")

    @property
    def delivered(self) -> int:
        """How often, to anybody; the ack subject says it, by two schemes: with the domain and without."""
        tokens = self.ack_subject.split(".")
        return int(tokens[4] if len(tokens) == 9 else tokens[6])


class _Next(Struct, frozen=True):
    batch: int
    expires: int
    group: str
    priority: int


def priority(load: float) -> int:
    """Load from 0 (idle) to 1 (full) in ten steps; lower is served first."""
    return min(PRIORITY_MAX, max(0, int(load * (PRIORITY_MAX + 1))))


async def pull(bus: Bus, pool: str, priority: int, expires_s: float = PULL_MAX_S) -> Delivery | None:
    """The next offer, or None after about `expires_s` whatever the reason: a loop around it neither spins nor hangs."""
    clock = asyncio.get_running_loop().time
    ends_at = clock() + min(expires_s, PULL_MAX_S)
    while (left_s := ends_at - clock()) > 0:
        try:
            await bus.ready(left_s)
            delivery = await _ask(bus, pool, priority, max(ends_at - clock(), AGAIN_S))
        except (BusDown, NoStream):
            await asyncio.sleep(min(AGAIN_S, max(0.0, ends_at - clock())))
            continue
        if isinstance(delivery, Delivery):
            return delivery
        if delivery in EXPIRED:
            return None
        await asyncio.sleep(AGAIN_S)
    return None


async def _ask(bus: Bus, pool: str, priority: int, expires_s: float) -> Delivery | str:
    """An offer, or the status the broker gave instead."""
    body = _Next(batch=1, expires=int(expires_s * 1e9), group=GROUP, priority=priority)
    subject = f"$JS.API.CONSUMER.MSG.NEXT.{WORK}.{pool}"
    answer = await bus.request(subject, msgspec.json.encode(body), timeout=expires_s + GRACE_S)
    if (status := answer.headers.get("Status")) is not None:
        return status
    return Delivery(answer.data, answer.headers, bus, answer.reply)
