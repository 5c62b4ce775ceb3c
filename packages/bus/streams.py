"""The streams and consumers, declared in one place and brought about again whenever they are not there.

Nothing in them is the truth: whoever deletes both costs the fleet seconds. So `ensure_…` is called at every connection,
on every NoStream and at every tick; when all is well it is one question per stream.
"""

from collections.abc import Iterable

from msgspec import Struct

from bus.connect import Bus
from bus.errors import BusRefused
from bus.jetstream import call
from wire.subjects import EVENTS, EVENTS_SUBJECTS, WORK, WORK_SUBJECTS, work
from wire.units import DAY_S, MIB, MINUTE_S

_NS = 1_000_000_000

PULL_MAX_S = 5
"""A pull carries the agent's load; after so long it is stale."""
ACK_WAIT_S = 10
"""Between delivery and claim; then it is offered to somebody else."""
ACK_PENDING_MAX = 10_000
"""Offers delivered and not yet claimed, over a whole pool. Beyond it nobody gets work, so: more than agents."""
WAITING_MAX = 4096
"""Pulls waiting at once, over a whole pool: one per agent, and some that are about to expire."""
GROUP = "slots"

_NOT_FOUND = frozenset({10014, 10059})
"""JetStream's codes: consumer not found, stream not found."""


class StreamConfig(Struct, frozen=True):
    name: str
    subjects: list[str]
    retention: str
    max_age: int
    max_bytes: int
    duplicate_window: int
    num_replicas: int
    storage: str = "file"
    discard: str = "old"
    """The newest offer or event is worth more than the oldest."""


class ConsumerConfig(Struct, frozen=True):
    durable_name: str
    filter_subject: str
    ack_policy: str = "explicit"
    ack_wait: int = ACK_WAIT_S * _NS
    deliver_policy: str = "all"
    replay_policy: str = "instant"
    max_deliver: int = -1
    """No limit: after one the message would stay in the stream for ever, delivered to nobody."""
    max_ack_pending: int = ACK_PENDING_MAX
    max_waiting: int = WAITING_MAX
    max_batch: int = 1
    max_expires: int = PULL_MAX_S * _NS
    priority_groups: tuple[str, ...] = (GROUP,)
    priority_policy: str = "prioritized"


class _Stream(Struct, frozen=True):
    config: StreamConfig


class _Consumer(Struct, frozen=True):
    config: ConsumerConfig


class _Durable(Struct, frozen=True):
    stream_name: str
    config: ConsumerConfig


def work_stream(replicas: int = 1) -> StreamConfig:
    return StreamConfig(
        name=WORK,
        subjects=[WORK_SUBJECTS],
        retention="workqueue",
        max_age=10 * MINUTE_S * _NS,  # what is not claimed is offered again after 30 s: an old offer only takes room
        max_bytes=64 * MIB,  # some 200,000 offers; the dispatcher keeps few open
        duplicate_window=2 * MINUTE_S * _NS,  # the relay says an offer again at most seconds later
        num_replicas=replicas,
    )


def events_stream(replicas: int = 1) -> StreamConfig:
    return StreamConfig(
        name=EVENTS,
        subjects=[EVENTS_SUBJECTS],
        retention="limits",
        max_age=DAY_S * _NS,  # a browser that was away longer reads a snapshot
        max_bytes=256 * MIB,  # about a million events
        duplicate_window=2 * MINUTE_S * _NS,
        num_replicas=replicas,
    )


def work_consumer(pool: str) -> ConsumerConfig:
    """Named exactly as its pool: agents' permissions hang on it."""
    return ConsumerConfig(durable_name=pool, filter_subject=work(pool))


async def ensure_fleet(bus: Bus, pools: Iterable[str], replicas: int = 1) -> None:
    """Account FLEET: WORK, and a consumer for each pool."""
    await _ensure_stream(bus, work_stream(replicas))
    for pool in pools:
        await _ensure_consumer(bus, WORK, work_consumer(pool))


async def ensure_app(bus: Bus, replicas: int = 1) -> None:
    """Account APP: EVENTS."""
    await _ensure_stream(bus, events_stream(replicas))


async def _ensure_stream(bus: Bus, wanted: StreamConfig) -> None:
    try:
        found = await call(bus, f"STREAM.INFO.{wanted.name}", None, _Stream)
    except BusRefused as refused:
        if refused.code not in _NOT_FOUND:
            raise
        await call(bus, f"STREAM.CREATE.{wanted.name}", wanted, _Stream)
        return
    if found.config != wanted:
        await call(bus, f"STREAM.UPDATE.{wanted.name}", wanted, _Stream)


async def _ensure_consumer(bus: Bus, stream: str, wanted: ConsumerConfig) -> None:
    name = f"{stream}.{wanted.durable_name}"
    try:
        found = await call(bus, f"CONSUMER.INFO.{name}", None, _Consumer)
    except BusRefused as refused:
        if refused.code not in _NOT_FOUND:
            raise
    else:
        if found.config == wanted:
            return
    await call(bus, f"CONSUMER.DURABLE.CREATE.{name}", _Durable(stream_name=stream, config=wanted), _Consumer)
