"""Pieces as uploads read them: one that several units share is read once, while memory for that lasts."""

import asyncio
from collections import OrderedDict

from agent.engine.api import Engine
from wire.ids import TransferId
from wire.units import MIB

READ_S = 60.0
"""A piece comes from libtorrent's cache or from a disk; one that takes longer is broken."""
SHARED_BYTES = 32 * MIB
"""Kept of pieces that hold more than one unit: two of the largest that are usual."""

Key = tuple[TransferId, int]


class Pieces:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shared: OrderedDict[Key, bytes] = OrderedDict()
        """The one that was used last is last."""
        self._bytes = 0

    async def read(self, transfer: TransferId, piece: int, *, is_shared: bool) -> bytes:
        """`is_shared`: other units will ask for it soon. Raises NotThere, TimeoutError."""
        key = transfer, piece
        if (known := self._shared.get(key)) is not None:
            self._shared.move_to_end(key)
            return known
        async with asyncio.timeout(READ_S):
            data = await self._engine.read(transfer, piece)
        if is_shared and key not in self._shared:  # two that ask at once are answered together
            self._shared[key] = data
            self._bytes += len(data)
            while self._bytes > SHARED_BYTES:
                self._bytes -= len(self._shared.popitem(last=False)[1])
        return data

    def forget(self, transfer: TransferId) -> None:
        for key in [key for key in self._shared if key[0] == transfer]:
            self._bytes -= len(self._shared.pop(key))
