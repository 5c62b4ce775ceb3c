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
from wire.ids import BootId, ClaimId, TransferId, new_id
from wire.messages import Claim, Claimed, Offer, Spec

log = logs.get(__name__)

PULL_S = 4.0
"""Below the 5 s after which the load that a pull carries is stale."""
ANSWER_S = 8.0
"""Below `ack_wait`: later the same offer may be somebody else's."""
STEP_BACK_S = 5.0
"""Longer than a pull: whoever else has room asks in this time, and gets what we gave back."""
ROUNDS_MAX = 3
"""An offer that came back so often is taken, and fails: nobody else is there, and whoever waits should hear why."""


class Desk(Struct, frozen=True):
    """What a claim needs of the rest of the agent."""

    fleet: Fleet
    boot: BootId
    take: Callable[[Spec], None]
    turn: asyncio.Lock
    """No sync is under way while a claim is."""
    refuses: Callable[[TransferId], bool] = lambda transfer: False
    """It was here, and could not even pass through the smallest window."""


async def run(settings: Settings, bus: Bus, pool: str, room: "Room", desk: Desk) -> None:
    """A pull that is under way when we are cordoned ends by itself. The claim of what it still brings is refused, and
    others are offered it at once; cut short, it could take an offer along for ten seconds."""
    while True:
        await room.wait()
        delivery = await pull(bus, pool, priority(room.load()), settings.wait(PULL_S))
        if delivery is None:
            continue
        offer = _read(delivery)
        if offer is None:
            await delivery.ack()
        elif desk.refuses(offer.transfer) and delivery.delivered < ROUNDS_MAX:
            log.info("offer.given_back", transfer=offer.transfer)
            await delivery.give_back()
            await asyncio.sleep(settings.wait(STEP_BACK_S))
        else:
            await _claim(desk, offer, delivery)


class Room:
    """How many transfers there may be, and how many there are; and whether new ones are wanted and find room."""

    def __init__(
        self,
        slots: int,
        held: Callable[[], int],
        may_claim: Callable[[], bool] = lambda: True,
        disk_load: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.slots = slots
        self._held = held
        self._may_claim = may_claim
        self._disk_load = disk_load
        self.changed = asyncio.Event()

    def load(self) -> float:
        return max(self._held() / self.slots, self._disk_load())

    async def wait(self) -> None:
        while self._held() >= self.slots or not self._may_claim():
            self.changed.clear()
            await self.changed.wait()


def _read(delivery: Delivery) -> Offer | None:
    try:
        return msgspec.json.decode(delivery.data, type=Offer)
    except msgspec.DecodeError:
        log.warning("offer.unreadable")
        return None


async def _claim(desk: Desk, offer: Offer, delivery: Delivery) -> None:
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
