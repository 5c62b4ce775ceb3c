"""What ours is compared with, each a process of its own: `python -m tests.support.legs download|upload|puts …` prints
seconds, and the CPU it took.
"""

import asyncio
import http.client
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

import httpx
import libtorrent as lt
from minio import Minio
from msgspec import Struct

from control.storage import presign
from control.storage.presign import Place, SignedPut
from wire.clock import utcnow
from wire.parts import part_count, part_range

IN_FLIGHT = 4
"""As many parts at once as an agent has."""
SMALL_IN_FLIGHT = 16
"""As many small files at once as an agent has."""
REGION = "us-east-1"
LEG_S = 300
GRANT_S = 900


class Leg(Struct, frozen=True):
    seconds: float
    cpu_s: float
    """User and system, of the process and its children, from reading the first byte on."""


async def leg(*arguments: str) -> Leg:
    """One of them, run to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.legs", *arguments, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(LEG_S):
        said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{arguments[0]} ended with {process.returncode}")
    return Leg(*map(float, said.split()))


def download(torrent: Path, peer: str) -> float:
    """Bare libtorrent, from `add_torrent` to its last piece."""
    host, _, port = peer.rpartition(":")
    session = lt.session(
        {
            "listen_interfaces": "127.0.0.1:0",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "alert_mask": lt.alert.category_t.status_notification,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        add = lt.add_torrent_params()
        add.ti = lt.torrent_info(str(torrent))
        add.save_path = folder
        add.peers = [(host, int(port))]
        began = time.monotonic()
        handle = session.add_torrent(add)
        while not handle.status().is_seeding:
            session.wait_for_alert(20)
            session.pop_alerts()
        took = time.monotonic() - began
        session.pause()
    return took


async def upload(file: Path, place: Place) -> float:
    """Bare multipart upload by presigned URLs that bind length and checksum, as an agent's grants do; from the first
    request to the completed object."""
    store = Minio(
        urlsplit(place.url).netloc,
        access_key=place.access_key,
        secret_key=place.secret_key,
        secure=False,
        region=place.region,
    )
    size, key = file.stat().st_size, f"bare/{time.time_ns()}"
    parts = part_count(size)

    def signed(method: str, **query: str) -> str:
        return str(store.get_presigned_url(method, place.bucket, key, extra_query_params=dict(query)))

    data = memoryview(file.read_bytes())
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=IN_FLIGHT)) as http:
        opened = (await http.post(signed("POST", uploads=""))).raise_for_status().text
        upload_id = opened.partition("<UploadId>")[2].partition("</UploadId>")[0]
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def put(part: int) -> str:
            first, last = part_range(size, part)
            async with slots:
                body = bytes(data[first:last])
                grant = _grant(place, key, body, {"partNumber": str(part), "uploadId": upload_id})
                answer = await http.put(grant.url, content=body, headers=grant.headers)
            return str(answer.raise_for_status().headers["etag"])

        async with asyncio.TaskGroup() as group:
            puts = [group.create_task(put(part)) for part in range(1, parts + 1)]
        listed = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{p.result()}</ETag></Part>" for n, p in enumerate(puts, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
        (await http.post(signed("POST", uploadId=upload_id), content=body)).raise_for_status()
    took = time.monotonic() - began
    store.remove_object(place.bucket, key)
    return took


def puts(folder: Path, place: Place) -> float:
    """A plain loop of presigned PUTs, one file each, over connections that stay open. Signing is before the clock."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    under = f"bare/{time.time_ns()}"
    signed = [(file, _grant(place, f"{under}/{n}", file.read_bytes(), {})) for n, file in enumerate(files)]
    todo = iter(signed)
    began = time.monotonic()
    with ThreadPoolExecutor(SMALL_IN_FLIGHT) as pool:
        for done in [pool.submit(_put_some, place, todo) for _ in range(SMALL_IN_FLIGHT)]:
            done.result()
    return time.monotonic() - began


def _put_some(place: Place, todo: Iterator[tuple[Path, SignedPut]]) -> None:
    connection = http.client.HTTPConnection(urlsplit(place.url).netloc, timeout=60)
    for file, grant in todo:  # a list's iterator: threads share it safely
        connection.request("PUT", grant.url.removeprefix(place.url), file.read_bytes(), grant.headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {said[:500]!r}")
    connection.close()


def _grant(place: Place, key: str, body: bytes, query: dict[str, str]) -> SignedPut:
    check = crc32(body)
    return presign.put(place, key, size_bytes=len(body), crc32=check, query=query, now=utcnow(), expires_s=GRANT_S)


def _cpu_s() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def main() -> None:
    before = _cpu_s()
    match sys.argv[1:]:
        case ["download", torrent_file, peer_address]:
            took = download(Path(torrent_file), peer_address)
        case ["upload", path, url, access_key, secret_key, bucket]:
            took = asyncio.run(upload(Path(path), Place(url, bucket, REGION, access_key, secret_key)))
        case ["puts", path, url, access_key, secret_key, bucket]:
            took = puts(Path(path), Place(url, bucket, REGION, access_key, secret_key))
        case _:
            sys.exit(__doc__)
    print(took, _cpu_s() - before)


if __name__ == "__main__":
    main()
