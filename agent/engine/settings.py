"""libtorrent's settings as we want them, and why; and its filter of addresses."""

from collections.abc import Sequence

import libtorrent as lt

from agent.config import Settings
from fetch.socks import parse_proxy
from wire.addresses import parse_allow, refused_ranges
from wire.units import MIB

_C = lt.alert.category_t
ALERT_MASK = (
    _C.status_notification
    | _C.error_notification
    | _C.piece_progress_notification
    | _C.storage_notification
    | _C.tracker_notification
)
ALERTS_MAX = 100_000
"""A re-check of a large torrent says every piece at once; what overflows is noticed and asked for again."""
METADATA_MAX_BYTES = 32 * MIB
"""The same bound as `wire.bencode`."""
PIECES_MAX = 2_097_152
TOKENS_MAX = 4_000_000
CONNECTIONS_MAX = 400
FILES_OPEN_MAX = 256
"""Of one session; `agent.run` sees to it that so many may be open."""
NO_MAPPING = 2**31 - 1
"""In blocks of 16 KiB: no file is so large."""
EVERYWHERE = (("0.0.0.0", "255.255.255.255"), ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
RECONNECT_S = 15
"""Before a peer that hung up is tried again, times its failures. With libtorrent's own 60 a torrent with one seed that
was busy for a moment stood still for minutes; who knocks much more often than this is banned by some."""
TRIES_MAX = 3
"""In vain, before a peer is tried no more unless a tracker names it again."""
BLOCKED = 1
WEB_SEED_CONNECTIONS = 8
"""Of one torrent; each answers a whole piece or more."""


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
        "enable_lsd": settings.agent_lsd and not settings.agent_proxy,
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
        "max_failcount": TRIES_MAX,
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
        # Downloading pauses above it: a slow disk costs so much memory, and no more. What is written soon after it came
        # is still in the processor's cache: with 64 MiB an agent spends a third more CPU (bench `agent_cpu`).
        "max_queued_disk_bytes": 4 * MIB,
        "file_pool_size": FILES_OPEN_MAX,
        # Written and read by calls. Mapped, a file counts as our memory, and a full disk kills us with SIGBUS.
        "mmap_file_size_cutoff": NO_MAPPING,
        "disk_write_mode": int(lt.mmap_write_mode_t.always_pwrite),
        "max_web_seed_connections": WEB_SEED_CONNECTIONS,
        "outgoing_interfaces": settings.agent_outgoing,
        **_proxy(settings),
    }


def _proxy(settings: Settings) -> "lt.settings_pack":
    """Names are looked up here, since only then the filter of addresses sees where they lead."""
    if not settings.agent_proxy:
        return {}
    proxy = parse_proxy(settings.agent_proxy)
    kinds = lt.proxy_type_t
    return {
        "proxy_type": int(kinds.socks5_pw if proxy.user else kinds.socks5),
        "proxy_hostname": proxy.host,
        "proxy_port": proxy.port,
        "proxy_username": proxy.user,
        "proxy_password": proxy.password,
        "proxy_hostnames": False,
        "proxy_peer_connections": True,
        "proxy_tracker_connections": True,
    }


def extra_trackers(settings: Settings) -> list[str]:
    return [url.strip() for url in settings.agent_trackers.split(",") if url.strip()]


def any_port(interfaces: str) -> str:
    """The same interfaces; a fixed port is another session's."""
    return ",".join(f"{each.rpartition(':')[0]}:0" for each in interfaces.split(","))


def only_take(session: lt.session) -> None:
    """Nobody is unchoked, nor has pieces that may be asked for although choked. Peers nearby would be in the class
    `local`, which no limit binds: here there is no such class."""
    session.apply_settings(
        {
            "unchoke_slots_limit": 0,
            "num_optimistic_unchoke_slots": 0,
            "allowed_fast_set_size": 0,
            # While a window is shut: a seed hangs up on whoever wants nothing, and libtorrent then takes it for one
            # that is of no use, also when the window is open again.
            "seeding_outgoing_connections": False,
        }
    )
    classes = lt.ip_filter()
    for first, last in EVERYWHERE:
        classes.add_rule(first, last, 1 << lt.session.global_peer_class_id)
    session.set_peer_class_filter(classes)
    session.set_peer_class_type_filter(lt.peer_class_type_filter())


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
