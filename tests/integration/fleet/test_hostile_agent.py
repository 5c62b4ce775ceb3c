"""An agent with a good certificate and bad intentions: refused with a code, and nothing of others' moves."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import msgspec
import pytest

from control.loops import finish
from control.plane import Plane
from control.storage.keys import object_key
from tests.integration.fleet.test_listener import enrolled
from tests.support.fleet import (
    FakeAgent,
    Wanted,
    add_agent,
    claimed,
    content,
    count_parts,
    read_job,
    read_object,
    read_objects,
    read_transfer,
    wants_of,
)  # fmt: skip
from wire.clock import utcnow
from wire.ids import new_id
from wire.messages import HELD_MAX, PARTS_PER_REPORT, Claimed, Failure, FileStored, PartStored, Want
from wire.states import JobState, Phase, TransferState
from wire.units import MIB

BIG = 9 * MIB
BOOT = "0193a000-0000-7000-8000-000000000000"
NUMBERS: list[Any] = [-1, 2**31, 2**32, 2**63, 2**64, 10**30, 1.5, None, "1", []]


@pytest.fixture(scope="module")
async def agent(plane: Plane, url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    signed = (await enrolled(plane, url, Path(tmp_path_factory.mktemp("hostile")))).signed
    async with httpx.AsyncClient(base_url=url, verify=signed.context(), trust_env=False, timeout=30) as http:
        http.headers["Content-Type"] = "application/json"
        yield http


def sync(**more: Any) -> dict[str, Any]:
    return {"boot": BOOT, "rev": 1, "version": "x", "slots": 2, "held": []} | more


def report(**more: Any) -> dict[str, Any]:
    return sync(reports=[{"transfer": str(new_id()), "epoch": 1, "rev": 1, "phase": "running", "rates": {}} | more])


def bodies(transfer: str) -> list[tuple[str, Any]]:
    ids = [{"transfer": str(new_id()), "epoch": 1} for _ in range(HELD_MAX)]
    said: list[tuple[str, Any]] = [
        ("/fleet/sync", sync(held=ids, found=ids)),
        ("/fleet/sync", sync(held=[*ids, ids[0]])),
        ("/fleet/sync", sync(unknown=1)),
        ("/fleet/sync", sync(version="\ud800x".encode("utf-16", "surrogatepass").decode("utf-16", "replace") * 9999)),
        ("/fleet/sync", sync(slots=10**30)),
        ("/fleet/sync", report(phase="stored")),
        ("/fleet/sync", report(parts=[[0, 1, 8 * MIB, 1, "e"]] * (PARTS_PER_REPORT + 1))),
        ("/fleet/sync", report(parts=[[0, 1, 8 * MIB, 1, "e" * MIB]])),
        ("/fleet/sync", report(files=[[0, 1, 1, "e", "k" * MIB]])),
        ("/fleet/sync", report(failure={"code": "x" * 9999, "detail": "y" * 99_999})),
        ("/fleet/claim", {"transfer": transfer, "boot": "x", "claim_id": "y"}),
        ("/fleet/claim", {"transfer": transfer, "boot": BOOT, "claim_id": BOOT, "epoch": 7}),
        ("/fleet/grants", {"transfer": transfer, "epoch": 1, "wants": [[0, 0, 10, 1]] * 257}),
        ("/fleet/grants", {"transfer": transfer, "epoch": 1, "wants": [[0, 0, 10, 1, 1]]}),
    ]
    for number in NUMBERS:
        said += [
            ("/fleet/sync", sync(rev=number)),
            ("/fleet/sync", sync(slots=number)),
            ("/fleet/sync", sync(found=[{"transfer": transfer, "epoch": number}])),
            ("/fleet/sync", report(epoch=number)),
            ("/fleet/sync", report(rev=number)),
            ("/fleet/sync", report(rates={"down_bytes": number, "seeds": number})),
            ("/fleet/sync", report(parts=[[number, 1, 1, 1, "e"]])),
            ("/fleet/sync", report(parts=[[0, number, number, number, "e"]])),
            ("/fleet/sync", report(files=[[number, number, number, "e", "k"]])),
            ("/fleet/grants", {"transfer": transfer, "epoch": number, "wants": []}),
            ("/fleet/grants", {"transfer": transfer, "epoch": 1, "wants": [[number, 1, 1, 1]]}),
            ("/fleet/grants", {"transfer": transfer, "epoch": 1, "wants": [[0, number, number, number]]}),
        ]
    return said


async def test_whatever_it_sends_is_answered_with_a_code(plane: Plane, agent: httpx.AsyncClient) -> None:
    wanted, owner = await claimed(plane, BIG, 10)
    transfer = str(wanted.transfer)
    said = [(path, _encoded(body)) for path, body in bodies(transfer)]
    raw = [
        b"",
        b"{",
        b"null",
        b"[" * 50_000,
        b"\xff",
        b'{"boot": "\\u0000"}',
        b'{"version": "\\ud800"}',
        b"x" * 2 * MIB,
    ]
    said += [(path, body) for path in ("/fleet/sync", "/fleet/claim", "/fleet/grants", "/fleet/enrol") for body in raw]
    for path, body in said:
        _is_answer(await agent.post(path, content=body))
    for epoch in ("", "x", "-1", "2147483648", "9" * 30, "1&epoch=2", "%00", "1"):
        place = f"/fleet/transfers/{transfer}/info?epoch={epoch}"
        _is_answer(await agent.put(place, content=b"de"))
        _is_answer(await agent.get(place))
    left = await read_transfer(plane, wanted.transfer)
    assert (left.state, left.agent_id, left.epoch) == (TransferState.RUNNING, owner.id, 1)


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except OverflowError:
        return str(body).replace("'", '"').replace("None", "null").encode()  # msgspec writes 64 bits at most


def _is_answer(answer: httpx.Response) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.json()["code"] not in ("", "internal")


async def test_a_sync_of_many_mebibytes_is_read(agent: httpx.AsyncClient) -> None:
    """A hundred transfers with all that a report may carry; a limit for other JSON once stood in its way."""
    parts = [[0, part, 8 * MIB, 1, "0123456789abcdef0123456789abcdef"] for part in range(1, PARTS_PER_REPORT + 1)]
    reports = [report(parts=parts)["reports"][0] for _ in range(100)]
    body = msgspec.json.encode(sync(boot=str(new_id()), reports=reports))
    assert len(body) > 2 * MIB
    answer = await agent.post("/fleet/sync", content=body)
    assert (answer.status_code, len(answer.json()["verdicts"])) == (200, 100)


async def test_another_agents_transfer_is_not_its_to_speak_of(plane: Plane) -> None:
    wanted, owner = await claimed(plane, BIG, 10)
    thief = await add_agent(plane, owner.pool)
    thief.holds = dict(owner.holds)
    lies = [
        thief.report(wanted.transfer, done=True, parts=[PartStored(0, 1, 8 * MIB, 1, "e")]),
        thief.report(wanted.transfer, failure=Failure("disk_full", "No.", retryable=False)),
        thief.report(wanted.transfer, handover=True),
    ]
    for lie in lies:
        (verdict,) = (await thief.sync(lie)).verdicts
        assert verdict.standing == "stale"
    (found,) = (await thief.sync(found=[thief.sync_body().held[0]])).verdicts
    assert found.standing == "stale"
    left = await read_transfer(plane, wanted.transfer)
    assert (left.state, left.agent_id, left.epoch) == (TransferState.RUNNING, owner.id, 1)
    assert (await read_objects(plane, wanted.transfer), await count_parts(plane, wanted.transfer)) == ([], 0)


async def test_small_files_that_were_never_put_complete_nothing(plane: Plane) -> None:
    wanted, agent = await claimed(plane, 10, 20, 0)
    lies = [
        FileStored(file, size, 1, "e", object_key(wanted.org, wanted.torrent, file, 1))
        for file, size in enumerate(wanted.sizes)
    ]
    await agent.sync(agent.report(wanted.transfer, phase=Phase.TAIL, files=lies, done=True))
    await finish.step(plane, utcnow())
    assert (await read_transfer(plane, wanted.transfer)).state is TransferState.WAITING
    assert (await read_job(plane, wanted.job)).state is not JobState.COMPLETED
    await _finish_honestly(plane, wanted, agent)


async def _finish_honestly(plane: Plane, wanted: Wanted, agent: FakeAgent) -> None:
    agent.revs.clear()
    assert isinstance(await agent.claim(wanted.transfer), Claimed)
    parts, files = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, phase=Phase.TAIL, parts=parts, files=files, done=True))
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    for row in await read_objects(plane, wanted.transfer):
        assert await read_object(plane.store, row.key) == content(row.file, row.size_bytes)


async def test_reports_ten_times_and_out_of_order_come_to_the_same(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG, 10)
    parts, files = await agent.put_everything(wanted)
    early = agent.report(wanted.transfer, parts=parts[:1])
    late = agent.report(wanted.transfer, phase=Phase.TAIL, parts=parts, files=files, done=True)
    for _ in range(5):
        for said in (late, early, late):
            await agent.sync(said)
    await finish.step(plane, utcnow())
    assert (await read_job(plane, wanted.job)).state is JobState.COMPLETED
    assert await count_parts(plane, wanted.transfer) == 2


async def test_a_dead_epochs_grants_change_nothing_that_is_stored(plane: Plane) -> None:
    """It asked for grants of bytes of its own choice while it could, and puts them when another has stored the file."""
    wanted, old = await claimed(plane, BIG, 10)
    forged = bytes(8 * MIB)
    (part,) = await old.grants(wanted.transfer, Want(0, 1, len(forged), crc32(forged)))
    (small,) = await old.grants(wanted.transfer, Want(1, 0, 10, crc32(bytes(10))))
    await old.sync(old.report(wanted.transfer, handover=True))
    new = await add_agent(plane, old.pool)
    assert isinstance(await new.claim(wanted.transfer), Claimed)
    parts, files = await new.put_everything(wanted)
    await new.sync(new.report(wanted.transfer, phase=Phase.TAIL, parts=parts, files=files, done=True))
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        await http.put(part.url, content=forged, headers=part.headers)  # before the upload is completed
        await http.put(small.url, content=bytes(10), headers=small.headers)
        await finish.step(plane, utcnow())
        if (await read_job(plane, wanted.job)).state is not JobState.COMPLETED:  # noticed: that part is put once more
            new.revs.clear()
            new.holds.clear()
            await _finish_honestly(plane, wanted, new)
        assert (await http.put(part.url, content=forged, headers=part.headers)).status_code == 404
        await http.put(small.url, content=bytes(10), headers=small.headers)
    for row in await read_objects(plane, wanted.transfer):
        assert await read_object(plane.store, row.key) == content(row.file, row.size_bytes)


async def test_an_upload_that_an_agent_finds_gone_is_begun_anew(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG, 10)
    (want, _), *_ = wants_of(0, content(0, BIG))
    await agent.grants(wanted.transfer, want)
    await agent.sync(agent.report(wanted.transfer, parts=[PartStored(0, 1, want.size_bytes, want.crc32, "e")]))
    (row,) = await read_objects(plane, wanted.transfer)
    await plane.store.abort(row.key, row.upload_id or "")
    await agent.sync(agent.report(wanted.transfer, failure=Failure("upload_gone", "Six times 404.")))
    await finish.step(plane, utcnow())
    assert (await read_objects(plane, wanted.transfer), await count_parts(plane, wanted.transfer)) == ([], 0)
    await _finish_honestly(plane, wanted, agent)


async def test_an_upload_is_not_given_up_on_an_agents_word_alone(plane: Plane) -> None:
    wanted, agent = await claimed(plane, BIG)
    parts, _ = await agent.put_everything(wanted)
    await agent.sync(agent.report(wanted.transfer, parts=parts[:1]))
    await agent.sync(agent.report(wanted.transfer, failure=Failure("upload_gone", "It is not.")))
    await finish.step(plane, utcnow())
    assert await count_parts(plane, wanted.transfer) == 1
    assert (await read_transfer(plane, wanted.transfer)).failure_code is None
