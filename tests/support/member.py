"""A member at work through the public API, as tests and benches need one: signs up, adds, watches, fetches."""

import asyncio
import hashlib
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from tests.support.tls import TRUSTED

WAIT_S = 120
"""How long a story may take before its test gives up."""
CALL_TIMEOUT_S = 20
JOB_ENDS = {"completed", "failed", "cancelled", "expired"}

View = dict[str, Any]


class Said(Struct, frozen=True):
    """One server-sent event."""

    event: str
    data: View
    id: str | None = None


class Member:
    def __init__(self, http: httpx.AsyncClient, email: str, password: str) -> None:
        self.http = http
        self.email = email
        self.password = password

    async def log_in(self) -> None:
        answer = await self.http.post("/api/v1/auth/login", json={"email": self.email, "password": self.password})
        answer.raise_for_status()
        self.http.headers["X-CSRF-Token"] = answer.json()["csrf_token"]

    async def add_magnet(self, magnet: str) -> View:
        return await self._added(await self.http.post("/api/v1/jobs", json={"magnet": magnet}))

    async def add_torrent(self, torrent: bytes) -> View:
        return await self._added(
            await self.http.post("/api/v1/jobs", files={"torrent": ("t.torrent", torrent, "application/x-bittorrent")})
        )

    async def _added(self, answer: httpx.Response) -> View:
        assert answer.status_code in (200, 201), answer.text
        job: View = answer.json()
        return job

    async def job(self, job_id: str) -> View:
        answer = await self.http.get(f"/api/v1/jobs/{job_id}")
        answer.raise_for_status()
        job: View = answer.json()
        return job

    async def cancel(self, job_id: str) -> View:
        answer = await self.http.post(f"/api/v1/jobs/{job_id}/cancel")
        answer.raise_for_status()
        job: View = answer.json()
        return job

    async def remove(self, job_id: str) -> None:
        (await self.http.delete(f"/api/v1/jobs/{job_id}")).raise_for_status()

    async def timeline(self, job_id: str) -> list[View]:
        answer = await self.http.get(f"/api/v1/jobs/{job_id}/timeline")
        answer.raise_for_status()
        items: list[View] = answer.json()["items"]
        return items

    @asynccontextmanager
    async def hearing(self, job_id: str) -> AsyncIterator[AsyncIterator[Said]]:
        timeout = httpx.Timeout(CALL_TIMEOUT_S, read=WAIT_S)
        async with self.http.stream("GET", f"/api/v1/jobs/{job_id}/events", timeout=timeout) as answer:
            answer.raise_for_status()
            yield _events(answer)

    async def until(self, job_id: str, *states: str, limit_s: float = WAIT_S) -> View:
        """Waits on the public stream until the job is in one of the states; comes back after every cut."""
        last: Said | None = None
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    try:
                        async with self.hearing(job_id) as heard:
                            async for last in heard:
                                state = last.data.get("state")
                                if state in states:
                                    return await self.job(job_id)
                                assert state not in JOB_ENDS, f"the job ended otherwise: {last}"
                    except (httpx.TransportError, httpx.HTTPStatusError):
                        pass
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"in {limit_s:.0f} s the job did not come to {states}; it said last: {last}") from None

    async def files(self, job_id: str) -> list[View]:
        items: list[View] = []
        cursor: str | None = None
        while True:
            query = {"limit": "1000"} | ({"cursor": cursor} if cursor else {})
            answer = await self.http.get(f"/api/v1/jobs/{job_id}/files", params=query)
            answer.raise_for_status()
            page = answer.json()
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    async def link(self, job_id: str, index: int, ttl_s: int = 600) -> str:
        answer = await self.http.post(f"/api/v1/jobs/{job_id}/files/{index}/link", json={"ttl_s": ttl_s})
        answer.raise_for_status()
        return str(answer.json()["url"])

    async def sha256_of(self, job_id: str, index: int, *, patience_s: float = 0) -> str:
        """The file as somebody with the link gets it: no session, no key. `patience_s`: a store that was killed answers
        with 500 until it has found its volumes."""
        url = await self.link(job_id, index)
        until = time.monotonic() + patience_s
        while True:
            try:
                return await _sha256_at(url)
            except httpx.HTTPStatusError as refused:
                if refused.response.status_code < 500 or time.monotonic() > until:
                    raise
            await asyncio.sleep(0.5)


async def midway(member: Member, job_id: str, share: float = 0.3, of: str = "stored_bytes") -> None:
    """Until some parts are in the store and some are not. Of a torrent of few parts all may become whole at once at the
    very end: who wants time left asks for `down_bytes`."""
    async with asyncio.timeout(60), member.hearing(job_id) as heard:
        async for said in heard:
            rates = said.data.get("progress") or said.data.get("rates") or {}
            if rates.get("total_bytes") and rates[of] >= share * rates["total_bytes"]:
                return


async def _sha256_at(url: str) -> str:
    digest = hashlib.sha256()
    async with (
        httpx.AsyncClient(verify=TRUSTED, timeout=CALL_TIMEOUT_S) as anybody,
        anybody.stream("GET", url) as answer,
    ):
        answer.raise_for_status()
        async for chunk in answer.aiter_bytes():
            digest.update(chunk)
    return digest.hexdigest()


async def _events(answer: httpx.Response) -> AsyncIterator[Said]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Said(fields.get("event", "message"), msgspec.json.decode(fields["data"]), fields.get("id"))
            fields = {}


@asynccontextmanager
async def signed_up(api: str) -> AsyncIterator[Member]:
    """A new member of a new organisation."""
    async with httpx.AsyncClient(base_url=api, verify=TRUSTED, timeout=CALL_TIMEOUT_S) as http:
        member = Member(http, f"{secrets.token_hex(6)}@example.org", secrets.token_urlsafe(12))
        answer = await http.post("/api/v1/auth/register", json={"email": member.email, "password": member.password})
        assert answer.status_code == 201, answer.text
        await member.log_in()
        yield member


async def story(api: str, torrent: Path) -> None:
    """From another machine: add, wait, and fetch the first file by its link."""
    async with signed_up(api) as member:
        job = await member.add_torrent(torrent.read_bytes())
        await member.until(job["id"], "completed")
        print(await member.sha256_of(job["id"], 0))


if __name__ == "__main__":
    asyncio.run(story(sys.argv[1], Path(sys.argv[2])))
