"""Tables of content: torrents and their files. A scope is one organisation until content is shared."""

import datetime as dt
import uuid

from sqlalchemy.orm import Mapped, deferred, mapped_column

from control.db import Base


class Torrent(Base):
    __tablename__ = "torrents"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    scope_id: Mapped[uuid.UUID]
    v1: Mapped[bytes | None]
    v2: Mapped[bytes | None]
    url_hash: Mapped[bytes | None]
    """SHA-256 of the URL that it was asked for by. The URL itself is the job's: it may hold a secret."""
    alias_of: Mapped[uuid.UUID | None]
    """This row turned out to be that torrent: two hashes in two magnets, linked by an info dict that we hashed."""
    name: Mapped[str | None]
    size_bytes: Mapped[int | None]
    files_count: Mapped[int | None]
    is_private: Mapped[bool] = mapped_column(default=False)
    info: Mapped[bytes | None] = deferred(mapped_column())
    """The info dict as it stands, up to 32 MiB, or what `wire.remote` says of a file; asked for by name."""
    layers: Mapped[bytes | None] = deferred(mapped_column())
    """The `piece layers` of a `.torrent` of version 2, as they stand; without them peers are asked for hashes."""
    created_at: Mapped[dt.datetime]

    @property
    def metadata_known(self) -> bool:
        return self.files_count is not None


class File(Base):
    __tablename__ = "files"

    torrent_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    scope_id: Mapped[uuid.UUID]
    path: Mapped[str]
    size_bytes: Mapped[int]
    kind: Mapped[str]


class Block(Base):
    """An info-hash that nobody may bring in here. Admins own it; loop `blocked` owns `settled`."""

    __tablename__ = "blocks"

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    """Of v1 or v2; their lengths tell them apart."""
    reason: Mapped[str]
    blocked_by: Mapped[str]
    case_id: Mapped[uuid.UUID | None]
    """Of the takedown that it is for; it goes with that."""
    created_at: Mapped[dt.datetime]
    settled: Mapped[bool] = mapped_column(default=False)
    """All that had it was ended, also what was being added while it was blocked."""
