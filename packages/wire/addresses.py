"""Which addresses may be contacted: public ones, and what a pool allows beside. Literal addresses only, no look-ups.

A name that is not plainly internal passes, and is judged again by what it resolves to (REFUSED_RANGES, in ip_filter).
Refused outright: every spelling of an address that only some parsers read (127.1, 0x7f000001, 0177.0.0.1, user@host),
because the one who checks and the one who connects must read the same.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Allow: TypeAlias = tuple[Network, ...]
Range: TypeAlias = tuple[str, str]
"""First and last address, both in it: what libtorrent's ip_filter takes."""

TRACKER_SCHEMES = frozenset({"udp", "http", "https", "wss"})
WEB_SEED_SCHEMES = frozenset({"http", "https"})

REFUSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, where clouds keep their metadata service
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
_GLOBAL_V6 = IPv6Network("2000::/3")


def _embedding(outer: IPv6Network, inner: IPv4Network) -> IPv6Network:
    """The part of `outer` that stands for `inner`."""
    shift = 128 - outer.prefixlen - 32
    first = int(outer.network_address) | int(inner.network_address) << shift
    return IPv6Network((first, outer.prefixlen + inner.prefixlen))


REFUSED_V6: tuple[IPv6Network, ...] = (
    # All that is neither global unicast nor a way to write IPv4: loopback, unique local, link-local, multicast, …
    *(
        rest
        for space in IPv6Network("::/0").address_exclude(_GLOBAL_V6)
        for part in (space.address_exclude(_NAT64) if _NAT64.subnet_of(space) else (space,))
        for rest in (part.address_exclude(_MAPPED) if _MAPPED.subnet_of(part) else (part,))
    ),
    IPv6Network("2001::/23"),  # protocol assignments, Teredo among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("3fff::/20"),  # documentation
    *(_embedding(outer, inner) for outer in (_MAPPED, _NAT64, _6TO4) for inner in REFUSED_V4),
)

_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]/@\\?#%]+)(?::([0-9]{1,5}))?(?:[?#][^@\\]*)?", re.ASCII)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/]*)(/.*)?", re.ASCII)
_HOST = re.compile(r"[^\x00-\x20\x7f/@\\?#%\[\]\s]+")
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\\]")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+", re.ASCII)
_INTERNAL = (".localhost", ".local", ".internal", ".intranet", ".localdomain", ".lan", ".home.arpa")


class BadRange(Exception):
    """A range that a pool allows cannot be read; the message says which."""


def parse_allow(texts: Iterable[str]) -> Allow:
    """Ranges of refused space that a pool may talk to, as CIDR or single addresses."""
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text.strip()))
        except ValueError as bad:
            raise BadRange(f"{text!r} is not an address range: {bad}") from None
    return tuple(networks)


def is_public(ip: str | Address) -> bool:
    """ValueError if it is text and no address."""
    address = ip_address(ip) if isinstance(ip, str) else ip
    return not any(address in network for network in (REFUSED_V4 if address.version == 4 else REFUSED_V6))


def allowed(host_or_url: str, allow: Allow = ()) -> bool:
    """Whether a host, `host:port` or URL may be contacted; a name that is not plainly internal may."""
    found = _URL.fullmatch(host_or_url)
    host = _host(found[2] if found else host_or_url)
    return host is not None and _host_allowed(host, allow)


def filter_trackers(tiers: Iterable[Iterable[str]], allow: Allow = ()) -> list[list[str]]:
    kept = [[url for url in tier if _url_allowed(url, TRACKER_SCHEMES, allow)] for tier in tiers]
    return [tier for tier in kept if tier]


def filter_web_seeds(urls: Iterable[str], allow: Allow = ()) -> list[str]:
    return [url for url in urls if _url_allowed(url, WEB_SEED_SCHEMES, allow)]


def filter_peers(peers: Iterable[str], allow: Allow = ()) -> list[str]:
    """`address:port` only: engines do not look up peers' names."""
    return [peer for peer in peers if _peer_allowed(peer, allow)]


def refused_ranges(allow: Allow = ()) -> list[Range]:
    """All that is refused less what is allowed, sorted and apart, IPv4 before IPv6."""
    holes: Sequence[Network] = [
        *allow,
        *(_embedding(_MAPPED, network) for network in allow if isinstance(network, IPv4Network)),
    ]
    ranges: list[Range] = []
    for refused, kind in ((REFUSED_V4, IPv4Address), (REFUSED_V6, IPv6Address)):
        mine = [(int(n[0]), int(n[-1])) for n in holes if n.version == refused[0].version]
        spans = _without(_merged([(int(n[0]), int(n[-1])) for n in refused]), _merged(mine))
        ranges += [(str(kind(first)), str(kind(last))) for first, last in spans]
    return ranges


def _url_allowed(url: str, schemes: frozenset[str], allow: Allow) -> bool:
    found = _URL.fullmatch(url)
    return (
        found is not None
        and found[1].lower() in schemes
        and not _UNPRINTABLE.search(url)
        and (host := _host(found[2])) is not None
        and _host_allowed(host, allow)
    )


def _peer_allowed(peer: str, allow: Allow) -> bool:
    host, colon, port = peer.rpartition(":")
    if not colon or not port.isdigit() or not (host := _host(peer) or ""):
        return False
    address = literal(host)
    return address is not None and address_allowed(address, allow)


def _host(authority: str) -> str | None:
    """None for whatever two parsers could read differently."""
    if authority.count(":") > 1 and not authority.startswith("["):
        authority = f"[{authority}]"  # a bare IPv6 address
    found = _AUTHORITY.fullmatch(authority)
    if found is None or (found[2] is not None and not 0 < int(found[2]) < 65_536):
        return None
    host = found[1].strip("[]") if found[1].startswith("[") else found[1]
    host = unicodedata.normalize("NFKC", host).replace("。", ".").lower().removesuffix(".")
    return host if _HOST.fullmatch(host) else None


def _host_allowed(host: str, allow: Allow) -> bool:
    if (address := literal(host)) is not None:
        return address_allowed(address, allow)
    labels = host.split(".")
    if ":" in host or _NUMBER.fullmatch(labels[-1]):
        return False  # meant as an address, and not written as one
    return len(labels) > 1 and all(labels) and not host.endswith(_INTERNAL)


def literal(host: str) -> Address | None:
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return None


def address_allowed(address: Address, allow: Allow) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in allow if network.version == address.version) or is_public(address)


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _without(spans: list[tuple[int, int]], holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    left = []
    for first, last in spans:
        for hole_first, hole_last in holes:
            if hole_last < first or hole_first > last:
                continue
            if hole_first > first:
                left.append((first, hole_first - 1))
            first = hole_last + 1
        if first <= last:
            left.append((first, last))
    return left


REFUSED_RANGES: list[Range] = refused_ranges()
