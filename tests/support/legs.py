"""The two legs alone, each a process of its own: `python -m tests.support.legs download|upload …` prints seconds."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import httpx
import libtorrent as lt
from minio import Minio

from wire.parts import part_count, part_range

IN_FLIGHT = 4
"""As many parts at once as an agent has."""
LINK_S = 3600


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


async def upload(file: Path, endpoint: str, access: str, secret: str, bucket: str) -> float:
    """Bare multipart upload by presigned URLs, from the first request to the completed object."""
    store = Minio(endpoint, access_key=access, secret_key=secret, secure=False, region="us-east-1")
    size, key = file.stat().st_size, f"bare/{time.time_ns()}"
    parts = part_count(size)

    def signed(method: str, **query: str) -> str:
        return str(store.get_presigned_url(method, bucket, key, extra_query_params=dict(query)))

    data = file.read_bytes()
    began = time.monotonic()
    async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=IN_FLIGHT)) as http:
        opened = (await http.post(signed("POST", uploads=""))).raise_for_status().text
        upload_id = opened.partition("<UploadId>")[2].partition("</UploadId>")[0]
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def put(part: int) -> str:
            first, last = part_range(size, part)
            async with slots:
                answer = await http.put(
                    signed("PUT", partNumber=str(part), uploadId=upload_id), content=data[first:last]
                )
            return str(answer.raise_for_status().headers["etag"])

        async with asyncio.TaskGroup() as group:
            puts = [group.create_task(put(part)) for part in range(1, parts + 1)]
        listed = "".join(
            f"<Part><PartNumber>{n}</PartNumber><ETag>{p.result()}</ETag></Part>" for n, p in enumerate(puts, 1)
        )
        body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"
        (await http.post(signed("POST", uploadId=upload_id), content=body)).raise_for_status()
    took = time.monotonic() - began
    store.remove_object(bucket, key)
    return took


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["download", torrent_file, peer_address]:
            print(download(Path(torrent_file), peer_address))
        case ["upload", path, host, access_key, secret_key, bucket_name]:
            print(asyncio.run(upload(Path(path), host, access_key, secret_key, bucket_name)))
        case _:
            sys.exit(__doc__)
