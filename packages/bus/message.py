"""A message as it is heard, and who hears it."""

from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct
from nats.aio.msg import Msg

from telemetry.correlation import BUS_HEADER, correlation_id


class Message(Struct, frozen=True):
    subject: str
    data: bytes
    headers: Mapping[str, str]
    reply: str = ""


Handler = Callable[[Message], Awaitable[None]]


class Subscription(Struct, frozen=True, eq=False):
    """Declared once; made again on every new connection. A handler's messages come one at a time, in order."""

    subject: str
    handler: Handler


def message_of(raw: Msg) -> Message:
    return Message(subject=raw.subject, data=raw.data, headers=raw.headers or {}, reply=raw.reply)


def with_correlation(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    said = dict(headers or {})
    if (current := correlation_id()) is not None:
        said.setdefault(BUS_HEADER, current)
    return said or None
