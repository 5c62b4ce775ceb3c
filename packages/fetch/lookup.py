"""From a host to addresses that may be connected to. Whoever connects must use these, and ask no resolver again."""

import asyncio
import socket
from collections.abc import Sequence

from fetch.errors import Away, NotAllowed
from wire.addresses import Allow, address_allowed, literal

LOOKUP_S = 10.0
"""A resolver has tried its servers several times by then."""
ADDRESSES_MAX = 4
"""Tried of one host, one after another."""


async def lookup(host: str, port: int, allow: Allow) -> Sequence[str]:
    """Raises NotAllowed, Away. Of a name that leads to both kinds of addresses only the public ones are used."""
    plain = host.strip("[]")
    found = [plain] if literal(plain) else await _resolved(host, port)
    usable = [each for each in dict.fromkeys(found) if (ip := literal(each)) and address_allowed(ip, allow)]
    if not usable:
        raise NotAllowed(f"{host} leads to an address that may not be contacted")
    return usable[:ADDRESSES_MAX]


async def _resolved(host: str, port: int) -> list[str]:
    try:
        async with asyncio.timeout(LOOKUP_S):
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise Away(f"{host} cannot be looked up") from None
    return [str(info[4][0]) for info in infos]
