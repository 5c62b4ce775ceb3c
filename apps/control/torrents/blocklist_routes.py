"""Routes of the blocklist: what is on it, put hashes on it, one, many or as CSV, and take some off."""

import csv
from dataclasses import dataclass
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromQuery, JSONBody, QueryParameter

from control import cursor as cursors
from control import http
from control.accounts.permissions import Permission
from control.auth import Principal, actor_of
from control.errors import BadInput, UnsupportedMedia
from control.http import Asked
from control.plane import Plane
from control.torrents import blocklist
from control.torrents.blocklist import Place
from control.torrents.schemas import AddBlocks, Blocked, Blocklist, BlockView, RemoveBlocks, Unblocked
from wire.clock import utcnow
from wire.units import MIB

TAG = ["admin"]
PAGE = 50
PAGE_MAX = 200
CSV_BYTES_MAX = 8 * MIB
"""The longest list that is taken, each line with a short reason."""
CSV_TYPE = "text/csv"
HEADER = "hash"

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="At most so many.")]
Reason = Annotated[str | None, QueryParameter(description="Of lines that give none of their own.")]


@dataclass
class CsvOperation(Operation):
    """In the OpenAPI page: a body of lines."""

    def __post_init__(self) -> None:
        lines = Schema(type=OpenAPIType.STRING, description="`hash` or `hash,reason` a line; a header may be there.")
        self.request_body = RequestBody(required=True, content={CSV_TYPE: OpenAPIMediaType(schema=lines)})


@get("/admin/blocklist", permission=Permission.BLOCKLIST_READ, summary="Blocked info-hashes, newest first", tags=TAG)
async def list_blocks(
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    hash: FromQuery[str | None] = None,  # noqa: A002 - its name in the URL
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> Blocklist:
    asked = blocklist.read([hash])[0] if hash is not None else None
    before = Place(*cursors.hash_of(cursor)) if cursor else None
    async with plane.working() as tx:
        found = await blocklist.listed(tx, asked, before, limit + 1)
    page = found[:limit]
    items = [BlockView(each.hash.hex(), each.reason, each.blocked_by, each.created_at) for each in page]
    return Blocklist(items, cursors.after_hash(page[-1].created_at, page[-1].hash) if len(found) > limit else None)


@post(
    "/admin/blocklist",
    permission=Permission.BLOCKLIST_WRITE,
    status_code=200,
    summary="Block info-hashes: nobody may add them, what has them fails, and what is stored of them goes",
    tags=TAG,
)
async def add_blocks(
    data: JSONBody[AddBlocks], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> Blocked:
    reason = blocklist.clean_reason(data.reason)
    return await _block(plane, request, who, dict.fromkeys(blocklist.read(data.hashes), reason))


@post(
    "/admin/blocklist/import",
    permission=Permission.BLOCKLIST_WRITE,
    status_code=200,
    summary="Block a list of info-hashes; all of it, or nothing if a line cannot be read",
    tags=TAG,
    request_max_body_size=CSV_BYTES_MAX,
    opt={"reads_own_body": True},
    operation_class=CsvOperation,
)
async def import_blocks(
    request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal], reason: Reason = None
) -> Blocked:
    if request.content_type[0] != CSV_TYPE:
        raise UnsupportedMedia(f"Send the list as {CSV_TYPE}.")
    return await _block(plane, request, who, _lines(await http.body_within(request, CSV_BYTES_MAX), reason))


@post(
    "/admin/blocklist/remove",
    permission=Permission.BLOCKLIST_WRITE,
    status_code=200,
    summary="Unblock info-hashes: they may be asked for again",
    tags=TAG,
)
async def remove_blocks(
    data: JSONBody[RemoveBlocks], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> Unblocked:
    hashes, reason = blocklist.read(data.hashes), blocklist.clean_reason(data.reason)
    async with plane.working() as tx:
        return Unblocked(await blocklist.unblock(tx, hashes, reason, actor_of(request, who), utcnow()))


async def _block(plane: Plane, request: Asked, who: Principal, reasons: dict[bytes, str]) -> Blocked:
    async with plane.working() as tx:
        done = await blocklist.block(tx, reasons, actor_of(request, who), utcnow())
    await plane.nudge("blocked")
    return Blocked(done.added, done.known)


def _lines(body: bytes, reason: str | None) -> dict[bytes, str]:
    try:
        rows = list(csv.reader(body.decode("utf-8-sig").splitlines(), strict=True))
    except (UnicodeDecodeError, csv.Error) as bad:
        raise BadInput(f"This is no CSV in UTF-8: {bad}", code="bad_csv") from None
    if rows and rows[0] and rows[0][0].strip().lower() == HEADER:
        del rows[0]
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if any(len(row) > 2 for row in rows):
        raise BadInput("A line has a hash and a reason, and no third column.", code="bad_csv")
    blocklist.read(row[0] for row in rows)  # refuses all of it, and names the first line that is wrong
    hashes = [blocklist.read([row[0]]) for row in rows]
    reasons = [blocklist.clean_reason(row[1] if len(row) == 2 and row[1].strip() else reason or "") for row in rows]
    return {each: why for named, why in zip(hashes, reasons, strict=True) for each in named}


ROUTES = [list_blocks, add_blocks, import_blocks, remove_blocks]
