"""Listening sockets that nobody can reach.

libtorrent announces to a tracker only from an address that it listens on, so an agent that nobody may connect to has
to listen as well. Shut down, its listening socket refuses whoever knocks, and libtorrent keeps its place: it goes on
announcing from there, and connections that we open are not touched. (A socket filter that drops every packet works too,
but some kernels allow it to root alone.)
"""

import os
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Place: TypeAlias = tuple[str, int]
"""Address and TCP port."""

_OPEN_FILES = Path("/proc/self/fd")


class NotSilent(Exception):
    """A port that nobody may connect to would be open; the message says what to do."""


def silence(places: Collection[Place]) -> None:
    """All of them, or NotSilent. They must be this process's own."""
    silenced = set()
    try:
        for listener in _listeners():
            with listener:
                place = listener.getsockname()[:2]
                if place in places:
                    listener.shutdown(socket.SHUT_RDWR)
                    silenced.add(place)
    except OSError as failure:
        raise NotSilent(f"the peer port cannot be made silent ({failure}); {_ADVICE}") from failure
    if unseen := set(places) - silenced:
        raise NotSilent(f"the sockets that listen on {sorted(unseen)} cannot be found; {_ADVICE}")


_ADVICE = "this needs Linux. Set SEEDLIFT_AGENT_INCOMING=true to let peers connect instead"


def _listeners() -> Iterator[socket.socket]:
    """Copies, to be closed: what is done to them is done to the originals."""
    for entry in list(_OPEN_FILES.iterdir()):
        if not entry.is_socket():
            continue
        with suppress(OSError):  # closed meanwhile
            found = socket.socket(fileno=os.dup(int(entry.name)))
            internet = found.family in (socket.AF_INET, socket.AF_INET6)
            if internet and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield found
            else:
                found.close()
