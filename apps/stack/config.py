"""Settings of `up`, read from `SEEDLIFT_*` variables like those of every other program."""

from pathlib import Path

from msgspec import Struct

from stack.paths import ROOT

DATA = ROOT / ".seedlift"


class Settings(Struct, frozen=True, kw_only=True):
    data: Path = DATA
    host: str = "127.0.0.1"
    """Where the public listener and the S3 gateway listen; everything else stays on loopback."""
    port: int | None = None
    """The first of a row of ports; where not given, those that the data folder was made with, else 8000."""
    agents: int = 1
    demo: bool = False
    ready_file: Path | None = None

    # Given on to the programs.
    sets: str = ""
    """Lines `control.<setting>=<value>` or `agent.<setting>=<value>`, put over what we would have given."""
    time_scale: float = 1.0
    log_format: str = "json"
    log_level: str = "info"
