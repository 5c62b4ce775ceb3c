"""Listening sockets that nobody can reach.

libtorrent announces to a tracker only from an address that it listens on, so an agent that nobody may connect to has
to listen as well. A socket filter that drops every packet makes such a port look as if there were no machine at all;
it does not touch connections that we open.
"""

import os
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from ctypes import addressof, create_string_buffer
from pathlib import Path
from typing import TypeAlias

Place: TypeAlias = tuple[str, int]
"""Address and TCP port."""

SO_ATTACH_FILTER = 26
"""Linux alone has it, and Python does not name it."""
_RETURN = 0x06
_DROP_ALL = struct.pack("HBBI", _RETURN, 0, 0, 0)
"""One classic BPF instruction: of every packet keep nothing."""
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
                    _drop_all(listener)
                    silenced.add(place)
    except OSError as failure:
        raise NotSilent(f"the peer port cannot be made silent ({failure}); {_ADVICE}") from failure
    if unseen := set(places) - silenced:
        raise NotSilent(f"the sockets that listen on {sorted(unseen)} cannot be found; {_ADVICE}")


_ADVICE = "this needs Linux. Set SEEDLIFT_AGENT_INCOMING=true to let peers connect instead"


def _listeners() -> Iterator[socket.socket]:
    """Copies, to be closed: what is set on them is set on the originals."""
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


def _drop_all(listener: socket.socket) -> None:
    code = create_string_buffer(_DROP_ALL)
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, addressof(code)))
