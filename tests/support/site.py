"""A web server of our own, as well or badly behaved as a test wants: ranges, lengths, redirects, changes, cuts."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct

from stack.listen import listening
from tests.support.proxy import Bucket

HOST = "127.77.0.1"
CHUNK_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")


class Page(Struct):
    """May be changed while it is served."""

    content: bytes = b""
    ranges: bool = True
    length: bool = True
    """Says how long it is; else it comes in chunks."""
    etag: str = ""
    modified: str = ""
    fields: Mapping[str, str] = {}
    status: int = 200
    location: str = ""
    cut_after: int | None = None
    """Bytes of each answer, then the connection breaks."""
    stop_at: int | None = None
    """Bytes of the file from here on do not come; once they may, who waited for them is hung up on first."""
    claims: int | None = None
    """As its whole length, whatever is true."""


class Request(Struct, frozen=True):
    path: str
    fields: Mapping[str, str]

    @property
    def span(self) -> tuple[int, int | None] | None:
        found = _RANGE.fullmatch(self.fields.get("range", ""))
        return (int(found[1]), int(found[2]) if found[2] else None) if found else None


class Site:
    def __init__(self, pages: Mapping[str, Page], rate_bytes: int | None) -> None:
        self.pages = pages
        self.asked: list[Request] = []
        self.sent_bytes = 0
        self.busiest = 0
        """Most answers at once."""
        self.bucket = Bucket(rate_bytes)
        self.url = ""
        self._busy = 0

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                request = Request(first.split(" ")[1], fields)
                self.asked.append(request)
                self._busy += 1
                self.busiest = max(self.busiest, self._busy)
                try:
                    await self._answer(request, writer)
                finally:
                    self._busy -= 1
        except (OSError, EOFError):
            pass

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        page = self.pages.get(request.path.partition("?")[0], Page(status=404))
        status, first, last = page.status, 0, len(page.content)
        total = page.claims if page.claims is not None else last
        head = {"ETag": page.etag, "Last-Modified": page.modified, "Location": page.location, **page.fields}
        same = request.fields.get("if-range", page.etag) in (page.etag, page.modified)
        if status == 200 and page.ranges and same and (span := request.span):
            first, last = span[0], min(last, span[1] + 1 if span[1] is not None else last)
            status = 206 if first < last else 416
            head["Content-Range"] = f"bytes {first}-{last - 1}/{total}" if status == 206 else f"bytes */{total}"
        body = page.content[first:last] if status in (200, 206) else b""
        if page.length:
            head["Content-Length"] = str(total if status == 200 else len(body))
        else:
            head["Transfer-Encoding"] = "chunked"
        lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in head.items() if value)]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for at in range(0, len(body), CHUNK_BYTES):
            if page.cut_after is not None and at >= page.cut_after:
                raise EOFError
            if page.stop_at is not None and first + at >= page.stop_at:
                while page.stop_at is not None:
                    await asyncio.sleep(0.02)
                raise EOFError
            await self._send(writer, body[at : at + CHUNK_BYTES], chunked=not page.length)
        if not page.length:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes, *, chunked: bool) -> None:
        await self.bucket.take(len(data))
        writer.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
        await writer.drain()
        self.sent_bytes += len(data)


@asynccontextmanager
async def serving(pages: Mapping[str, Page], *, host: str = HOST, rate_bytes: int | None = None) -> AsyncIterator[Site]:
    site = Site(pages, rate_bytes)
    async with listening(site.hear, socket.create_server((host, 0))) as port:
        site.url = f"http://{host}:{port}"
        yield site
