"""A listening address, as it is dialled and as it is shown."""

import ipaddress
import socket

SOMEWHERE = ("192.0.2.1", 9)
"""Reserved for documentation: asking for the way there sends nothing."""


def is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_opened(host: str) -> bool:
    """Something else than the loopback address on which everything listens anyway."""
    return host not in ("127.0.0.1", "localhost")


def is_wildcard(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def dialled(host: str) -> str:
    """As this machine's own programs reach what listens on `host`."""
    if host == "localhost" or is_wildcard(host):
        return "127.0.0.1"
    return host


def shown(host: str) -> str:
    """As somebody else reaches it: links to the store are signed for this name."""
    return _own_address() if is_wildcard(host) else host


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _own_address() -> str:
    """The address that the machine would use to reach others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(SOMEWHERE)
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
