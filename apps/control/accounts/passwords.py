"""Passwords: argon2id, in a thread, few at once."""

import asyncio
from collections.abc import Iterable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from control.accounts import weak
from control.errors import BadInput

CHARS_MIN = 10
"""Below it a leaked hash is guessed within days, whatever the hash costs; there are no rules about signs."""
CHARS_MAX = 128
"""Nobody's sentence is longer, and hashing a megabyte for a stranger is a gift to him."""
AT_ONCE = 2
"""Each takes 64 MiB and a core for 50 ms: a flood of sign-ins waits in line instead of taking the machine."""

ROUNDS, MEMORY_KIB, LANES = 3, 65_536, 4
"""RFC 9106's second recommendation: some 50 ms here, and 64 MiB for every guess of whoever steals the hashes."""

NOBODY = f"$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p={LANES}${'A' * 22}${'A' * 43}"
"""A hash that no password has, as dear to compare with as any other."""

_hasher = PasswordHasher(ROUNDS, MEMORY_KIB, LANES)
_turn = asyncio.Semaphore(AT_ONCE)


def check(password: str, about: Iterable[str] = ()) -> None:
    """`about` is what others know of the person: it makes no password."""
    if not CHARS_MIN <= len(password) <= CHARS_MAX:
        raise BadInput(f"A password has {CHARS_MIN} to {CHARS_MAX} characters.", code="bad_password")
    if weak.is_weak(password, about):
        raise BadInput(
            "This password is among the first that are guessed: common words, names, your own address, sequences. Take"
            " a few words that do not belong together.",
            code="weak_password",
        )


async def hashed(password: str) -> str:
    async with _turn:
        return await asyncio.to_thread(_hasher.hash, password)


async def matches(password: str, known_hash: str | None) -> bool:
    """Takes as long for somebody who does not exist: who has an account here is not for others to learn."""
    async with _turn:
        return await asyncio.to_thread(_verify, password, known_hash)


def is_old(known_hash: str) -> bool:
    """Made when hashing cost less: whoever shows the password now gets a new one."""
    return _hasher.check_needs_rehash(known_hash)


def _verify(password: str, known_hash: str | None) -> bool:
    try:
        _hasher.verify(known_hash or NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return known_hash is not None
