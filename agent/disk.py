"""The agent's folder: one folder a transfer, the lock that keeps a second agent out, and what is to be thrown away.

<agent_dir>/lock
<agent_dir>/identity/
<agent_dir>/transfers/<transfer>/journal      stored parts
<agent_dir>/transfers/<transfer>/data/<index> the torrent's files
<agent_dir>/trash/                            emptied in a thread, and at every start
"""

import asyncio
import fcntl
import os
import shutil
from array import array
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from agent.budget import Budget
from agent.config import RESERVE_BYTES
from agent.engine.api import disk_code
from agent.holes import can_punch
from agent.journal import read_held
from telemetry import logs
from wire.failures import failure
from wire.ids import TransferId, new_id
from wire.messages import Failure, Found

log = logs.get(__name__)

STAT_BLOCK_BYTES = 512
GET_FLAGS, SET_FLAGS, TOP_FOLDER = 0x80086601, 0x40086602, 0x20000
"""Of ext4's ioctls (linux/fs.h)."""
ORPHANS_S = 5.0
"""How often folders of no transfer are looked for: what libtorrent still writes after a torrent left makes one anew."""


class AnotherAgent(Exception):
    """The folder is in use."""


def disk_failure(broken: OSError) -> Failure:
    """What a transfer fails with when something of it cannot be written."""
    return failure(disk_code(broken.errno), str(broken))


def spread(folder: Path) -> None:
    """Has ext4 lay what is made in the folder far apart. For minutes it passes by the place of each file that was
    deleted before it makes another nearby: twenty thousand files after twenty thousand others took four times the CPU
    (bench `small_files`). Other file systems do not know the flag, and need none."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags = array("l", [0])
        fcntl.ioctl(opened, GET_FLAGS, flags)
        flags[0] |= TOP_FOLDER
        fcntl.ioctl(opened, SET_FLAGS, flags)
    except OSError as unknown:
        log.debug("disk.not_spread", reason=str(unknown))
    finally:
        os.close(opened)


class Disk:
    def __init__(self, agent_dir: Path) -> None:
        self._transfers = agent_dir / "transfers"
        self._trash = agent_dir / "trash"
        for folder in (self._transfers, self._trash):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        spread(self._transfers)
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

    def free_bytes(self) -> int:
        return shutil.disk_usage(self._transfers).free - RESERVE_BYTES

    def room_for(self, size_bytes: int) -> bool:
        return self.free_bytes() >= size_bytes

    def budget(self, wanted_bytes: int | None) -> Budget:
        """What is free and what transfers have already, or less if that is wanted. For when an agent starts."""
        most = self.free_bytes() + occupied_below(self._transfers)
        total = most if wanted_bytes is None else min(most, wanted_bytes)
        return Budget(max(0, total), can_punch=can_punch(self._trash))

    def occupied(self, transfer: TransferId) -> int:
        """Slow: for a thread."""
        return occupied_below(self.data(transfer))

    def clear(self, transfer: TransferId) -> None:
        """Its data goes, its journal stays. Slow: for a thread."""
        shutil.rmtree(self.data(transfer), ignore_errors=True)

    def orphans(self, known: Collection[TransferId]) -> list[str]:
        """Folders of no transfer that we know: thrown away, and named."""
        names = {str(transfer) for transfer in known}
        found = [folder for folder in self._transfers.iterdir() if folder.name not in names]
        for folder in found:
            self._discard(folder)
        return [folder.name for folder in found]

    def _folder(self, transfer: TransferId) -> Path:
        folder = self._transfers / str(transfer)
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def _discard(self, folder: Path) -> None:
        if folder.exists():
            folder.rename(self._trash / str(new_id()))


async def tidy(disk: Disk, known: Callable[[], Collection[TransferId]]) -> None:
    """Until cancelled."""
    while True:
        await asyncio.to_thread(disk.sweep)
        await asyncio.sleep(ORPHANS_S)
        if orphans := disk.orphans(known()):
            log.info("disk.orphans", folders=orphans)


def occupied_below(folder: Path) -> int:
    """In blocks: a file may have holes."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name), follow_symlinks=False).st_blocks * STAT_BLOCK_BYTES
    return total
