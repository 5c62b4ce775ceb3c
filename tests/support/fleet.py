"""The fleet's side of the control plane for tests: agents and transfers by row, and an agent's words by hand."""

import datetime as dt
import secrets
from random import Random
from zlib import crc32

import httpx
from msgspec import Struct
from sqlalchemy import func, select

from control.accounts.model import Organisation, Person
from control.db import Tx
from control.fleet.model import Agent
from control.jobs.model import Job
from control.plane import Plane
from control.storage.store import Store
from control.torrents.model import File, Torrent
from control.transfers import claim as claims
from control.transfers import grants, record
from control.transfers.model import Object, Part, Transfer
from tests.support.tls import TRUSTED
from wire.clock import utcnow
from wire.ids import AgentId, BootId, ClaimId, JobId, OrgId, PersonId, TorrentId, TransferId, new_id
from wire.messages import (
    Claim,
    ClaimAnswer,
    Claimed,
    Failure,
    FileStored,
    Found,
    Grant,
    PartStored,
    Rates,
    Report,
    Spec,
    Sync,
    Synced,
    Want,
    WantGrants,
)  # fmt: skip
from wire.parts import is_small, part_count, part_range
from wire.states import AgentState, Intent, JobState, Phase, TransferState

SLOTS = 20


class Wanted(Struct, frozen=True):
    """A transfer and what hangs on it."""

    org: OrgId
    torrent: TorrentId
    transfer: TransferId
    job: JobId
    sizes: tuple[int, ...]


def content(file: int, size: int) -> bytes:
    return Random(file).randbytes(size)


async def add_transfer(
    plane: Plane,
    *sizes: int,
    pool: str = "default",
    go: bool = True,
    org: OrgId | None = None,
    v1: bytes | None = None,
    now: dt.datetime | None = None,
) -> Wanted:
    """Waiting, of a job of an organisation of its own unless one is given. Without `go` it is a magnet's."""
    now = now or utcnow()
    person, torrent, transfer, job = PersonId(new_id()), TorrentId(new_id()), TransferId(new_id()), JobId(new_id())
    async with plane.db.working() as tx:
        if org is None:
            org = OrgId(new_id())
            tx.add(Organisation(id=org, name="tests", created_at=now))
        tx.add(Person(id=person, email=f"{person}@example.org", password_hash="-", created_at=now))
        tx.add(
            Torrent(
                id=torrent,
                scope_id=org,
                v1=v1 or secrets.token_bytes(20),
                name="torrent" if go else None,
                size_bytes=sum(sizes) if go else None,
                files_count=len(sizes) if go else None,
                created_at=now,
            )
        )
        await tx.flush()
        for index, size in enumerate(sizes):
            row = File(torrent_id=torrent, index=index, scope_id=org, path=f"{index}.bin", size_bytes=size, kind="file")
            tx.add(row)
        tx.add(
            Transfer(
                id=transfer,
                scope_id=org,
                torrent_id=torrent,
                pool=pool,
                state=TransferState.WAITING,
                correlation_id=f"c-{transfer}",
                go=go,
                size_bytes=sum(sizes) if go else None,
                created_at=now,
                moved_at=now,
            )
        )
        await tx.flush()
        await _add_job(plane, tx, Wanted(org, torrent, transfer, job, sizes), person, now)
    return Wanted(org, torrent, transfer, job, sizes)


async def _add_job(plane: Plane, tx: Tx, wanted: Wanted, person: PersonId, now: dt.datetime) -> None:
    tx.add(
        Job(
            id=wanted.job,
            org_id=wanted.org,
            person_id=person,
            torrent_id=wanted.torrent,
            transfer_id=wanted.transfer,
            source="torrent",
            intent=Intent.RUN,
            state=JobState.SUBMITTED,
            name="torrent",
            trackers=[["http://127.0.0.7:6969/announce"], ["http://10.0.0.1/announce"]],
            web_seeds=[],
            peers=["127.0.0.7:4000", "192.168.0.1:4000"],
            correlation_id=f"c-{wanted.transfer}",
            created_at=now,
            updated_at=now,
        )
    )


