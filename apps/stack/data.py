"""The data folder: opened by one stack at a time, recognised when half made, refused with a sentence when unusable."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from stack.accounts import Account, barrier
from stack.errors import CannotStart
from stack.paths import write_private
from wire.units import GIB, MIB

FREE_MIN_BYTES = GIB
"""PostgreSQL, JetStream and the store all fail badly on a full disk; a gibibyte is a few minutes of any of them."""
OUTSIDE = Path("/var/lib/seedlift")
"""Where root's data are that cannot be in the project's own folder."""
LAYOUT = 1
"""Counts up when a later version can no longer read what an earlier one wrote."""


class Marker(Struct, frozen=True):
    """`stack.json`: says that the folder is ours. Written before anything else is."""

    layout: int = LAYOUT


class Data(Struct, frozen=True):
    dir: Path

    @property
    def marker(self) -> Path:
        return self.dir / "stack.json"

    @property
    def ports(self) -> Path:
        return self.dir / "ports.json"

    @property
    def operator(self) -> Path:
        """Where `seedlift fleet …` finds this stack."""
        return self.dir / "operator.json"

    @property
    def secrets(self) -> Path:
        return self.dir / "secrets"

    @property
    def postgres(self) -> Path:
        return self.dir / "postgres"

    @property
    def nats(self) -> Path:
        return self.dir / "nats"

    @property
    def store(self) -> Path:
        return self.dir / "store"

    @property
    def demo(self) -> Path:
        return self.dir / "demo"

    def agent(self, number: int) -> Path:
        return self.dir / "agents" / str(number)

    def log(self, name: str) -> Path:
        return self.dir / "logs" / f"{name}.log"


@contextmanager
def opened(folder: Path) -> Iterator[Data]:
    """Ours until the end of the block, or refused."""
    data = Data(_made(folder.resolve()))
    with _private(), _locked(data):
        _must_be_ours(data)
        free = shutil.disk_usage(data.dir).free
        if free < FREE_MIN_BYTES:
            raise CannotStart(
                f"only {free // MIB} MiB are free where {data.dir} is; at least {FREE_MIN_BYTES // MIB} are needed: "
                f"make room, or choose another place with --data DIR."
            )
        yield data


def lead_out(folder: Path, account: Account | None) -> Path | None:
    """Root keeps the project in a private folder, which PostgreSQL's account may not enter: a link where the data
    folder would be leads to a new one that it may. Gives the folder in the way, None where there is none."""
    if account is None or folder.exists() or (private := barrier(folder / "any", account)) is None:
        return None
    try:
        OUTSIDE.mkdir(parents=True, exist_ok=True, mode=0o755)
        folder.unlink(missing_ok=True)  # it led to one that is gone
        folder.symlink_to(tempfile.mkdtemp(dir=OUTSIDE, prefix="data-"))
    except OSError as refused:
        raise CannotStart(
            f"PostgreSQL's account may not enter {private}, and {OUTSIDE} cannot be used instead ({refused.strerror}): "
            f"choose another place with --data DIR."
        ) from None
    return private


def _made(folder: Path) -> Path:
    """Private. As root others may pass through, since PostgreSQL runs as another account; its parts are private."""
    for parent in reversed(folder.parents):
        if parent.exists() and not os.access(parent, os.X_OK):
            raise CannotStart(
                f"this account may not enter {parent}: run as its owner, or choose another place with --data DIR."
            )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as refused:
        raise CannotStart(
            f"{folder} cannot be made a data folder ({refused.strerror}): choose another place with --data DIR."
        ) from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise CannotStart(
            f"this account may not use {folder}: run as its owner, or choose another place with --data DIR."
        )
    if folder.stat().st_uid != os.geteuid():  # root could, and would leave files that the owner cannot read
        raise CannotStart(f"{folder} belongs to another account: run as its owner, or choose another with --data DIR.")
    if os.geteuid() == 0:
        folder.chmod(0o711)
    return folder


@contextmanager
def _private() -> Iterator[None]:
    """Whatever we and our children make is ours alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _locked(data: Data) -> Iterator[None]:
    """The kernel lets go of it with us, however we end."""
    try:
        file = os.fdopen(os.open(data.dir / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
    except OSError as refused:
        raise CannotStart(
            f"{data.dir / 'lock'} cannot be opened ({refused.strerror}): run as the owner of the data folder."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = file.read().strip() or "unknown"
            raise CannotStart(
                f"another instance (process {pid}) runs on {data.dir}: stop it, "
                f"or choose another folder with --data DIR and other ports with --port N."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _must_be_ours(data: Data) -> None:
    if not data.marker.exists():
        foreign = sorted(path.name for path in data.dir.iterdir() if path.name not in ("lock", ".stack.json.new"))
        if foreign:
            raise CannotStart(
                f"{data.dir} is no data folder of Seedlift, it holds other files ({', '.join(foreign[:3])}): "
                f"choose an empty one with --data DIR."
            )
        write_private(data.marker, msgspec.json.encode(Marker()))
    try:
        marker = msgspec.json.decode(data.marker.read_bytes(), type=Marker)
    except (OSError, msgspec.MsgspecError) as broken:
        raise CannotStart(
            f"{data.marker} cannot be read ({broken}): bring it back from a backup, "
            f"or choose another folder with --data DIR."
        ) from None
    if marker.layout > LAYOUT:
        raise CannotStart(f"{data.dir} was written by a newer Seedlift: update this one.")
    if not data.secrets.exists() and (data.postgres / "data").exists():
        raise CannotStart(
            f"{data.secrets} is gone, and without it the data in {data.dir} cannot be opened: "
            f"bring it back from a backup, or remove {data.dir}."
        )
