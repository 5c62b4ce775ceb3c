"""Links: signed by the store, expiring, under the right name; anybody who has one may fetch."""

import zlib
from uuid import UUID

import httpx
import pytest

from control.jobs.model import Job
from control.plane import Plane
from control.storage.keys import object_key
from control.transfers.model import Object, Transfer
from tests.support.control import Api, torrent_file
from wire.clock import utcnow

CONTENT = b"as it is at the source"


async def stored(plane: Plane, job_id: str) -> None:
    """The first file of a job, as an agent would have stored it."""
    now = utcnow()
    async with plane.working() as tx:
        job = await tx.get_one(Job, UUID(job_id))
        transfer = await tx.get_one(Transfer, job.transfer_id)
        key = object_key(transfer.scope_id, transfer.torrent_id, 0, 1)
        row = {"transfer_id": transfer.id, "file": 0, "scope_id": transfer.scope_id, "key": key, "epoch": 1}
        tx.add(Object(**row, size_bytes=len(CONTENT), opened_at=now, stored_at=now))
    grant = plane.store.put_grant(key, size_bytes=len(CONTENT), crc32=zlib.crc32(CONTENT), now=now, expires_s=60)
    async with httpx.AsyncClient(trust_env=False, timeout=30) as agent:
        (await agent.put(grant.url, content=CONTENT, headers=dict(grant.headers))).raise_for_status()


async def test_a_link_gives_the_file_its_range_and_its_name_to_whoever_has_it(api: Api, plane: Plane) -> None:
    async with api.member() as http:
        data = torrent_file("Bücher.html", size=len(CONTENT))
        job = (await http.post("/api/v1/jobs", files={"torrent": ("a", data)})).json()
        await stored(plane, job["id"])
        assert (await http.get(f"/api/v1/jobs/{job['id']}/files")).json()["items"][0]["stored"] is True
        made = await http.post(f"/api/v1/jobs/{job['id']}/files/0/link")
        assert made.status_code == 201, made.text
    link = made.json()
    assert (link["name"], link["size_bytes"]) == ("Bücher.html", len(CONTENT))
    async with httpx.AsyncClient(trust_env=False, timeout=30) as anybody:
        whole = await anybody.get(link["url"])
        part = await anybody.get(link["url"], headers={"Range": "bytes=3-4"})
        forged = await anybody.get(link["url"].replace("html", "exe"))
    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert (part.status_code, part.content) == (206, CONTENT[3:5])
    assert whole.headers["Content-Type"] == "application/octet-stream", "no browser runs it"
    assert whole.headers["Content-Disposition"].startswith("attachment;")
    assert "filename*=UTF-8''B%C3%BCcher.html" in whole.headers["Content-Disposition"]
    assert forged.status_code == 403


@pytest.mark.parametrize("ttl_s", [59, 86_401, -1, 2**63, "an hour", 60.5])
async def test_a_link_lasts_a_minute_to_a_day(api: Api, ttl_s: object) -> None:
    async with api.member() as http:
        job = (await http.post("/api/v1/jobs", files={"torrent": ("a", torrent_file("ttl"))})).json()
        answer = await http.post(f"/api/v1/jobs/{job['id']}/files/0/link", json={"ttl_s": ttl_s})
    assert answer.status_code == 422
    assert answer.json()["code"] in ("bad_ttl", "bad_input")
