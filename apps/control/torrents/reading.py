"""Strangers' torrents are read in threads, and large ones few at once: the worst take seconds and much memory."""

import asyncio
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from control.errors import BadInput
from wire import errors as wire_errors
from wire.metainfo import Info, Torrent, parse_info, parse_torrent
from wire.units import KIB

SMALL_BYTES = 64 * KIB
"""Most torrents are; the worst of that size takes a tenth of a second, and nobody waits in line with it."""
AT_ONCE = 2
"""A million values take a quarter of a gigabyte and three seconds; the loop keeps its share of the interpreter."""

_turns = asyncio.Semaphore(AT_ONCE)
_lines: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
"""Of each organisation one at a time: who sends many waits behind himself."""
T = TypeVar("T")


async def torrent(data: bytes, org: UUID) -> Torrent:
    return await _read(parse_torrent, data, org)


async def info(raw: bytes, org: UUID) -> Info:
    return await _read(parse_info, raw, org)


async def _read(parse: Callable[[bytes], T], data: bytes, org: UUID) -> T:
    try:
        if len(data) <= SMALL_BYTES:
            return await asyncio.to_thread(parse, data)
        async with _lines.setdefault(org, asyncio.Lock()), _turns:
            return await asyncio.to_thread(parse, data)
    except wire_errors.BadInput as bad:
        raise BadInput(bad.sentence, code=bad.code) from None
