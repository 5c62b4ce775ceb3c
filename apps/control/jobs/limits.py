"""What an organisation may use. Constants for all, until there are plans. Pure."""

from msgspec import Struct

from control.seeding import EVERYTHING, Seeding
from wire.ids import OrgId
from wire.units import TIB


class Limits(Struct, frozen=True, kw_only=True):
    active: int
    """Transfers on agents at once; the rest wait their turn."""
    open_jobs: int
    """Jobs that have not ended."""
    bytes: int
    """Stored, or to be stored."""
    seeding: Seeding = EVERYTHING
    """Beside what the pool lets happen."""


def limits(org: OrgId) -> Limits:
    """Ten at once keeps one organisation from filling the fleet; a thousand waiting is a long list and a short table;
    a tebibyte is what one small store can promise to a few."""
    return Limits(active=10, open_jobs=1_000, bytes=TIB)
