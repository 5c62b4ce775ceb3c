"""Limits of speed, in bytes a second, 0 for none: what may be said, and of several which one counts. Pure."""

from collections.abc import Iterable
from typing import Annotated, TypeAlias

from msgspec import Meta

from control.errors import BadInput
from wire.units import KIB

Speed: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""What libtorrent can reckon with."""

SPEED_MIN = 16 * KIB
"""Requests and their answers count too: below this an upload limit stops the download."""


def check(*speeds: int) -> None:
    if any(0 < speed < SPEED_MIN for speed in speeds):
        raise BadInput(f"A limit is {SPEED_MIN} bytes a second at least, or 0 for none.", code="too_slow")


def loosest(maxima: Iterable[int]) -> int:
    """Of the limits of several who share something, that of him who asks for most."""
    asked = list(maxima)
    return max(asked) if asked and all(asked) else 0
