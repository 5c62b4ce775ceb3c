"""The watch: once a second it is looked whether anything moves, who is alone is helped, and who waits in vain fails."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from msgspec import Struct

from agent import patience
from agent.engine.api import Engine, NotThere
from agent.metrics import TRANSFERS
from agent.patience import Waits
from agent.running import Event, Failed, Run, phase
from agent.transfer import Transfer
from telemetry import logs
from wire.ids import TransferId
from wire.states import Phase

log = logs.get(__name__)

TICK_S = 1.0
"""How often the engine says its rates, and it is looked whether anything moves."""
AVAILABILITY_TICKS = 5
HEARD_S = 20.0
"""A lease: for as long as the control plane has not answered, nobody else is to blame."""


class Watch(Struct, kw_only=True):
    engine: Engine
    runs: Mapping[TransferId, Run]
    transfers: Mapping[TransferId, Transfer]
    trouble: Mapping[TransferId, str]
    """What went wrong with the store last."""
    waits: Waits
    heard_s: float
    hear: Callable[[Event], None]
    """Folded when it returns: what is asked next goes by it."""
    look: Callable[[], None]
    heard_at_s: float
    """When the control plane answered last."""
    looked_at_s: float

    async def run(self) -> None:
        for tick in itertools.count():
            with suppress(NotThere):  # the session may end before we do
                self.engine.tick(availability=tick % AVAILABILITY_TICKS == 0)
            self._see_what_moves(asyncio.get_running_loop().time())
            phases = Counter(phase(run) for run in self.runs.values())
            for kind in Phase:
                TRANSFERS.labels(phase=kind).set(phases[kind])
            await asyncio.sleep(TICK_S)

    def _see_what_moves(self, now_s: float) -> None:
        heard = now_s - self.heard_at_s < self.heard_s
        for transfer, held in self.transfers.items():
            word = self.trouble.get(transfer, "")
            self.hear(held.looked(now_s, store_word=word, heard=heard, paused=self.runs[transfer].paused))
            if patience.asks_again(self.runs[transfer], self.waits, self.looked_at_s, now_s):
                log.info("transfer.alone", transfer=transfer)
                self.engine.announce(transfer, at_once=False)
            if why := patience.failure_of(self.runs[transfer], self.waits, now_s):
                self.hear(Failed(transfer, why))
        self.looked_at_s = now_s
        self.look()
