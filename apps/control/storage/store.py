"""The store as the control plane uses it: uploads opened, completed and aborted; objects asked about, linked, removed.

Ours go over httpx with our own signed URLs; the bucket and removal in bulk are minio's, in threads.
Never called inside a transaction.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from http import HTTPStatus
from itertools import pairwise
from typing import TypeVar
from urllib.parse import unquote_plus

import httpx
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error
from msgspec import Struct
from prometheus_client import Histogram
from urllib3.exceptions import HTTPError

from control.config import Settings
from control.storage import presign, xml
from control.storage.errors import InvalidPart, NoSuchUpload, StoreDown, StoreRefused
from control.storage.presign import Place, SignedPut
from telemetry.metrics import FAST_S
from wire.clock import utcnow

CONNECT_S = 3.0
CALL_S = 15.0
"""Opening, aborting, asking: milliseconds when all is well."""
COMPLETE_S = 60.0
"""The store may stitch up to ten thousand parts."""
OURS_S = 60
"""How long our own signed requests are good; they are sent at once."""
CONNECTIONS_MAX = 16
BUCKET_THREAD_S = 20.0
PAGE = 1000
"""S3's own limit, for listings and for removal in bulk."""
STRETCHES = 4
"""Of a long listing, read at once: one reader leaves a store of several cores half idle."""

_SECONDS = Histogram("control_store_seconds", "How long the store took.", ["call"], buckets=FAST_S)
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_DOWN_CODES = frozenset({"InternalError", "ServiceUnavailable", "SlowDown", "RequestTimeout"})
T = TypeVar("T")


class Head(Struct, frozen=True):
    size_bytes: int
    etag: str


class Listed(Struct, frozen=True):
    key: str
    size_bytes: int
    modified_at: datetime


class OpenUpload(Struct, frozen=True):
    key: str
    upload_id: str


class StoredPart(Struct, frozen=True):
    part: int
    size_bytes: int
    etag: str


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator["Store"]:
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX, keepalive_expiry=20)
    timeout = httpx.Timeout(CALL_S, connect=CONNECT_S)
    async with httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False) as client:
        yield Store(settings, client)


