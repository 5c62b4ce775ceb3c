"""Claims: while there is room, pull offers from the bus and claim them; what is granted goes to the driver.

A message only offers work. It is acked when the claim was answered, whichever way; unanswered, it comes again.
"""

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Struct

from agent.config import Settings
from agent.fleet import Fleet, Refusal
from bus.connect import Bus
from bus.pull import Delivery, priority, pull
from telemetry import logs
from telemetry.correlation import correlated
from wire.ids import BootId, ClaimId, new_id
from wire.messages import Claim, Claimed, Offer, Spec

log = logs.get(__name__)

PULL_S = 4.0
"""Below the 5 s after which the load that a pull carries is stale."""
ANSWER_S = 8.0
"""Below `ack_wait`: later the same offer may be somebody else's."""


class Desk(Struct, frozen=True):
    """What a claim needs of the rest of the agent."""

    fleet: Fleet
    boot: BootId
    take: Callable[[Spec], None]
    turn: asyncio.Lock
    """No sync is under way while a claim is."""


async def run(settings: Settings, bus: Bus, pool: str, room: "Room", desk: Desk) -> None:
    """A pull that is under way when we are cordoned ends by itself. The claim of what it still brings is refused, and
    others are offered it at once; cut short, it could take an offer along for ten seconds."""
    while True:
        await room.wait()
        delivery = await pull(bus, pool, priority(room.load()), settings.wait(PULL_S))
        if delivery is not None:
            await _claim(desk, delivery)


class Room:
    """How many transfers there may be, and how many there are; and whether new ones are wanted at all."""

    def __init__(self, slots: int, held: Callable[[], int], wanted: Callable[[], bool] = lambda: True) -> None:
        self.slots = slots
        self._held = held
        self._wanted = wanted
        self.changed = asyncio.Event()

    def load(self) -> float:
        return self._held() / self.slots

    async def wait(self) -> None:
        while not self._wanted() or self._held() >= self.slots:
            self.changed.clear()
            await self.changed.wait()


async def _claim(desk: Desk, delivery: Delivery) -> None:
    try:
        offer = msgspec.json.decode(delivery.data, type=Offer)
    except msgspec.DecodeError:
        log.warning("offer.unreadable")
        await delivery.ack()
        return
    with correlated(offer.correlation_id):
        claim = Claim(offer.transfer, desk.boot, ClaimId(new_id()))
        try:
            async with asyncio.timeout(ANSWER_S), desk.turn:
                answer = await desk.fleet.patiently(lambda: desk.fleet.claim(claim))
                if isinstance(answer, Claimed):
                    desk.take(answer.spec)
        except TimeoutError:
            log.warning("claim.unanswered", transfer=offer.transfer)
            return
        except Refusal as refusal:
            log.warning("claim.refused", transfer=offer.transfer, code=refusal.code)
        else:
            if isinstance(answer, Claimed):
                log.info("transfer.claimed", transfer=offer.transfer, epoch=answer.spec.epoch)
            else:
                log.info("claim.refused", transfer=offer.transfer, code=answer.code)
        await delivery.ack()
