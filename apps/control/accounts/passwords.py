"""Passwords: argon2id, in a thread, few at once."""

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from control.errors import BadInput

CHARS_MIN = 8
"""Below it a leaked hash is guessed within days, whatever the hash costs; there are no rules about signs."""
CHARS_MAX = 128
"""Nobody's sentence is longer, and hashing a megabyte for a stranger is a gift to him."""
AT_ONCE = 2
"""Each takes 64 MiB and a core for 50 ms: a flood of sign-ins waits in line instead of taking the machine."""

_hasher = PasswordHasher()
_turn = asyncio.Semaphore(AT_ONCE)


def check(password: str) -> None:
    if not CHARS_MIN <= len(password) <= CHARS_MAX:
        raise BadInput(f"A password has {CHARS_MIN} to {CHARS_MAX} characters.", code="bad_password")


async def hashed(password: str) -> str:
    async with _turn:
        return await asyncio.to_thread(_hasher.hash, password)


async def matches(password: str, known_hash: str | None) -> bool:
    """Takes as long for somebody who does not exist: who has an account here is not for others to learn."""
    async with _turn:
        return await asyncio.to_thread(_verify, password, known_hash)


def _verify(password: str, known_hash: str | None) -> bool:
    try:
        _hasher.verify(known_hash or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return known_hash is not None


@cache
def _nobody() -> str:
    return _hasher.hash("nobody has this password")
