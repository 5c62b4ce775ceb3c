"""What ours is compared with, each a process of its own: `python -m tests.support.legs download|upload|puts …` prints
seconds, and the CPU it took.
"""

import asyncio
import http.client
import math
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

import libtorrent as lt
from msgspec import Struct

from control.storage import presign, xml
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


def upload(file: Path, place: Place, rate_bytes: float = math.inf) -> float:
    """Bare multipart upload by presigned URLs that bind length and checksum, as an agent's grants do; from the first
    request to the completed object. No part is read before it would have come at that rate."""
    size, key = file.stat().st_size, f"bare/{time.time_ns()}"
    began = time.monotonic()
    ours = _connected(place)
    upload_id = _ask(ours, "POST", _signed(place, "POST", key, {"uploads": ""})).partition("<UploadId>")[2]
    upload_id = upload_id.partition("</UploadId>")[0]

    def part(number: int) -> tuple[SignedPut, bytes]:
        first, last = part_range(size, number)
        time.sleep(max(0, began + last / rate_bytes - time.monotonic()))
        with file.open("rb") as source:
            source.seek(first)
            body = source.read(last - first)
        return _grant(place, key, body, {"partNumber": str(number), "uploadId": upload_id}), body

    etags = _put_all(place, IN_FLIGHT, part, range(1, part_count(size) + 1))
    _ask(ours, "POST", _signed(place, "POST", key, {"uploadId": upload_id}), xml.complete_body(etags.items()))
    took = time.monotonic() - began
    _ask(ours, "DELETE", _signed(place, "DELETE", key, {}))
    return took


def puts(folder: Path, place: Place) -> float:
    """A plain loop of presigned PUTs, one file each. Signing is before the clock."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    under = f"bare/{time.time_ns()}"
    grants = [_grant(place, f"{under}/{n}", file.read_bytes(), {}) for n, file in enumerate(files)]
    began = time.monotonic()
    _put_all(place, SMALL_IN_FLIGHT, lambda n: (grants[n], files[n].read_bytes()), range(len(files)))
    return time.monotonic() - began


def _put_all(
    place: Place, abreast: int, what: Callable[[int], tuple[SignedPut, bytes]], numbers: Iterable[int]
) -> dict[int, str]:
    """ETags. As simple and as quick as Python has it: threads, each with a connection that stays open."""
    todo, etags = iter(numbers), dict[int, str]()

    def some() -> None:
        connection = _connected(place)
        for number in todo:  # a range's iterator: threads share it safely
            grant, body = what(number)
            connection.request("PUT", grant.url.removeprefix(place.url), body, grant.headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the store answered {answer.status}")
            etags[number] = str(answer.headers["ETag"])
        connection.close()

    with ThreadPoolExecutor(abreast) as pool:
        for done in [pool.submit(some) for _ in range(abreast)]:
            done.result()
    return etags


def _connected(place: Place) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(place.url).netloc, timeout=LEG_S)


def _ask(connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None = None) -> str:
    connection.request(method, target, body)
    answer = connection.getresponse()
    said = answer.read().decode()
    if answer.status >= 300 or "<Error" in said:
        raise RuntimeError(f"the store answered {answer.status}: {said[:500]}")
    return said


def _signed(place: Place, method: str, key: str, query: dict[str, str]) -> str:
    url = presign.sign(place, method, key, query=query, headers={}, now=utcnow(), expires_s=GRANT_S)
    return url.removeprefix(place.url)


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
        case ["upload", path, url, access_key, secret_key, bucket, *rate]:
            took = upload(Path(path), Place(url, bucket, REGION, access_key, secret_key), *map(float, rate))
        case ["puts", path, url, access_key, secret_key, bucket]:
            took = puts(Path(path), Place(url, bucket, REGION, access_key, secret_key))
        case _:
            sys.exit(__doc__)
    print(took, _cpu_s() - before)


if __name__ == "__main__":
    main()
