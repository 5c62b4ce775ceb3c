"""Limits of speed, in bytes a second, 0 for none: what may be said, and of several which one counts. Pure."""

from collections.abc import Iterable
from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from control.errors import BadInput
from wire.messages import Pace
from wire.shares import SPEED_MIN

Speed: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""What libtorrent can reckon with."""


class LimitSpeed(Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes a second; 0: no limit. What is left out stays as it is."""

    down_max: Speed | UnsetType = UNSET
    up_max: Speed | UnsetType = UNSET

    def of(self, before: Pace) -> Pace:
        down_max = before.down_max if isinstance(self.down_max, UnsetType) else self.down_max
        up_max = before.up_max if isinstance(self.up_max, UnsetType) else self.up_max
        check(down_max, up_max)
        return Pace(down_max, up_max)


def check(*speeds: int) -> None:
    if any(0 < speed < SPEED_MIN for speed in speeds):
        raise BadInput(f"A limit is {SPEED_MIN} bytes a second at least, or 0 for none.", code="too_slow")


def loosest(maxima: Iterable[int]) -> int:
    """Of the limits of several who share something, that of him who asks for most."""
    asked = list(maxima)
    return max(asked) if asked and all(asked) else 0
