"""Ports for tests: below those that the system gives to anybody who asks for any, and ours for as long as we live.

A port that is only looked for could be taken by another worker, or another session, before its server listens. So each
is claimed first, by a name that the kernel forgets with the process.
"""

import random
import socket
from contextlib import suppress

SINGLE = range(12_000, 20_000)
ROWS = range(21_000, 31_000, 100)
ROW_PORTS = 40
"""More than a stack with some agents takes."""
ROWS_OWN = 8
"""Then a process takes its own again: a stack that stopped leaves its row free."""
DICE = random.SystemRandom()

_claims: dict[int, socket.socket] = {}
_rows: list[int] = []


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = DICE.choice(SINGLE)
        if _claim(port) and _is_free(host, port):
            found.append(port)
    return found


def free_row() -> int:
    """The first port of a row that is free as a whole."""
    known = _rows if len(_rows) >= ROWS_OWN else DICE.sample(ROWS, len(ROWS))
    for port in list(known):
        if (port in _rows or _claim(port)) and all(_is_free("127.0.0.1", port + n) for n in range(ROW_PORTS)):
            with suppress(ValueError):
                _rows.remove(port)
            _rows.append(port)  # the one used last is taken last
            return port
    raise RuntimeError("no free row of ports")


def _claim(port: int) -> bool:
    if port in _claims:
        return False
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0seedlift-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = claim
    return True


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
