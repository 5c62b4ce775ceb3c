"""What fails five times is a dead letter: its owner hears why, operators list it and replay it, one or many."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import select

from control.audit.model import Entry
from control.audit.service import Actor
from control.jobs import steer
from control.jobs.model import Event, Job
from control.jobs.schemas import FailureView
from control.jobs.service import Whole
from control.jobs.views import view
from control.plane import Plane
from control.torrents.model import Torrent
from control.transfers.model import Transfer
from tests.support.control import operating, serving
from tests.support.fleet import FakeAgent, Wanted, claimed, read_job, read_transfer
from wire.clock import utcnow
from wire.failures import FAILURES, failure
from wire.ids import JobId, new_id
from wire.messages import Failure
from wire.states import Intent, JobState, TransferState
from wire.units import TIB

NO_ROOM = failure("disk_full", "17 bytes are missing.")


@pytest.fixture
async def operator(plane: Plane) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(plane) as url, operating(plane, url) as http:
        yield http


async def fail_again(agent: FakeAgent, wanted: Wanted, why: Failure = NO_ROOM) -> None:
    await agent.sync(agent.report(wanted.transfer, failure=why))
    agent.holds.clear()
    agent.revs.clear()


async def dead(plane: Plane, why: Failure = NO_ROOM) -> tuple[Wanted, FakeAgent]:
    wanted, agent = await claimed(plane, 100)
    for _ in range(4):
        await fail_again(agent, wanted, why)
        await agent.claim(wanted.transfer)
    await fail_again(agent, wanted, why)
    return wanted, agent


async def read_view(plane: Plane, wanted: Wanted) -> FailureView | None:
    async with plane.db.working() as tx:
        job = await tx.get_one(Job, wanted.job)
        transfer = await tx.get_one(Transfer, wanted.transfer)
        return view(Whole(job, transfer, await tx.get_one(Torrent, wanted.torrent))).failure


async def events(plane: Plane, job: JobId) -> list[Event]:
    async with plane.db.working() as tx:
        return list(await tx.scalars(select(Event).where(Event.job_id == job).order_by(Event.version)))


async def test_whoever_waits_for_the_next_try_hears_why_and_when(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    await fail_again(agent, wanted)
    told, transfer = await read_view(plane, wanted), await read_transfer(plane, wanted.transfer)
    assert told is not None
    assert (told.code, told.detail, told.tries, told.retryable) == ("disk_full", NO_ROOM.detail, 1, True)
    assert told.next_try_at == transfer.not_before
    await agent.claim(wanted.transfer)
    assert transfer.not_before is not None
    assert await read_view(plane, wanted) is None, "it is being tried again"


async def test_the_fifth_failure_is_the_last_and_a_dead_letter(plane: Plane) -> None:
    wanted, agent = await dead(plane)
    transfer, job = await read_transfer(plane, wanted.transfer), await read_job(plane, wanted.job)
    assert (job.state, job.failure_code, transfer.tries) == (JobState.FAILED, "disk_full", 5)
    assert transfer.dead_at is not None
    assert transfer.last_agents == [str(agent.id)] * 5
    failed = [event for event in await events(plane, wanted.job) if event.why == "disk_full"]
    assert [(event.epoch, event.agent_id, event.detail) for event in failed] == [
        (epoch, agent.id, NO_ROOM.detail) for epoch in range(1, 6)
    ]


async def test_what_no_try_can_mend_fails_at_once_and_bothers_nobody(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    said = Failure("metadata_mismatch", "?", retryable=True)  # what the agent believes of it does not matter
    await fail_again(agent, wanted, said)
    transfer = await read_transfer(plane, wanted.transfer)
    assert (transfer.state, transfer.dead_at) == (TransferState.FAILED, None)


async def test_a_detail_never_shows_a_passkey(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    await fail_again(agent, wanted, failure("tracker_refused", "http://t/announce?passkey=0123456789abcdef: no"))
    assert "0123456789abcdef" not in str((await read_transfer(plane, wanted.transfer)).failure_detail)


async def test_operators_list_dead_letters_and_replay_one(plane: Plane, operator: httpx.AsyncClient) -> None:
    wanted, agent = await dead(plane)
    page = (await operator.get("/admin/dead-letters", params={"org": str(wanted.org)})).json()
    (letter,) = page["items"]
    assert (letter["id"], letter["code"], letter["tries"]) == (str(wanted.transfer), "disk_full", 5)
    assert letter["sentence"] == FAILURES["disk_full"].sentence
    assert letter["jobs"] == [str(wanted.job)]
    assert letter["agents"][-1] == {"id": str(agent.id), "name": f"agent-{agent.id}"}
    assert page["counts"]["disk_full"] >= 1
    stranger = str(new_id())
    answer = await operator.post("/admin/dead-letters/replay", json={"ids": [str(wanted.transfer), stranger]})
    assert answer.json() == {
        "replayed": [str(wanted.transfer)],
        "skipped": [{"id": stranger, "code": "not_dead"}],
        "left": 0,
    }
    transfer, job = await read_transfer(plane, wanted.transfer), await read_job(plane, wanted.job)
    assert (transfer.state, transfer.tries, transfer.dead_at) == (TransferState.WAITING, 0, None)
    assert (job.state, job.failure_code, job.ended_at) == (JobState.QUEUED, None, None)
    again = await operator.post("/admin/dead-letters/replay", json={"ids": [str(wanted.transfer)]})
    assert again.json()["skipped"] == [{"id": str(wanted.transfer), "code": "not_dead"}]
    async with plane.db.working() as tx:
        actions = await tx.scalars(select(Entry.action).where(Entry.target == f"transfer:{wanted.transfer}"))
        assert list(actions) == ["dead_letter.replayed"]


async def test_its_owners_retry_ends_a_dead_letter_as_a_replay_does(plane: Plane, operator: httpx.AsyncClient) -> None:
    wanted, _ = await dead(plane)
    async with plane.working() as tx:
        await steer.retry(tx, wanted.org, wanted.job, Actor(name="person:tests"), utcnow())
    transfer, job = await read_transfer(plane, wanted.transfer), await read_job(plane, wanted.job)
    assert (transfer.state, transfer.tries, transfer.dead_at) == (TransferState.WAITING, 0, None)
    assert (job.state, job.failure_code, job.ended_at) == (JobState.QUEUED, None, None)
    answer = await operator.post("/admin/dead-letters/replay", json={"ids": [str(wanted.transfer)]})
    assert answer.json()["skipped"] == [{"id": str(wanted.transfer), "code": "not_dead"}]


async def test_who_paused_his_job_while_it_waits_is_promised_no_next_try(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 100)
    await fail_again(agent, wanted)
    async with plane.working() as tx:
        await steer.pause(tx, wanted.org, wanted.job, Actor(name="person:tests"), utcnow())
    told = await read_view(plane, wanted)
    assert told is not None
    assert (told.code, told.next_try_at) == ("disk_full", None)


async def test_many_are_replayed_by_a_filter(plane: Plane, operator: httpx.AsyncClient) -> None:
    why = failure("store_refused", "403")
    letters = [await dead(plane, why) for _ in range(3)]
    other, _ = await dead(plane, failure("stalled", "."))
    answer = (await operator.post("/admin/dead-letters/replay", json={"code": "store_refused"})).json()
    assert set(answer["replayed"]) >= {str(wanted.transfer) for wanted, _ in letters}
    assert (await read_transfer(plane, other.transfer)).state is TransferState.FAILED


async def test_a_replay_does_not_break_the_quota_and_wakes_nobody_who_gave_up(
    plane: Plane, operator: httpx.AsyncClient
) -> None:
    large, _ = await dead(plane)
    cancelled, _ = await dead(plane)
    async with plane.db.working() as tx:
        (await tx.get_one(Transfer, large.transfer)).size_bytes = TIB + 1
        (await tx.get_one(Job, cancelled.job)).intent = Intent.STOP
    ids = [str(large.transfer), str(cancelled.transfer)]
    answer = (await operator.post("/admin/dead-letters/replay", json={"ids": ids})).json()
    assert {each["code"] for each in answer["skipped"]} == {"quota_spent", "not_wanted"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": [], "everything": True},
        {"ids": ["x"]},
        {"everything": "x"},
        {"colour": 1},
        {"ids": [str(new_id())] * 201},
    ],
)
async def test_a_replay_of_nothing_in_particular_is_refused(
    operator: httpx.AsyncClient, body: dict[str, object]
) -> None:
    answer = await operator.post("/admin/dead-letters/replay", json=body)
    assert 400 <= answer.status_code < 500
    assert answer.json()["code"]


async def test_dead_letters_are_for_operators(plane: Plane) -> None:
    async with serving(plane) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        account = {"email": f"{new_id()}@example.org", "password": "correct horse battery"}
        await http.post("/api/v1/auth/register", json=account)
        http.headers["X-CSRF-Token"] = (await http.post("/api/v1/auth/login", json=account)).json()["csrf_token"]
        listed = await http.get("/api/v1/admin/dead-letters")
        replayed = await http.post("/api/v1/admin/dead-letters/replay", json={"everything": True})
    assert [answer.json()["code"] for answer in (listed, replayed)] == ["permission_denied"] * 2
