"""Names of objects: `<scope>/<torrent>/<file index>/<epoch>`; an epoch is one claim's, so no name is used twice."""

from uuid import UUID

from msgspec import Struct


class ObjectKey(Struct, frozen=True):
    scope: UUID
    torrent: UUID
    file: int
    epoch: int

    def __str__(self) -> str:
        return object_key(self.scope, self.torrent, self.file, self.epoch)


def object_key(scope: UUID, torrent: UUID, file: int, epoch: int) -> str:
    return f"{prefix(scope, torrent)}{file}/{epoch}"


def prefix(scope: UUID, torrent: UUID) -> str:
    """Everything that is ever stored of one torrent."""
    return f"{scope}/{torrent}/"


def parse_key(key: str) -> ObjectKey | None:
    """None: nobody here made that name."""
    match key.split("/"):
        case [scope, torrent, file, epoch] if file.isdecimal() and epoch.isdecimal():
            try:
                parsed = ObjectKey(UUID(scope), UUID(torrent), int(file), int(epoch))
            except ValueError:
                return None
            return parsed if str(parsed) == key else None
        case _:
            return None


def parse_prefix(text: str) -> tuple[UUID, UUID]:
    scope, torrent, _ = text.split("/")
    return UUID(scope), UUID(torrent)
