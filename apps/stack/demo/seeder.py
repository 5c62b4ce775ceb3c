"""A seeder: one libtorrent session that gives one or more torrents away, as fast as it is told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libtorrent as lt

EVERYWHERE = ("0.0.0.0", "255.255.255.255")


class Seeder:
    def __init__(self, session: lt.session) -> None:
        self._session = session
        self.port: int = session.listen_port()
        """It matters where 0 was asked for."""

    def sent_bytes(self) -> int:
        """Payload, to all peers together."""
        return int(self._session.status().total_payload_upload)


@contextmanager
def seeding(torrents: dict[Path, Path], host: str, port: int, *, rate_bytes: int = 0) -> Iterator[Seeder]:
    """Torrent files with the folder that their content lies in. `rate_bytes` a second over all peers; 0 is no limit."""
    session = lt.session(
        {
            "listen_interfaces": f"{host}:{port}",
            "outgoing_interfaces": host,
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,  # thirty times slower than TCP on loopback
            "enable_outgoing_utp": False,
            "allow_multiple_connections_per_ip": True,
            "upload_rate_limit": rate_bytes,
            "unchoke_slots_limit": -1,
            "connections_limit": 1_000,
            "stop_tracker_timeout": 0,  # leaving needs nobody's answer
            "alert_mask": 0,
            "user_agent": "seedlift-demo",
        }
    )
    limit_loopback_too(session)
    for torrent, folder in torrents.items():
        add = lt.add_torrent_params()
        add.ti = lt.torrent_info(str(torrent))
        add.save_path = str(folder)
        add.flags |= lt.torrent_flags.seed_mode  # we wrote the content ourselves, a moment ago
        add.flags &= ~(lt.torrent_flags.paused | lt.torrent_flags.auto_managed)
        session.add_torrent(add)
    try:
        yield Seeder(session)
    finally:
        session.pause()


def limit_loopback_too(session: lt.session) -> None:
    """Peers on loopback belong to the class `local`, which global limits leave alone: put them into `global` alone."""
    classes = lt.ip_filter()
    classes.add_rule(*EVERYWHERE, 1 << lt.session.global_peer_class_id)
    session.set_peer_class_filter(classes)
    session.set_peer_class_type_filter(lt.peer_class_type_filter())
