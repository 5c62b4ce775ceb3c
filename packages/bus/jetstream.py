"""JetStream's own API in the few words we use: stored publishing, and raw requests for streams and consumers.

Raw, because nats-py's ConsumerConfig knows no priority groups.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct

from bus.connect import Bus
from bus.errors import BusRefused

API_S = 5.0
"""A stream is made or a message stored in milliseconds; a busy disk takes longer."""

A = TypeVar("A", bound=Struct)


class Stored(Struct, frozen=True):
    stream: str
    seq: int
    duplicate: bool = False
    """It was there already, under the same id, within the stream's duplicate window."""


class _Error(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Outcome(Struct, frozen=True):
    error: _Error | None = None


async def publish_stored(
    bus: Bus,
    subject: str,
    data: bytes,
    *,
    msg_id: str,
    timeout: float = API_S,
    headers: Mapping[str, str] | None = None,
) -> Stored:
    """Returns once it is on disk. BusDown: not known whether it is (say it again, with the same id)."""
    said = {**(headers or {}), "Nats-Msg-Id": msg_id}
    answer = await bus.request(subject, data, timeout=timeout, headers=said)
    return _read(answer.data, Stored)


async def call(bus: Bus, verb: str, body: Struct | None, answers: type[A]) -> A:
    """`verb` is all that follows `$JS.API.`."""
    data = b"" if body is None else msgspec.json.encode(body)
    answer = await bus.request(f"$JS.API.{verb}", data, timeout=API_S)
    return _read(answer.data, answers)


def _read(data: bytes, kind: type[A]) -> A:
    if (error := msgspec.json.decode(data, type=_Outcome).error) is not None:
        raise BusRefused(error.err_code or error.code, error.description)
    return msgspec.json.decode(data, type=kind)
