"""Uploads: from a real swarm into the real store, by presigned URLs."""

import re
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from zlib import crc32

import httpx
import pytest
from minio import Minio

from agent.journal import Journal
from agent.parts import Book
from agent.store import NO_SUCH_UPLOAD, Store, StoreAway, StoreRefused
from agent.transfer import Transfer
from agent.upload import BATCH_BYTES, BATCH_FILES, KEPT_BYTES, Put, Task, Uploads
from tests.integration.agent.swarm import Listening, Seeded, seed
from tests.support import servers
from tests.unit.agent.specs import spec
from wire.ids import TransferId
from wire.messages import FileStored, Grant, PartStored, Want
from wire.parts import PART_MIN_BYTES

BUCKET = "agent-tests"
SIZES = {"big.bin": 2 * PART_MIN_BYTES + 5, "empty": 0, **{f"small/{i}": 100 * i for i in range(30)}}


class Granting:
    """Presigns as the control plane would, with one multipart upload for each file."""

    def __init__(self, minio: Minio, http: httpx.AsyncClient) -> None:
        self.minio = minio
        self.http = http
        self.uploads: dict[int, str] = {}

    async def grants(self, transfer: TransferId, epoch: int, wants: list[Want]) -> list[Grant]:
        return [await self._one(f"{transfer}/{want.file}", want) for want in wants]

    async def _one(self, key: str, want: Want) -> Grant:
        if not want.part:
            return Grant(want.file, 0, self.minio.get_presigned_url("PUT", BUCKET, key), {}, key, "")
        if want.file not in self.uploads:
            opened = await self.http.post(self._url("POST", key, uploads=""))
            found = re.search("<UploadId>(.*)</UploadId>", opened.text)
            assert found, opened.text
            self.uploads[want.file] = found[1]
        upload = self.uploads[want.file]
        url = self._url("PUT", key, partNumber=str(want.part), uploadId=upload)
        return Grant(want.file, want.part, url, {}, key, upload)

    async def complete(self, key: str, file: int, parts: list[PartStored]) -> None:
        numbered = sorted((part.part, part.etag) for part in parts)
        listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>" for n, etag in numbered)
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
        answer = await self.http.post(self._url("POST", key, uploadId=self.uploads[file]), content=body)
        assert answer.status_code == 200, answer.text

    def _url(self, method: str, key: str, **query: str) -> str:
        return self.minio.get_presigned_url(method, BUCKET, key, extra_query_params=dict(query))


@pytest.fixture
async def granting(store: servers.Store) -> AsyncIterator[Granting]:
    minio = Minio(
        store.url.removeprefix("http://"),
        access_key=store.access_key,
        secret_key=store.secret_key,
        secure=False,
        region=store.region,
    )
    if not minio.bucket_exists(BUCKET):
        minio.make_bucket(BUCKET)
    async with httpx.AsyncClient() as http:
        yield Granting(minio, http)


async def arrived(engine: Listening, seeded: Seeded, book: Book, folder: Path, transfer: TransferId) -> None:
    engine.session.add(seeded.add(folder, transfer, book))

    def whole(said: object) -> bool:
        for event in engine.said:
            if hasattr(event, "piece"):
                book.verified(event.piece)
        return not book.unready

    await engine.until(whole)


@pytest.mark.parametrize("kept_bytes", [KEPT_BYTES, 150], ids=["kept in memory", "read twice"])
async def test_what_arrives_from_the_swarm_is_the_same_in_the_store(
    tmp_path: Path, granting: Granting, kept_bytes: int
) -> None:
    put: list[Put] = []

    async def stored(one: Put) -> None:
        put.append(one)

    asked = spec()
    with seed(tmp_path / "seeder", SIZES) as seeded:
        book = seeded.book()
        async with Listening(tmp_path) as engine, Store(8) as store:
            await arrived(engine, seeded, book, tmp_path / "data", asked.transfer)
            uploads = Uploads(engine.session, granting.grants, store, kept_bytes)
            while batch := book.take(BATCH_BYTES, BATCH_FILES):
                await uploads.put(Task(asked.transfer, 1, book.layout, batch), stored)
    parts = [one.stored for one in put if isinstance(one.stored, PartStored)]
    big = next(file.index for file in seeded.info.content if file.size_bytes == SIZES["big.bin"])
    await granting.complete(f"{asked.transfer}/{big}", big, parts)
    for file, content in seeded.content.items():
        with granting.minio.get_object(BUCKET, f"{asked.transfer}/{file}") as answer:
            assert answer.read() == content
    assert {one.stored.file: one.stored.crc32 for one in put if isinstance(one.stored, FileStored)} == {
        file: crc32(content) for file, content in seeded.content.items() if file != big
    }