class FakeAgent:
    """An agent without an engine: it says what it is told to, as the real one would."""

    def __init__(self, plane: Plane, agent: AgentId, pool: str) -> None:
        self.plane = plane
        self.id = agent
        self.pool = pool
        self.boot = BootId(new_id())
        self.rev = 0
        self.revs: dict[TransferId, int] = {}
        self.holds: dict[TransferId, Spec] = {}

    def reboot(self) -> None:
        self.boot, self.rev, self.revs, self.holds = BootId(new_id()), 0, {}, {}

    async def sync(self, *reports: Report, now: dt.datetime | None = None, **more: object) -> Synced:
        self.rev += 1
        body = self.sync_body(*reports, **more)
        synced, _ = await record.sync(self.plane, self.id, body, now or utcnow())
        for verdict in synced.verdicts:
            if verdict.spec is not None:
                self.holds[verdict.transfer] = verdict.spec
        return synced

    def sync_body(self, *reports: Report, **more: object) -> Sync:
        held = [Found(spec.transfer, spec.epoch) for spec in self.holds.values()]
        fields: dict[str, object] = {
            "boot": self.boot,
            "rev": self.rev,
            "version": "test",
            "slots": SLOTS,
            "held": held,
        }
        return Sync(**(fields | {"reports": list(reports)} | more))  # type: ignore[arg-type] # as a test words it

    async def claim(self, transfer: TransferId, claim_id: ClaimId | None = None) -> ClaimAnswer:
        asked = Claim(transfer, self.boot, claim_id or ClaimId(new_id()))
        answer = await claims.claim(self.plane, self.id, asked, utcnow())
        if isinstance(answer, Claimed):
            self.holds[transfer] = answer.spec
        return answer

    def report(
        self,
        transfer: TransferId,
        *,
        phase: Phase = Phase.RUNNING,
        parts: list[PartStored] | None = None,
        files: list[FileStored] | None = None,
        done: bool = False,
        failure: Failure | None = None,
        handover: bool = False,
        steer: int = 0,
        rates: Rates | None = None,
    ) -> Report:
        self.revs[transfer] = self.revs.get(transfer, 0) + 1
        return Report(
            transfer=transfer,
            epoch=self.holds[transfer].epoch,
            rev=self.revs[transfer],
            phase=phase,
            rates=rates or Rates(),
            parts=parts or [],
            files=files or [],
            done=done,
            failure=failure,
            handover=handover,
            steer=steer,
        )

    async def grants(self, transfer: TransferId, *wants: Want, now: dt.datetime | None = None) -> list[Grant]:
        asked = WantGrants(transfer, self.holds[transfer].epoch, list(wants))
        return (await grants.grant(self.plane, self.id, asked, now or utcnow())).grants

    async def put(self, grant: Grant, body: bytes) -> str:
        """The store's ETag."""
        async with httpx.AsyncClient(verify=TRUSTED, trust_env=False, timeout=30) as http:
            answer = await http.put(grant.url, content=body, headers=grant.headers)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["etag"].strip('"'))

    async def put_everything(self, wanted: Wanted) -> tuple[list[PartStored], list[FileStored]]:
        """Asks for grants, and puts every byte of the transfer."""
        parts: list[PartStored] = []
        files: list[FileStored] = []
        for file, size in enumerate(wanted.sizes):
            whole = content(file, size)
            for want, body in wants_of(file, whole):
                (grant,) = await self.grants(wanted.transfer, want)
                etag = await self.put(grant, body)
                if want.part:
                    parts.append(PartStored(file, want.part, len(body), want.crc32, etag))
                else:
                    files.append(FileStored(file, len(body), want.crc32, etag, grant.key))
        return parts, files


def wants_of(file: int, whole: bytes) -> list[tuple[Want, bytes]]:
    if is_small(len(whole)):
        return [(Want(file, 0, len(whole), crc32(whole)), whole)]
    pieces = [whole[slice(*part_range(len(whole), part))] for part in range(1, part_count(len(whole)) + 1)]
    return [(Want(file, number, len(piece), crc32(piece)), piece) for number, piece in enumerate(pieces, 1)]


async def add_agent(plane: Plane, pool: str = "default", *, synced: bool = True) -> FakeAgent:
    now = utcnow()
    agent = FakeAgent(plane, AgentId(new_id()), pool)
    async with plane.db.working() as tx:
        tx.add(
            Agent(
                id=agent.id,
                name=f"agent-{agent.id}",
                pool=pool,
                state=AgentState.ENROLLED,
                nats_user=f"U{agent.id.hex}",
                certificate_serial="0",
                certificate_until=now + dt.timedelta(days=1),
                created_at=now,
            )
        )
    if synced:
        await agent.sync()
    return agent


async def read_transfer(plane: Plane, transfer: TransferId) -> Transfer:
    async with plane.db.working() as tx:
        return (await tx.scalars(select(Transfer).where(Transfer.id == transfer))).one()


async def read_job(plane: Plane, job: JobId) -> Job:
    async with plane.db.working() as tx:
        return (await tx.scalars(select(Job).where(Job.id == job))).one()


async def read_agent(plane: Plane, agent: AgentId) -> Agent:
    async with plane.db.working() as tx:
        return (await tx.scalars(select(Agent).where(Agent.id == agent))).one()


async def read_objects(plane: Plane, transfer: TransferId) -> list[Object]:
    async with plane.db.working() as tx:
        rows = await tx.scalars(select(Object).where(Object.transfer_id == transfer).order_by(Object.file))
        return list(rows)


async def count_parts(plane: Plane, transfer: TransferId) -> int:
    async with plane.db.working() as tx:
        return await tx.scalar(select(func.count()).select_from(Part).where(Part.transfer_id == transfer)) or 0


async def claimed(plane: Plane, *sizes: int, pool: str | None = None) -> tuple[Wanted, FakeAgent]:
    """A transfer on an agent that has said that it runs."""
    pool = pool or new_pool()
    wanted, agent = await add_transfer(plane, *sizes, pool=pool), await add_agent(plane, pool)
    assert isinstance(await agent.claim(wanted.transfer), Claimed)
    await agent.sync(agent.report(wanted.transfer))
    return wanted, agent


def new_pool() -> str:
    """Of a test's own, so that no other's agents and transfers are in its way."""
    return f"pool-{secrets.token_hex(6)}"


async def read_object(store: Store, key: str) -> bytes:
    url = store.link(key, disposition="attachment", content_type="text/plain", now=utcnow(), expires_s=60)
    async with httpx.AsyncClient(verify=TRUSTED, trust_env=False) as http:
        answer = await http.get(url)
        assert answer.status_code == 200, answer.text
        return answer.content
