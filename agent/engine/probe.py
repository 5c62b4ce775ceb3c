"""Finding out what lies at a URL: a `.torrent`, or a file, whose size may be known only once all of it has come."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator

from msgspec import Struct

from agent.config import RESERVE_BYTES
from agent.engine.api import TrackerSaid
from agent.engine.download import BACKOFF_MAX_S, BACKOFF_S, MISSES_MAX, WRITE_BYTES, Meter, Pace, Place, write
from agent.engine.remote import ASK_HEAD, begins_torrent, head_of, is_empty, part_of, remote, whole_torrent
from fetch.client import Answer, Client
from fetch.errors import Away, Refused
from wire.trackers import word
from wire.units import GIB

TORRENT_S = 120.0
"""For all of a `.torrent`, 32 MiB at most."""
BLIND_MAX_BYTES = 16 * GIB
"""Fetched before anybody could judge its size; or as much as the agent's budget, if that is less."""


class TooLarge(Exception):
    """Its server does not say how large it is, and it is larger than what is fetched blindly."""


class Found(Struct, frozen=True):
    raw: bytes
    """What the control plane is told: of a file what `wire.remote` says, or a `.torrent`."""
    is_here: bool = False
    """The file has come already."""


async def find(place: Place, client: Client, meter: Meter, pace: Pace, blind_max: int) -> Found:
    """Raises FetchError, Lies, TooLarge, OSError."""
    misses = 0
    while True:
        try:
            return await _ask(place, client, meter, pace, blind_max)
        except Away as away:
            misses += 1
            text = word(str(away), place.url)
            place.heard(TrackerSaid(place.transfer, place.url, "away", text))
            if misses >= MISSES_MAX:
                raise
        await asyncio.sleep(min(BACKOFF_MAX_S, BACKOFF_S * 2 ** (misses - 1)))


async def _ask(place: Place, client: Client, meter: Meter, pace: Pace, blind_max: int) -> Found:
    async with client.get(place.url, ASK_HEAD) as answer:
        if is_empty(answer):
            return Found(remote(answer, 0, answer.url).json())
        if answer.status == 416:
            raise Refused("it answered 416")
        part = part_of(answer)
        head = await head_of(answer)
        is_torrent = begins_torrent(head)
        if is_torrent and (answer.status == 200 or part.total == len(head)):
            return await _torrent(head, answer.chunks)
        if not is_torrent and part.total is not None:
            return Found(remote(answer, part.total, answer.url).json())
        if not is_torrent and answer.status == 200:
            return await _blindly(place, meter, pace, answer, head, blind_max)
    async with client.get(place.url, {}) as answer:
        part_of(answer)
        if is_torrent:
            return await _torrent(b"", answer.chunks)
        return await _blindly(place, meter, pace, answer, b"", blind_max)


async def _torrent(head: bytes, rest: AsyncIterator[bytes]) -> Found:
    try:
        async with asyncio.timeout(TORRENT_S):
            return Found(await whole_torrent(head, rest))
    except TimeoutError:
        raise Away("its .torrent comes too slowly") from None


async def _blindly(place: Place, meter: Meter, pace: Pace, answer: Answer, head: bytes, blind_max: int) -> Found:
    """To its end, onto the disk: only then it is known how large it is."""
    kept, at = bytearray(head), 0
    meter.open += 1
    try:
        async for chunk in answer.chunks:
            meter.bytes += len(chunk)
            await pace.take(len(chunk))
            kept += chunk
            if at + len(kept) > blind_max:
                raise TooLarge(f"it has more than {blind_max} bytes")
            if len(kept) >= WRITE_BYTES:
                at = await _keep(place, at, kept)
        at = await _keep(place, at, kept)
    finally:
        meter.open -= 1
    return Found(remote(answer, at, answer.url).json(), is_here=True)


async def _keep(place: Place, at: int, kept: bytearray) -> int:
    if shutil.disk_usage(place.path.parent).free < RESERVE_BYTES:
        raise OSError(errno.ENOSPC, "the disk is almost full")
    await asyncio.to_thread(write, place.path, at, bytes(kept))
    at += len(kept)
    kept.clear()
    return at
