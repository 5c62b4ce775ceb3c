"""Stands in for an agent where a test is about supervision: has an identity, then sleeps."""

import os
import signal
import sys
from pathlib import Path

if sys.argv[1] == "enrol":
    folder = Path(sys.argv[sys.argv.index("--dir") + 1])
    folder.mkdir()
    (folder / "identity").touch()
else:
    assert (Path(os.environ["SEEDLIFT_AGENT_DIR"]) / "identity").exists()
    signal.pause()
