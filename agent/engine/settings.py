"""libtorrent's settings as we want them, and why; and its filter of addresses."""

from collections.abc import Sequence

import libtorrent as lt

from agent.config import Settings
from wire.addresses import parse_allow, refused_ranges
from wire.units import MIB

_C = lt.alert.category_t
ALERT_MASK = _C.status_notification | _C.error_notification | _C.piece_progress_notification | _C.storage_notification
ALERTS_MAX = 100_000
"""A re-check of a large torrent says every piece at once; what overflows is noticed and asked for again."""
METADATA_MAX_BYTES = 32 * MIB
"""The same bound as `wire.bencode`."""
PIECES_MAX = 2_097_152
TOKENS_MAX = 4_000_000
CONNECTIONS_MAX = 400
RECONNECT_S = 15
"""Before a peer that hung up is tried again, times its failures. With libtorrent's own 60 a torrent with one seed that
was busy for a moment stood still for minutes; who knocks much more often than this is banned by some."""
BLOCKED = 1


def pack(settings: Settings) -> "lt.settings_pack":
    return {
        "user_agent": "seedlift",
        # Opened by the session once it can hear where: see `Session._open`.
        "listen_interfaces": "",
        "alert_mask": int(ALERT_MASK),
        "alert_queue_size": ALERTS_MAX,
        # Discovery beyond trackers and named peers only where the operator wants it.
        "enable_dht": settings.agent_dht,
        "dht_read_only": not settings.agent_incoming,
        "enable_lsd": settings.agent_lsd,
        "enable_upnp": False,
        "enable_natpmp": False,
        # uTP reached a thirtieth of TCP on a fast path.
        "enable_outgoing_utp": settings.agent_utp,
        "enable_incoming_utp": settings.agent_utp and settings.agent_incoming,
        "enable_incoming_tcp": settings.agent_incoming,
        # Addresses that a torrent names are not to be trusted.
        "ssrf_mitigation": True,
        "validate_https_trackers": True,
        "allow_idna": False,
        "apply_ip_filter_to_trackers": True,
        "no_connect_privileged_ports": True,
        # A full window is no reason to hang up on a seed.
        "close_redundant_connections": False,
        # Which pieces come first is ours to say.
        "auto_sequential": False,
        "max_metadata_size": METADATA_MAX_BYTES,
        "max_piece_count": PIECES_MAX,
        "metadata_token_limit": TOKENS_MAX,
        "connections_limit": CONNECTIONS_MAX,
        "torrent_connect_boost": 50,
        "min_reconnect_time": RECONNECT_S,
        # Every tracker at once: one that hangs would hold back all that follow it, whatever their tiers.
        "announce_to_all_tiers": True,
        "announce_to_all_trackers": True,
        "stop_tracker_timeout": 1,
        # Queueing is the control plane's work.
        "active_downloads": -1,
        "active_seeds": -1,
        "active_limit": -1,
        "active_checking": 2,
        "aio_threads": 4,
        "max_queued_disk_bytes": 64 * MIB,
    }


def ip_filter(allow: Sequence[str]) -> lt.ip_filter:
    """Peers, trackers and web seeds in refused address space are never contacted, but for what the pool allows."""
    rules = lt.ip_filter()
    for first, last in refused_ranges(parse_allow(allow)):
        rules.add_rule(first, last, BLOCKED)
    return rules


def load_limits() -> dict[str, int]:
    return {
        "max_buffer_size": METADATA_MAX_BYTES + 64,
        "max_pieces": PIECES_MAX,
        "max_decode_tokens": TOKENS_MAX,
        "max_decode_depth": 64,
    }
