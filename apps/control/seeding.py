"""Seeding: whether peers are given what we have, and for how long. Several have a say; the strictest counts. Pure."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from control.errors import BadInput
from wire.units import DAY_S

SEED_S_MAX = 30 * DAY_S
"""Whatever else is said: it fills an agent's disk."""


class SeedWhen(StrEnum):
    """Strictest first."""

    NEVER = "never"
    DOWNLOADING = "downloading"
    """Peers are given pieces for as long as we fetch others."""
    AFTER = "after"
    """And when all is stored, up to a ratio or a time."""


class Seeding(Struct, frozen=True, forbid_unknown_fields=True):
    when: SeedWhen = SeedWhen.DOWNLOADING
    ratio: Annotated[float, Meta(gt=0, le=1_000)] | None = None
    """Of what was given to what is stored; null: none."""
    seconds: Annotated[int, Meta(gt=0, le=SEED_S_MAX)] | None = None
    """After all was stored; null: 30 days."""

    @property
    def gives(self) -> bool:
        return self.when is not SeedWhen.NEVER

    @property
    def goes_on(self) -> bool:
        return self.when is SeedWhen.AFTER

    @property
    def lasts_s(self) -> int:
        return self.seconds or SEED_S_MAX


EVERYTHING = Seeding(SeedWhen.AFTER)
"""Forbids nothing."""


def check(asked: Seeding) -> None:
    if not asked.goes_on and (asked.ratio or asked.seconds):
        raise BadInput("A ratio and a time are for seeding `after` all is stored.", code="bad_seeding")


def strictest(*policies: Seeding) -> Seeding:
    """What everybody lets happen."""
    order = list(SeedWhen)
    return Seeding(
        when=min((each.when for each in policies), key=order.index),
        ratio=min((each.ratio for each in policies if each.ratio is not None), default=None),
        seconds=min((each.seconds for each in policies if each.seconds is not None), default=None),
    )
