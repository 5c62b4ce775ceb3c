"""The one durable thing of a transfer on an agent: an append-only list of the parts that the store has acknowledged.

A record is length, CRC-32 and MessagePack. A tail that a crash tore off is found by its CRC and cut.
"""

import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import msgspec
from msgspec import Struct

from wire.ids import TransferId
from wire.messages import PartStored

_HEAD = struct.Struct("<II")
RECORD_MAX_BYTES = 65_536
"""No record is near it; a torn length could claim anything."""


class Held(Struct, frozen=True, tag="held", array_like=True):
    """From here on the transfer is held under this epoch."""

    transfer: TransferId
    epoch: int


class Stored(Struct, frozen=True, tag="stored", array_like=True):
    upload: str
    """The multipart upload it belongs to: another one knows nothing of this part."""
    part: PartStored


Record = Held | Stored
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


class Journal:
    """An open journal. Only one process has it open: the agent's folder is locked."""

    def __init__(self, path: Path) -> None:
        self.epoch: int | None = None
        self.stored: dict[tuple[int, int], Stored] = {}
        self._file: BinaryIO = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115 - kept open
        records, whole = _read(self._file.read())
        self._file.truncate(whole)
        self._file.seek(whole)
        self._whole = whole
        self._note(records)

    def append(self, records: Iterable[Record]) -> None:
        """Outlives this process when it returns. Outlives the machine too if it says what is held; of parts the last
        seconds may be lost with it: what was not acknowledged is put again, and that is cheaper than to wait for the
        disk each time. Raises OSError, and then the journal is as it was: after a torn record nothing would be read."""
        batch = list(records)
        frames = b"".join(map(_frame, batch))
        try:
            if self._file.write(frames) != len(frames):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a disk that fills up takes a part
            if any(isinstance(record, Held) for record in batch):
                os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._whole)
            self._file.seek(self._whole)
            raise
        self._whole += len(frames)
        self._note(batch)

    def close(self) -> None:
        self._file.close()

    def _note(self, records: Iterable[Record]) -> None:
        for record in records:
            if isinstance(record, Held):
                self.epoch = record.epoch
            else:
                self.stored[(record.part.file, record.part.part)] = record


def read_held(path: Path) -> Held | None:
    """The last claim that a journal speaks of; None where it says nothing readable."""
    records, _ = _read(path.read_bytes())
    held = [record for record in records if isinstance(record, Held)]
    return held[-1] if held else None


def _frame(record: Record) -> bytes:
    body = _encoder.encode(record)
    return _HEAD.pack(len(body), crc32(body)) + body


def _read(data: bytes) -> tuple[list[Record], int]:
    """All records up to the first one that is not whole, and where that one begins."""
    records: list[Record] = []
    at = 0
    while at + _HEAD.size <= len(data):
        size, check = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + size]
        if size > RECORD_MAX_BYTES or len(body) < size or crc32(body) != check:
            break
        try:
            records.append(_decoder.decode(body))
        except msgspec.DecodeError:
            break
        at += _HEAD.size + size
    return records, at