class Store:
    def __init__(self, settings: Settings, client: httpx.AsyncClient) -> None:
        self._inside = _place(settings, settings.store_url)
        self._outside = _place(settings, settings.store_public_url)
        self._client = client
        self._bucket = settings.store_bucket
        self._minio = _minio(settings)

    # What others may do, by a signed URL.

    def put_grant(
        self,
        key: str,
        *,
        size_bytes: int,
        crc32: int,
        now: datetime,
        expires_s: float,
        part: int = 0,
        upload_id: str = "",
    ) -> SignedPut:
        """These bytes, there, soon. With part 0 a whole small object, else one part of an upload."""
        query = {"partNumber": str(part), "uploadId": upload_id} if part else {}
        return presign.put(
            self._inside,
            key,
            size_bytes=size_bytes,
            crc32=crc32,
            query=query,
            now=now,
            expires_s=max(1, int(expires_s)),
        )

    def link(self, key: str, *, disposition: str, content_type: str, now: datetime, expires_s: int) -> str:
        """For browsers and download managers: GET and Range, from outside."""
        return presign.get(
            self._outside, key, disposition=disposition, content_type=content_type, now=now, expires_s=expires_s
        )

    # Multipart uploads.

    async def open_upload(self, key: str) -> str:
        body = await self._ask("open_upload", "POST", key, {"uploads": ""})
        if not (upload_id := xml.text(xml.root(body), "UploadId")):
            raise StoreRefused("BadAnswer", "the store opened an upload without an id")
        return upload_id

    async def complete(self, key: str, upload_id: str, parts: Iterable[tuple[int, str]]) -> str:
        """The object's ETag. Completing twice is NoSuchUpload, or the same answer: ask `head` then."""
        body = await self._ask(
            "complete", "POST", key, {"uploadId": upload_id}, content=xml.complete_body(parts), timeout=COMPLETE_S
        )
        return xml.text(xml.root(body), "ETag").strip('"')

    async def abort(self, key: str, upload_id: str) -> None:
        try:
            await self._ask("abort", "DELETE", key, {"uploadId": upload_id})
        except NoSuchUpload:
            return

    async def parts(self, key: str, upload_id: str) -> list[StoredPart]:
        found: list[StoredPart] = []
        while True:
            after = str(found[-1].part if found else 0)
            query = {"uploadId": upload_id, "part-number-marker": after, "max-parts": str(PAGE)}
            page = xml.root(await self._ask("parts", "GET", key, query))
            rows = [
                StoredPart(int(xml.text(p, "PartNumber")), int(xml.text(p, "Size")), xml.text(p, "ETag").strip('"'))
                for p in page.findall("{*}Part")
            ]
            found += rows
            if not rows or xml.text(page, "IsTruncated") != "true":
                return found

    async def uploads(self, prefix: str) -> list[OpenUpload]:
        """The first thousand that are open below a prefix; whoever aborts them asks again."""
        query = {"uploads": "", "prefix": prefix, "max-uploads": str(PAGE)}
        page = xml.root(await self._ask("uploads", "GET", "", query))
        rows = page.findall("{*}Upload")
        return [OpenUpload(xml.text(row, "Key"), xml.text(row, "UploadId")) for row in rows]

    async def uploads_before(self, opened: datetime) -> list[OpenUpload]:
        """All in the bucket that were opened earlier than that."""
        found: list[OpenUpload] = []
        after: dict[str, str] = {}
        while True:
            page = xml.root(await self._ask("uploads", "GET", "", {"uploads": "", "max-uploads": str(PAGE)} | after))
            found += [
                OpenUpload(xml.text(row, "Key"), xml.text(row, "UploadId"))
                for row in page.findall("{*}Upload")
                if datetime.fromisoformat(xml.text(row, "Initiated")) < opened
            ]
            if xml.text(page, "IsTruncated") != "true":
                return found
            after = {"key-marker": xml.text(page, "NextKeyMarker")}
            after["upload-id-marker"] = xml.text(page, "NextUploadIdMarker")

    # Objects.

    async def put_empty(self, key: str) -> str:
        """A file of no bytes is an object too: whoever downloads the torrent has it."""
        answer = await self._send("put_empty", "PUT", key, {}, content=b"", timeout=CALL_S)
        _check(answer)
        return str(answer.headers.get("etag", "")).strip('"')

    async def head(self, key: str) -> Head | None:
        answer = await self._send("head", "HEAD", key, {}, content=None, timeout=CALL_S)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        _check(answer)
        return Head(int(answer.headers["content-length"]), answer.headers.get("etag", "").strip('"'))

    async def listed(self, prefix: str) -> list[str]:
        return list(await self.sizes(prefix))

    async def sizes(self, prefix: str, expected: Collection[str] = ()) -> dict[str, int]:
        """Names below a prefix, and how large each is. A torrent has at most some hundred thousand; where as many are
        expected, several stretches between those are read at once.

        Read here, since minio's reading costs five times as much.
        """
        found: dict[str, int] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for after, last in pairwise([None, *_cuts(expected), None]):
                    group.create_task(self._stretch(prefix, after, last, found))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return found

    async def _stretch(self, prefix: str, after: str | None, last: str | None, found: dict[str, int]) -> None:
        """Of what is below a prefix; `after` is not of it, `last` is."""
        query = {"list-type": "2", "prefix": prefix, "max-keys": str(PAGE), "encoding-type": "url"}
        if after:
            query["start-after"] = after
        while True:
            page = xml.root(await self._ask("sizes", "GET", "", query))
            for row in page.iterfind("{*}Contents"):
                key = unquote_plus(xml.text(row, "Key"))
                if last is not None and key.encode() > last.encode():
                    return
                found[key] = int(xml.text(row, "Size"))
            more = xml.text(page, "NextContinuationToken")
            if xml.text(page, "IsTruncated") != "true" or not more:
                return
            query["continuation-token"] = more

    async def page(self, after: str) -> list[Listed]:
        """The next thousand names of the whole bucket, in the order of their bytes."""
        query = {"list-type": "2", "start-after": after, "max-keys": str(PAGE), "encoding-type": "url"}
        page = xml.root(await self._ask("page", "GET", "", query))
        return [
            Listed(
                unquote_plus(xml.text(row, "Key")),
                int(xml.text(row, "Size")),
                datetime.fromisoformat(xml.text(row, "LastModified")),
            )
            for row in page.iterfind("{*}Contents")
        ]

    async def remove(self, keys: Iterable[str]) -> None:
        """Those that are not there are no error."""
        names = list(keys)

        def some(page: list[str]) -> None:
            for wrong in self._minio.remove_objects(self._bucket, [DeleteObject(name) for name in page]):
                raise StoreRefused(wrong.code, f"{wrong.name}: {wrong.message}")

        for first in range(0, len(names), PAGE):
            page = names[first : first + PAGE]
            await self._in_thread("remove", partial(some, page), COMPLETE_S)

    # The bucket.

    async def ensure_bucket(self) -> None:
        def ensure() -> None:
            if not self._minio.bucket_exists(self._bucket):
                try:
                    self._minio.make_bucket(self._bucket)
                except S3Error as failure:
                    if failure.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                        raise

        await self._in_thread("ensure_bucket", ensure, BUCKET_THREAD_S)

    async def check(self) -> None:
        """Raises StoreDown or StoreRefused unless the bucket is there and ours."""
        answer = await self._send("check", "HEAD", "", {}, content=None, timeout=CALL_S)
        _check(answer)

    async def _ask(
        self,
        call: str,
        method: str,
        key: str,
        query: Mapping[str, str],
        *,
        content: bytes | None = None,
        timeout: float = CALL_S,
    ) -> bytes:
        answer = await self._send(call, method, key, query, content=content, timeout=timeout)
        _check(answer)
        return answer.content

    async def _send(
        self, call: str, method: str, key: str, query: Mapping[str, str], *, content: bytes | None, timeout: float
    ) -> httpx.Response:
        url = presign.sign(self._inside, method, key, query=query, headers={}, now=utcnow(), expires_s=OURS_S)
        with _SECONDS.labels(call).time():
            try:
                async with asyncio.timeout(timeout):
                    return await self._client.request(method, url, content=content, timeout=timeout)
            except (httpx.HTTPError, OSError, TimeoutError) as failure:
                raise StoreDown(f"{call}: {failure!r}") from None

    async def _in_thread(self, call: str, work: Callable[[], T], timeout: float) -> T:
        """A thread cannot be stopped, but urllib3's own timeouts end it soon after we stopped waiting."""
        with _SECONDS.labels(call).time():
            try:
                async with asyncio.timeout(timeout):
                    return await asyncio.to_thread(work)
            except S3Error as failure:
                if failure.code in _DOWN_CODES:
                    raise StoreDown(f"{call}: {failure.code}") from None
                raise StoreRefused(failure.code or "Unknown", failure.message or "") from None
            except (MinioException, HTTPError, OSError, TimeoutError) as failure:
                raise StoreDown(f"{call}: {failure!r}") from None