async def test_parts_of_an_upload_that_was_replaced_are_put_again(tmp_path: Path, granting: Granting) -> None:
    asked = spec()
    held = Transfer(asked, Journal(tmp_path / "journal"))
    with seed(tmp_path / "seeder", {"big.bin": 2 * PART_MIN_BYTES}) as seeded:
        book = held.book = seeded.book()
        lost: list[bool] = []

        async def stored(one: Put) -> None:
            assert one.stored is not None
            lost.append(held.note(one.index, one.upload, one.stored))

        async with Listening(tmp_path) as engine, Store(8) as store:
            await arrived(engine, seeded, book, tmp_path / "data", asked.transfer)
            uploads = Uploads(engine.session, granting.grants, store)
            await uploads.put(Task(asked.transfer, 1, book.layout, book.take(1, 1)), stored)
            granting.uploads.clear()  # somebody aborted it
            while batch := book.take(1, 1):
                await uploads.put(Task(asked.transfer, 1, book.layout, batch), stored)
    assert lost.count(True) == 1
    assert book.unstored == 0
    newest = set(granting.uploads.values())
    held.journal.close()
    again = Journal(tmp_path / "journal")
    again.close()
    assert {one.upload for one in again.stored.values()} == newest
    assert {(p.file, p.part) for p in held.unacked.parts.values()} == set(again.stored)


async def test_a_refusal_says_its_status_and_a_store_that_is_away_is_told_apart(granting: Granting) -> None:
    async def body() -> AsyncIterator[memoryview]:
        yield memoryview(b"x" * 10)

    (grant,) = await granting.grants(spec().transfer, 1, [Want(0, 1, 10, 0)])
    gone = Grant(0, 1, grant.url.replace("uploadId=", "uploadId=0"), {}, grant.key, "")
    granting.minio.put_object(BUCKET, "x", BytesIO(b""), 0)
    async with Store(1) as store:
        with pytest.raises(StoreRefused) as unsigned:
            await store.put(gone, body, 10)
        assert unsigned.value.status == 403
        (other,) = await granting.grants(spec().transfer, 1, [Want(0, 1, 10, 0)])
        with pytest.raises(StoreRefused) as missing:
            await store.put(other, body, 10)
        assert missing.value.status == NO_SUCH_UPLOAD
        with pytest.raises(StoreAway):
            await store.put(Grant(0, 1, "http://127.0.0.1:1/", {}, "k", ""), body, 10)


async def test_what_needs_no_grant_any_more_is_not_put(tmp_path: Path) -> None:
    async def none_needed(transfer: TransferId, epoch: int, wants: list[Want]) -> list[Grant]:
        return []

    put: list[Put] = []

    async def stored(one: Put) -> None:
        put.append(one)

    with seed(tmp_path / "seeder", {"empty": 0, "small": 5}) as seeded:
        book = seeded.book()
        async with Listening(tmp_path) as engine, Store(1) as store:
            transfer = spec().transfer
            await arrived(engine, seeded, book, tmp_path / "data", transfer)
            batch = book.take(BATCH_BYTES, BATCH_FILES)
            await Uploads(engine.session, none_needed, store).put(Task(transfer, 1, book.layout, batch), stored)
    assert {one.index for one in put} == set(batch) == {0, 1}
    assert all(one.stored is None for one in put)
