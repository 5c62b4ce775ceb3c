"""Errands: work that waits for somebody else, one at a time for a transfer; each comes back as an event."""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import Struct

from agent.disk import Disk
from agent.fleet import Fleet, Refusal
from agent.prepare import CannotPrepare, prepare
from agent.room import DiskRoom
from agent.running import Event, Failed, InfoFetched, Judged, Prepared
from agent.transfer import Transfer
from telemetry.correlation import correlated


class Errands(Struct, frozen=True):
    fleet: Fleet
    disk: Disk
    room: DiskRoom
    happened: Callable[[Event], None]
    refused: Callable[[Transfer, Refusal], None]

    async def run(self, held: Transfer, do: Callable[[Transfer], Awaitable[Event]]) -> None:
        with correlated(held.spec.correlation_id):
            try:
                event = await do(held)
            except Refusal as refusal:
                self.refused(held, refusal)
            except CannotPrepare as cannot:
                self.happened(Failed(held.spec.transfer, cannot.failure))
            else:
                self.happened(event)

    async def fetch_info(self, held: Transfer) -> Event:
        spec = held.spec
        held.raw_info = await self.fleet.patiently(partial(self.fleet.info, spec.transfer, spec.epoch))
        if spec.v2:
            held.raw_layers = await self.fleet.patiently(partial(self.fleet.layers, spec.transfer, spec.epoch))
        return InfoFetched(spec.transfer)

    async def judge(self, held: Transfer) -> Event:
        spec, info = held.spec, held.raw_info
        assert info is not None
        verdict = await self.fleet.patiently(partial(self.fleet.judge, spec.transfer, spec.epoch, info))
        return Judged(spec.transfer, go=verdict.go)

    async def prepare(self, held: Transfer) -> Event:
        await prepare(held, self.fleet, self.disk, self.room)
        assert held.book is not None
        return Prepared(held.spec.transfer, held.book.unready, held.book.unstored)
