"""Paces: the agent's own limit, divided anew every second among its torrents; beside each one's steering. Pure.

libtorrent's own limit of a session is shared by its peers: who has most of them would have most of it.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from agent.engine.api import EngineEvent, Figures, Steering
from wire.ids import TransferId
from wire.messages import Pace
from wire.shares import User, divide, even, tightest


class Paces:
    def __init__(self) -> None:
        self.total = Pace()
        self._wanted: dict[TransferId, Steering] = {}
        self._shares: dict[TransferId, Pace] = {}
        self._figures: dict[TransferId, Figures] = {}

    def steer(self, transfer: TransferId, steering: Steering) -> Steering:
        """What to tell its session. A new one has an even part at once; the others give it up a moment later."""
        self._wanted[transfer] = steering
        if transfer not in self._shares:
            self._shares[transfer] = Pace(
                *(even(each, len(self._wanted)) for each in (self.total.down_max, self.total.up_max))
            )
        return self._within(transfer)

    def leave(self, transfer: TransferId) -> None:
        for known in (self._wanted, self._shares, self._figures):
            known.pop(transfer, None)

    def hear(self, event: EngineEvent) -> None:
        if isinstance(event, Figures):
            self._figures[event.transfer] = event

    def limit(self, total: Pace) -> bool:
        """Whether it is another one."""
        before, self.total = self.total, total
        return before != total

    def divide(self) -> Iterator[tuple[TransferId, Steering]]:
        """What to tell whom."""
        transfers = list(self._wanted)
        downs = divide(self.total.down_max, [self._user(each, down=True) for each in transfers])
        ups = divide(self.total.up_max, [self._user(each, down=False) for each in transfers])
        for transfer, down, up in zip(transfers, downs, ups, strict=True):
            if (share := Pace(down, up)) != self._shares.get(transfer, Pace()):
                self._shares[transfer] = share
                yield transfer, self._within(transfer)

    def _user(self, transfer: TransferId, *, down: bool) -> User:
        share, said = self._shares.get(transfer, Pace()), self._figures.get(transfer)
        if down:
            return User(said.down_rate if said else 0, share.down_max)
        return User(said.up_rate if said else 0, share.up_max)

    def _within(self, transfer: TransferId) -> Steering:
        wanted, share = self._wanted[transfer], self._shares.get(transfer, Pace())
        down_max, up_max = tightest(wanted.down_max, share.down_max), tightest(wanted.up_max, share.up_max)
        return replace(wanted, down_max=down_max, up_max=up_max)
