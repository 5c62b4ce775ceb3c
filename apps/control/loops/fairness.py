"""Who is next: of all that waits, one each for the organisations that have least at work. Pure."""

import heapq
from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct


class Waiting(Struct, frozen=True):
    transfer: UUID
    scope: UUID


def fair(
    waiting: Sequence[Waiting], active: Mapping[UUID, int], limits: Mapping[UUID, int], room: int
) -> list[Waiting]:
    """At most `room` of them. `waiting` is in order; an organisation gets no more than its limit, and the next always
    goes to the one with least at work, and among equals to the one that stands first."""
    queues: dict[UUID, list[Waiting]] = {}
    for each in waiting:
        queues.setdefault(each.scope, []).append(each)
    # (at work, place of its next in the line, organisation); the place is unique, so that ids are never compared.
    place = {each.transfer: index for index, each in enumerate(waiting)}
    heap = [(active.get(scope, 0), place[queue[0].transfer], scope, 0) for scope, queue in queues.items()]
    heapq.heapify(heap)
    chosen: list[Waiting] = []
    while heap and len(chosen) < room:
        at_work, _, scope, index = heapq.heappop(heap)
        if at_work >= limits.get(scope, 0):
            continue
        queue = queues[scope]
        chosen.append(queue[index])
        if index + 1 < len(queue):
            heapq.heappush(heap, (at_work + 1, place[queue[index + 1].transfer], scope, index + 1))
    return chosen
