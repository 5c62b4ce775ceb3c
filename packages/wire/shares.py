"""One limit of speed divided among several who use it: who wants little keeps little, the rest is the others', evenly.

What somebody wants is seen from what he does: who moves about as much as he may would move more. Pure.
"""

from collections.abc import Sequence

from msgspec import Struct

from wire.units import KIB

SPEED_MIN = 16 * KIB
"""Bytes a second. Requests and their answers count too: below this an upload limit stops the download, so many users
of a small limit go beyond it together."""
HUNGRY = 0.85
"""Who moves so much of his share would move more; what is less, his peers do not give."""
HEADROOM = 1.5
"""Of what he moves, for who has more than he needs: as his peers grow faster, he is hungry again."""
CHANGE = 8
"""A share that is off by less than this part of it stays as it is."""


class User(Struct, frozen=True):
    rate: int
    """What he moves, bytes a second."""
    share: int
    """What he was given; 0: nothing yet."""


def tightest(*maxima: int) -> int:
    """Of several limits that bind at once; 0 is none."""
    return min((each for each in maxima if each), default=0)


def even(limit: int, users: int) -> int:
    """The part of each of so many, before anything is known of them."""
    return max(SPEED_MIN, limit // users) if limit else 0


def divide(limit: int, users: Sequence[User]) -> list[int]:
    """A share for each. Without a limit nobody has one."""
    if not limit:
        return [0] * len(users)
    wants = [_wants(user) for user in users]
    shares = [0] * len(users)
    left = limit
    for place, at in enumerate(sorted(range(len(users)), key=lambda at: (wants[at] is None, wants[at] or 0))):
        most = left // (len(users) - place)
        want = wants[at]
        shares[at] = max(SPEED_MIN, most if want is None else min(want, most))
        left = max(0, left - shares[at])
    spare = left // len(users) if users else 0  # nobody is hungry: whoever is next finds room at once
    fresh = [share + spare for share in shares]
    return fresh if _differs(fresh, users) else [user.share for user in users]


def _wants(user: User) -> int | None:
    """None: whatever he can get."""
    if not user.share or user.rate >= HUNGRY * user.share:
        return None
    return max(SPEED_MIN, int(user.rate * HEADROOM))


def _differs(fresh: Sequence[int], users: Sequence[User]) -> bool:
    """A new limit, or another number of users, is followed to the byte."""
    if abs(sum(fresh) - sum(user.share for user in users)) > len(users):
        return True
    return any(abs(share - user.share) * CHANGE > user.share for share, user in zip(fresh, users, strict=True))
