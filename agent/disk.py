"""The agent's folder: one folder a transfer, the lock that keeps a second agent out, and what is to be thrown away.

<agent_dir>/lock
<agent_dir>/identity/
<agent_dir>/transfers/<transfer>/journal      stored parts
<agent_dir>/transfers/<transfer>/data/<index> the torrent's files
<agent_dir>/trash/                            emptied in a thread, and at every start
"""

import fcntl
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from agent.journal import read_held
from wire.ids import TransferId, new_id
from wire.messages import Found
from wire.units import MIB

RESERVE_BYTES = 256 * MIB
"""Never filled: journals, and whatever else lives on that disk."""


class AnotherAgent(Exception):
    """The folder is in use."""


class Disk:
    def __init__(self, agent_dir: Path) -> None:
        self._transfers = agent_dir / "transfers"
        self._trash = agent_dir / "trash"
        for folder in (self._transfers, self._trash):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock: BinaryIO = open(agent_dir / "lock", "ab")  # noqa: SIM115 - held as long as we live
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise AnotherAgent(
                f"another agent works in {agent_dir}: stop it, or give this one a folder of its own"
            ) from None

    def close(self) -> None:
        self._lock.close()

    def found(self) -> list[Found]:
        """Transfers that an earlier life left here; a folder that says nothing readable is thrown away."""
        found = []
        for folder in self._transfers.iterdir():
            try:
                transfer = TransferId(UUID(folder.name))
                held = read_held(folder / "journal")
            except (OSError, ValueError):
                held = None
            if held is None or held.transfer != transfer:
                self._discard(folder)
            else:
                found.append(Found(transfer, held.epoch))
        return found

    def journal(self, transfer: TransferId) -> Path:
        return self._folder(transfer) / "journal"

    def data(self, transfer: TransferId) -> Path:
        return self._folder(transfer) / "data"

    def drop(self, transfer: TransferId) -> None:
        """Out of sight at once; `sweep` frees the space."""
        self._discard(self._folder(transfer))

    def sweep(self) -> None:
        """Slow: for a thread."""
        for thrown in list(self._trash.iterdir()):
            if thrown.is_dir():
                shutil.rmtree(thrown, ignore_errors=True)
            else:
                thrown.unlink(missing_ok=True)

    def orphans(self, known: Collection[TransferId]) -> list[str]:
        """Folders of no transfer that we know: thrown away, and named."""
        names = {str(transfer) for transfer in known}
        found = [folder for folder in self._transfers.iterdir() if folder.name not in names]
        for folder in found:
            self._discard(folder)
        return [folder.name for folder in found]

    def room_for(self, size_bytes: int) -> bool:
        return shutil.disk_usage(self._transfers).free - RESERVE_BYTES >= size_bytes

    def _folder(self, transfer: TransferId) -> Path:
        folder = self._transfers / str(transfer)
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def _discard(self, folder: Path) -> None:
        if folder.exists():
            folder.rename(self._trash / str(new_id()))
