"""Jobs over HTTP: asked for in every wrapping, once each, listed, cancelled, removed."""

import asyncio
import base64
import secrets

import httpx
import pytest

from control.jobs import shown
from tests.support.control import Api, torrent_file
from wire.bencode import Encodable, encode


def fresh_magnet(more: str = "") -> str:
    return f"magnet:?xt=urn:btih:{secrets.token_hex(20)}{more}"


V2_ALONE: dict[bytes, Encodable] = {
    b"file tree": {b"a.bin": {b"": {b"length": 100, b"pieces root": b"r" * 32}}},
    b"meta version": 2,
    b"name": b"a.bin",
    b"piece length": 16_384,
}
PADDED: dict[bytes, Encodable] = {
    b"files": [
        {b"length": 10, b"path": [b"a"]},
        {b"attr": b"p", b"length": 16_374, b"path": [b".pad", b"16374"]},
        {b"length": 20, b"path": [b"b"]},
    ],
    b"name": b"padded",
    b"piece length": 16_384,
    b"pieces": bytes(40),
}


async def test_a_magnet_becomes_a_job_at_once(api: Api) -> None:
    async with api.member() as http:
        magnet = fresh_magnet("&dn=Some%20name")
        made = await http.post("/api/v1/jobs", json={"magnet": magnet})
        assert made.status_code == 201, made.text
        job = made.json()
        assert (job["state"], job["version"], job["name"]) == ("submitted", 1, "Some name")
        assert job["size_bytes"] is None
        assert job["actions"] == ["cancel", "choose", "pause"]
        assert made.headers["Location"] == f"/api/v1/jobs/{job['id']}"
        assert (await http.get(made.headers["Location"])).json() == job

        again = await http.post("/api/v1/jobs", json={"magnet": magnet})
        assert (again.status_code, again.json()["id"]) == (200, job["id"])


@pytest.mark.parametrize("wrapping", ["form", "raw", "json"])
async def test_a_torrent_comes_in_three_wrappings(api: Api, wrapping: str) -> None:
    data = torrent_file(f"{wrapping} {secrets.token_hex(4)}", files=3)
    async with api.member() as http:
        match wrapping:
            case "form":
                made = await http.post("/api/v1/jobs", files={"torrent": ("a.torrent", data)}, data={"name": "Mine"})
            case "raw":
                made = await http.post(
                    "/api/v1/jobs", content=data, headers={"Content-Type": "application/x-bittorrent"}
                )
            case _:
                made = await http.post("/api/v1/jobs", json={"torrent": base64.b64encode(data).decode()})
        assert made.status_code == 201, made.text
        job = made.json()
        assert (job["size_bytes"], job["files_count"], job["source"]) == (3000, 3, "torrent")
        assert (job["name"] == "Mine") == (wrapping == "form")
        files = (await http.get(f"/api/v1/jobs/{job['id']}/files", params={"limit": 2})).json()
        assert [file["index"] for file in files["items"]] == [0, 1]
        assert not files["items"][0]["stored"]
        rest = await http.get(f"/api/v1/jobs/{job['id']}/files", params={"cursor": files["next_cursor"]})
        assert [file["index"] for file in rest.json()["items"]] == [2]
        assert rest.json()["next_cursor"] is None
        link = await http.post(f"/api/v1/jobs/{job['id']}/files/0/link", json={})
        assert (link.status_code, link.json()["code"]) == (409, "not_stored_yet")
        assert (await http.post(f"/api/v1/jobs/{job['id']}/files/3/link")).status_code == 404


async def test_twenty_asking_at_once_get_one_job(api: Api) -> None:
    data = torrent_file(secrets.token_hex(8))
    async with api.member() as http:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await http.post("/api/v1/jobs", files={"torrent": ("a", data)}))

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(ask())
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert (await http.get("/api/v1/jobs")).json()["counts"]["submitted"] == 1


