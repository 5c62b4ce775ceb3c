"""A folder for a whole stack: as root, PostgreSQL runs as another account, which must be able to enter it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.accounts import barrier, for_postgres

COMMON = ("/tmp", "/var/tmp", "/dev/shm")


@contextmanager
def open_folder() -> Iterator[Path]:
    """Others may pass through it; pytest's own folders, and many a TMPDIR, are private."""
    with tempfile.TemporaryDirectory(prefix="seedlift-test-", dir=_parent(), ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def _parent() -> str:
    usual = tempfile.gettempdir()
    if (account := for_postgres(Path(usual) / "none")) is None:
        return usual
    return next(place for place in (usual, *COMMON) if barrier(Path(place) / "any", account) is None)
