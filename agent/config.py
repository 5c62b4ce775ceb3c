"""Settings of an agent."""

from pathlib import Path

from msgspec import Struct

from wire.units import MIB

RESERVE_BYTES = 256 * MIB
"""Of its disk, never filled: journals, and whatever else lives there."""


class Settings(Struct, frozen=True, kw_only=True):
    agent_dir: Path
    """Identity, journals and data live below it."""
    agent_slots: int = 20
    """Transfers at once."""
    agent_uploads: int = 4
    """Parts in flight to the store, over all transfers; more was slower."""
    agent_disk_bytes: int | None = None
    """What all transfers together may have on disk; by default what is free there, less a reserve. A torrent that
    does not fit passes through a window."""
    agent_listen: str = "0.0.0.0:0,[::]:0"
    """libtorrent's listen_interfaces. It announces to trackers only from where it listens."""
    agent_incoming: bool = True
    """Peers may connect to us. If not, we listen all the same, and nothing answers there."""
    agent_dht: bool = False
    agent_lsd: bool = False
    agent_utp: bool = False
    agent_sim: str = ""
    """A script (`agent.engine.script`) instead of libtorrent, for tests and demos: what it stores is no content."""
    agent_pex: bool = True
    """Peers tell of other peers. Like DHT and LSD never of private torrents, whatever is said here."""
    agent_trackers: str = ""
    """Asked for peers of every torrent that is known not to be private, beside its own: by commas."""
    agent_proxy: str = ""
    """`socks5://user:password@host:port`: the way to peers, trackers and web servers."""
    agent_outgoing: str = ""
    """The address of ours that connections to them come from."""
    agent_region: str = ""
    agent_labels: str = ""
    """`key=value,key=value`: both are only told to operators."""
    # How long others are waited for, in seconds; divided by `time_scale`.
    agent_metadata_s: float = 300
    """For a magnet's metadata."""
    agent_refused_s: float = 120
    """For peers, when all trackers refuse."""
    agent_stall_s: float = 900
    """For anything that is missing."""
    agent_store_s: float = 600
    """For the store's next acknowledgement."""
    metrics_port: int | None = None
    time_scale: float = 1.0
    log_format: str = "json"
    log_level: str = "info"

    def wait(self, seconds: float) -> float:
        return seconds / self.time_scale