async def test_the_same_idempotency_key_gets_the_same_answer(api: Api) -> None:
    async with api.member() as http:
        key = {"Idempotency-Key": secrets.token_hex(8)}
        magnet = fresh_magnet()
        first = await http.post("/api/v1/jobs", json={"magnet": magnet}, headers=key)
        await http.post(f"/api/v1/jobs/{first.json()['id']}/cancel")
        again = await http.post("/api/v1/jobs", json={"magnet": magnet}, headers=key)
        assert (again.status_code, again.json()) == (201, first.json())
        other = await http.post("/api/v1/jobs", json={"magnet": fresh_magnet()}, headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    async with api.member() as somebody:
        theirs = await somebody.post("/api/v1/jobs", json={"magnet": magnet}, headers=key)
        assert theirs.json()["id"] != first.json()["id"]


async def test_ten_at_once_with_one_idempotency_key_create_once(api: Api) -> None:
    async with api.member() as http:
        key, magnet = {"Idempotency-Key": secrets.token_hex(8)}, fresh_magnet()
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await http.post("/api/v1/jobs", json={"magnet": magnet}, headers=key))

        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(ask())
        assert {answer.status_code for answer in answers} == {201}
        assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 9


async def test_a_refused_create_leaves_its_idempotency_key_free(api: Api) -> None:
    async with api.member() as http:
        key = {"Idempotency-Key": secrets.token_hex(8)}
        assert (await http.post("/api/v1/jobs", json={"magnet": "magnet:?"}, headers=key)).status_code == 422
        assert (await http.post("/api/v1/jobs", json={"magnet": fresh_magnet()}, headers=key)).status_code == 201


async def test_a_list_is_paged_filtered_and_counted(api: Api) -> None:
    async with api.member() as http:
        made = [(await http.post("/api/v1/jobs", json={"magnet": fresh_magnet()})).json()["id"] for _ in range(5)]
        await http.post(f"/api/v1/jobs/{made[0]}/cancel")
        first = (await http.get("/api/v1/jobs", params={"limit": 2})).json()
        second = (await http.get("/api/v1/jobs", params={"limit": 3, "cursor": first["next_cursor"]})).json()
        assert [job["id"] for job in first["items"] + second["items"]] == made[::-1]
        assert second["next_cursor"] is None
        assert (first["counts"]["submitted"], first["counts"]["cancelled"]) == (4, 1)
        some = (await http.get("/api/v1/jobs", params={"state": ["cancelled", "failed"]})).json()
        assert [job["id"] for job in some["items"]] == [made[0]]