def upload_mark(upload_id: str) -> str:
    """Tells uploads apart without giving the id away."""
    return hashlib.sha256(upload_id.encode()).hexdigest()[:16]


def _check(answer: httpx.Response) -> None:
    """An error is an error whatever its status: completing can say so under a 200."""
    said = xml.error_of(answer.content)
    if said is None and answer.is_success:
        return
    code, detail = said or (f"Http{answer.status_code}", "")
    match code:
        case "NoSuchUpload":
            raise NoSuchUpload(detail)
        case "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall":
            raise InvalidPart(f"{code}: {detail}")
        case _ if answer.status_code in _LATER or code in _DOWN_CODES:
            raise StoreDown(f"{code}: {detail}")
        case _:
            raise StoreRefused(code, detail)


def _cuts(expected: Collection[str]) -> Sequence[str]:
    """Names between which about as many are expected each."""
    if len(expected) <= STRETCHES * PAGE:
        return ()
    names = sorted(expected, key=str.encode)
    return [names[len(names) * number // STRETCHES] for number in range(1, STRETCHES)]


def _place(settings: Settings, url: str) -> Place:
    return Place(
        url=url,
        bucket=settings.store_bucket,
        region=settings.store_region,
        access_key=settings.store_access_key,
        secret_key=settings.store_secret_key,
    )


def _minio(settings: Settings) -> Minio:
    scheme, _, rest = settings.store_url.partition("://")
    timeout = urllib3.Timeout(connect=CONNECT_S, read=CALL_S)
    return Minio(
        rest.rstrip("/"),
        access_key=settings.store_access_key,
        secret_key=settings.store_secret_key,
        region=settings.store_region,
        secure=scheme == "https",
        http_client=urllib3.PoolManager(timeout=timeout, retries=False, maxsize=4),
    )
