"""A file on a web server, as the first agent that asked for it found it. Whoever goes on with it wants the same one.

It is to a URL what an info dict is to a magnet: kept by the control plane, given to every later agent.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from wire.errors import BadRemote
from wire.filelist import FILE_BYTES_MAX
from wire.metainfo import File, Listing
from wire.names import clean_name
from wire.units import MIB

BYTES_MAX = 4_096
"""Of all that is said of one."""
PIECE_MIN_BYTES = MIB
PIECES_MAX = 131_072
"""5 TiB, the most that S3 takes, in pieces of 64 MiB."""

Mark = Annotated[str, Meta(max_length=512)]


class Remote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    size_bytes: Annotated[int, Meta(ge=0, le=FILE_BYTES_MAX)]
    etag: Mark = ""
    """As the server words it, quotes and all; empty: it says none."""
    modified: Mark = ""
    ranges: bool = False
    """Parts of it can be had."""

    @property
    def piece_bytes(self) -> int:
        piece = PIECE_MIN_BYTES
        while -(-self.size_bytes // piece) > PIECES_MAX:
            piece *= 2
        return piece

    @property
    def piece_count(self) -> int:
        return -(-self.size_bytes // self.piece_bytes)

    def json(self) -> bytes:
        """As it is kept."""
        return msgspec.json.encode(self)

    def listing(self) -> Listing:
        name = clean_name(self.name)
        return Listing(
            name=name,
            piece_length=self.piece_bytes,
            piece_count=self.piece_count,
            files=(File(index=0, path=(name,), size_bytes=self.size_bytes, offset=0),),
            total_bytes=self.size_bytes,
        )


def parse_remote(raw: bytes) -> Remote:
    """Raises BadRemote."""
    try:
        if len(raw) > BYTES_MAX:
            raise msgspec.ValidationError("too long")
        return msgspec.json.decode(raw, type=Remote)
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise BadRemote("remote_malformed", f"This says nothing of a file on a web server: {bad}.") from None