async def test_many_are_counted_once_in_a_while(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MANY", 2)
    monkeypatch.setattr(shown, "HELD_S", 1.0)
    async with api.member() as http, api.member() as other:

        async def counted(whose: httpx.AsyncClient) -> int:
            return int((await whose.get("/api/v1/jobs")).json()["counts"]["submitted"])

        async def add() -> None:
            assert (await http.post("/api/v1/jobs", json={"magnet": fresh_magnet()})).status_code == 201

        await add()
        assert await counted(http) == 1, "few are counted each time"
        await add()
        assert await counted(http) == 2
        await add()
        assert await counted(other) == 0
        async with asyncio.timeout(10):
            while await counted(http) != 3:
                await asyncio.sleep(0.1)


async def test_a_cancelled_job_has_ended_and_can_be_removed_an_open_one_not(api: Api) -> None:
    async with api.member() as http:
        url = f"/api/v1/jobs/{(await http.post('/api/v1/jobs', json={'magnet': fresh_magnet()})).json()['id']}"
        refused = await http.delete(url)
        assert (refused.status_code, refused.json()["code"]) == (409, "job_active")
        cancelled = await http.post(f"{url}/cancel")
        assert (cancelled.json()["state"], cancelled.json()["actions"]) == ("cancelled", ["remove", "retry"])
        again = await http.post(f"{url}/cancel")
        assert (again.status_code, again.json()["code"]) == (409, "job_ended")
        timeline = (await http.get(f"{url}/timeline")).json()["items"]
        assert [(e["version"], e["from_state"], e["to_state"]) for e in timeline] == [
            (1, None, "submitted"),
            (2, "submitted", "cancelled"),
        ]
        assert (await http.delete(url)).status_code == 204
        assert (await http.get(url)).status_code == 404
        assert (await http.delete(url)).status_code == 404


async def test_what_was_cancelled_can_be_asked_for_again(api: Api) -> None:
    async with api.member() as http:
        magnet = fresh_magnet()
        first = (await http.post("/api/v1/jobs", json={"magnet": magnet})).json()
        await http.post(f"/api/v1/jobs/{first['id']}/cancel")
        second = await http.post("/api/v1/jobs", json={"magnet": magnet})
        assert (second.status_code, second.json()["state"]) == (201, "submitted")
        assert (await http.get(f"/api/v1/jobs/{first['id']}")).json()["state"] == "cancelled"


async def test_a_magnet_and_its_torrent_are_one_job(api: Api) -> None:
    data = torrent_file(secrets.token_hex(8))
    async with api.member() as http:
        seen = (await http.post("/api/v1/torrents/inspect", files={"torrent": ("a", data)})).json()
        first = await http.post("/api/v1/jobs", json={"magnet": f"magnet:?xt=urn:btih:{seen['v1']}"})
        second = await http.post("/api/v1/jobs", files={"torrent": ("a", data)})
        assert (second.status_code, second.json()["id"]) == (200, first.json()["id"])


async def test_forbidden_addresses_are_dropped_before_anything_is_kept(api: Api) -> None:
    trackers = "&tr=http://10.0.0.1/announce&tr=http://127.0.0.7:80/announce&tr=udp://tracker.example.org:1"
    async with api.member() as http:
        made = await http.post("/api/v1/jobs", json={"magnet": fresh_magnet(f"{trackers}&x.pe=169.254.169.254:80")})
    kept = await api.databases.sql(f"SELECT trackers, peers FROM jobs WHERE id = '{made.json()['id']}'")
    assert kept == '[["http://127.0.0.7:80/announce"], ["udp://tracker.example.org:1"]]|[]'


async def test_twenty_thousand_files_are_kept(api: Api) -> None:
    data = torrent_file(secrets.token_hex(8), files=20_000, size=10)
    async with api.member() as http:
        made = await http.post("/api/v1/jobs", files={"torrent": ("a", data)})
        assert (made.status_code, made.json()["files_count"]) == (201, 20_000)


async def test_more_than_an_organisation_may_hold_is_refused(api: Api) -> None:
    async with api.member() as http:
        answer = await http.post("/api/v1/jobs", files={"torrent": ("a", huge())})
    assert (answer.status_code, answer.json()["code"]) == (403, "quota_spent")


def huge() -> bytes:
    """Two tebibytes in pieces of 64 MiB."""
    piece = 64 * 1024 * 1024
    count = 2 * 1024**4 // piece
    pieces = b"\0" * 20 * count
    return b"d4:infod6:lengthi%de4:name4:huge12:piece lengthi%de6:pieces%d:%bee" % (
        count * piece, piece, len(pieces), pieces,
    )  # fmt: skip


async def test_inspecting_says_what_was_shown_and_nothing_else(api: Api) -> None:
    data = torrent_file("known", files=2, announce=b"http://t.example.org/0123456789abcdef0123/announce")
    async with api.member() as owner:
        await owner.post("/api/v1/jobs", files={"torrent": ("a", data)})
    async with api.member() as http:
        shown = (await http.post("/api/v1/torrents/inspect", files={"torrent": ("a", data)})).json()
        assert [file["path"] for file in shown["files"]] == ["folder/0.txt", "folder/1.txt"]
        assert "0123456789abcdef0123" not in shown["trackers"][0]
        magnet = f"magnet:?xt=urn:btih:{shown['v1']}"
        told = (await http.post("/api/v1/torrents/inspect", json={"magnet": magnet})).json()
    assert (told["files"], told["name"], told["size_bytes"]) == (None, None, None)


async def test_a_torrent_of_version_2_alone_is_taken(api: Api) -> None:
    async with api.member() as http:
        form = {"torrent": ("a", encode({b"info": V2_ALONE}))}
        shown = (await http.post("/api/v1/torrents/inspect", files=form)).json()
        assert (shown["v1"], len(shown["files"])) == (None, 1)
        made = await http.post("/api/v1/jobs", files=form)
        assert (made.status_code, made.json()["v1"], made.json()["v2"]) == (201, None, shown["v2"])


async def test_pads_are_not_counted(api: Api) -> None:
    async with api.member() as http:
        made = (await http.post("/api/v1/jobs", files={"torrent": ("a", encode({b"info": PADDED}))})).json()
        files = (await http.get(f"/api/v1/jobs/{made['id']}/files")).json()["items"]
    assert (made["files_count"], made["size_bytes"]) == (2, 30)
    assert [(file["index"], file["size_bytes"]) for file in files] == [(0, 10), (2, 20)]
