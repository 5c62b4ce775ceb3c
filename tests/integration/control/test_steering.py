"""Steering a job over HTTP: what may be done when, with which codes, and what the log of audit says."""

import base64
import json
import secrets
from typing import Any

import httpx
import pytest

from tests.integration.control.test_jobs import huge
from tests.support.control import Api, torrent_file


async def added(http: httpx.AsyncClient, **more: object) -> str:
    answer = await http.post("/api/v1/jobs", json={"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"} | more)
    assert answer.status_code == 201, answer.text
    return f"/api/v1/jobs/{answer.json()['id']}"


async def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_job_is_paused_and_resumed_and_its_actions_say_what_is_next(api: Api) -> None:
    async with api.member() as http:
        job = await added(http)
        paused = (await http.post(f"{job}/pause")).json()
        assert (paused["state"], paused["actions"]) == ("paused", ["cancel", "choose", "resume"])
        assert await refusal(await http.post(f"{job}/pause")) == (409, "cannot_pause")
        resumed = (await http.post(f"{job}/resume")).json()
        assert (resumed["state"], resumed["actions"]) == ("submitted", ["cancel", "choose", "pause"])
        assert await refusal(await http.post(f"{job}/resume")) == (409, "cannot_resume")
        assert await refusal(await http.post(f"{job}/retry")) == (409, "cannot_retry")
        said = [(e["to_state"], e["why"]) for e in (await http.get(f"{job}/timeline")).json()["items"]]
        assert said == [("submitted", "added"), ("paused", "paused"), ("submitted", "resumed")]
    log = await api.databases.sql(f"SELECT action FROM audit WHERE target = 'job:{job[-36:]}' ORDER BY id")
    assert log.split() == ["job.added", "job.paused", "job.resumed"]


async def test_a_cancelled_job_is_tried_again_unless_another_asks_for_the_same(api: Api) -> None:
    async with api.member() as http:
        magnet = f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"
        first = await added(http, magnet=magnet)
        cancelled = (await http.post(f"{first}/cancel")).json()
        assert (cancelled["state"], cancelled["actions"]) == ("cancelled", ["remove", "retry"])
        assert (await http.post(f"{first}/retry")).json()["state"] == "submitted"
        await http.post(f"{first}/cancel")
        await added(http, magnet=magnet)
        assert await refusal(await http.post(f"{first}/retry")) == (409, "already_active")


async def test_only_completed_data_can_be_kept(api: Api) -> None:
    async with api.member() as http:
        job = await added(http)
        await http.post(f"{job}/cancel")
        assert await refusal(await http.delete(job, params={"keep_data": True})) == (409, "nothing_to_keep")
        assert (await http.delete(job)).status_code == 204


@pytest.mark.parametrize("verb", ["pause", "resume", "retry"])
async def test_somebody_elses_job_cannot_be_steered(api: Api, verb: str) -> None:
    async with api.member() as owner, api.member() as stranger:
        job = await added(owner)
        assert await refusal(await stranger.post(f"{job}/{verb}")) == (404, "not_found")


async def test_the_same_torrent_asked_for_again_while_it_is_paused_is_the_same_job(api: Api) -> None:
    data = torrent_file(secrets.token_hex(8))
    async with api.member() as http:
        first = (await http.post("/api/v1/jobs", files={"torrent": ("a", data)})).json()
        await http.post(f"/api/v1/jobs/{first['id']}/pause")
        again = await http.post("/api/v1/jobs", files={"torrent": ("a", data)})
        assert (again.status_code, again.json()["id"], again.json()["state"]) == (200, first["id"], "paused")


async def torrent_added(http: httpx.AsyncClient, **more: object) -> tuple[str, dict[str, Any]]:
    data = base64.b64encode(torrent_file(secrets.token_hex(8), files=3)).decode()
    answer = await http.post("/api/v1/jobs", json={"torrent": data} | more)
    assert answer.status_code == 201, answer.text
    return f"/api/v1/jobs/{answer.json()['id']}", answer.json()


async def test_a_torrent_is_added_with_some_of_its_files(api: Api) -> None:
    async with api.member() as http:
        job, view = await torrent_added(http, files=[2, 0, 2])
        assert (view["size_bytes"], view["wanted_bytes"], view["progress"]["total_bytes"]) == (3000, 2000, 2000)
        files = (await http.get(f"{job}/files")).json()["items"]
        assert [file["wanted"] for file in files] == [True, False, True]
        assert await refusal(await http.post(f"{job}/files/1/link", json={})) == (409, "file_not_wanted")
        assert await refusal(await http.post(f"{job}/files/0/link", json={})) == (409, "not_stored_yet")


async def test_a_job_added_paused_waits_until_somebody_has_chosen(api: Api) -> None:
    async with api.member() as http:
        job, view = await torrent_added(http, paused=True)
        assert (view["state"], "choose" in view["actions"]) == ("paused", True)
        changed = (await http.patch(job, json={"files": [1]})).json()
        assert (changed["state"], changed["wanted_bytes"]) == ("paused", 1000)
        assert (await http.post(f"{job}/resume")).json()["state"] == "submitted"
        everything = (await http.patch(job, json={"files": None})).json()
        assert everything["wanted_bytes"] == 3000
        dark = await http.post(
            "/api/v1/jobs", json={"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}", "paused": True}
        )
        assert dark.json()["state"] == "submitted"  # its metadata is fetched first
    log = await api.databases.sql(f"SELECT action FROM audit WHERE target = 'job:{job[-36:]}' ORDER BY id")
    assert log.split() == ["job.added", "job.edited", "job.resumed", "job.edited"]


async def test_a_form_says_its_wishes_as_text(api: Api) -> None:
    async with api.member() as http:
        form = {"torrent": ("a", torrent_file(secrets.token_hex(8), files=3))}
        made = await http.post("/api/v1/jobs", files=form, data={"files": "[0]", "paused": "true"})
        assert (made.json()["state"], made.json()["wanted_bytes"]) == ("paused", 1000)
        for bad in ({"files": "0"}, {"files": "[-1]"}, {"paused": "maybe"}, {"sequential": "1"}, {"down_max": "fast"}):
            refused = await http.post("/api/v1/jobs", files=form, data=bad)
            assert refused.status_code in (400, 422), bad


@pytest.mark.parametrize(
    ("files", "code"),
    [([], "nothing_chosen"), ([3], "no_such_file"), ([-1], "no_such_file"), ([2**40], "no_such_file")],
)
async def test_a_choice_that_cannot_be_is_refused(api: Api, files: list[int], code: str) -> None:
    async with api.member() as http:
        job, _ = await torrent_added(http)
        assert await refusal(await http.patch(job, json={"files": files})) == (422, code)
        data = base64.b64encode(torrent_file(secrets.token_hex(8), files=3)).decode()
        assert await refusal(await http.post("/api/v1/jobs", json={"torrent": data, "files": files})) == (422, code)


async def test_nobody_chooses_for_others_or_when_it_is_over(api: Api) -> None:
    async with api.member() as http, api.member() as stranger:
        job, _ = await torrent_added(http)
        assert await refusal(await stranger.patch(job, json={"files": [1]})) == (404, "not_found")
        await http.post(f"{job}/cancel")
        assert await refusal(await http.patch(job, json={"files": [1]})) == (409, "cannot_choose")


async def test_more_than_the_quota_may_be_added_to_choose_from(api: Api) -> None:
    async with api.member() as http:
        form = {"torrent": ("a", huge())}
        assert await refusal(await http.post("/api/v1/jobs", files=form)) == (403, "quota_spent")
        made = await http.post("/api/v1/jobs", files=form, data={"paused": "true"})
        assert made.status_code == 201
        assert await refusal(await http.post(f"/api/v1/jobs/{made.json()['id']}/resume")) == (403, "quota_spent")


async def test_a_job_is_renamed_and_given_priority_order_and_speed(api: Api) -> None:
    wishes = {"name": " Mine\n", "priority": "high", "sequential": True, "down_max": 100_000, "up_max": 20_000}
    async with api.member() as http:
        job, first = await torrent_added(http)
        assert (first["priority"], first["sequential"], first["down_max"]) == ("normal", False, 0)
        changed = (await http.patch(job, json=wishes)).json()
        assert {field: changed[field] for field in wishes} == wishes | {"name": "Mine"}
        assert changed["version"] == first["version"] + 1
        for bad in (
            {"name": ""},
            {"name": "x" * 256},
            {"priority": "urgent"},
            {"down_max": -1},
            {"up_max": 10},
            {"colour": "red"},
        ):
            assert (await http.patch(job, json=bad)).status_code == 422, bad
        assert (await http.get(job)).json() == changed


WISHES = {"name": "Mine", "priority": "high", "sequential": True, "down_max": 100_000, "up_max": 20_000}


@pytest.mark.parametrize("wrapping", ["json", "form"])
async def test_whatever_can_be_changed_of_a_job_can_be_said_when_it_is_added(api: Api, wrapping: str) -> None:
    data = torrent_file(secrets.token_hex(8))

    async def add(**wishes: object) -> httpx.Response:
        if wrapping == "json":
            return await http.post("/api/v1/jobs", json={"torrent": base64.b64encode(data).decode()} | wishes)
        said = {field: as_text(value) for field, value in wishes.items()}
        return await http.post("/api/v1/jobs", files={"torrent": ("a", data)}, data=said)

    async with api.member() as http:
        for bad in ({"priority": "urgent"}, {"down_max": -1}, {"down_max": 2**31}, {"name": "x" * 256}):
            assert (await add(**bad)).status_code == 422, bad
        assert await refusal(await add(up_max=10)) == (422, "too_slow")
        made = await add(**WISHES)
        assert made.status_code == 201, made.text
        assert {field: made.json()[field] for field in WISHES} == WISHES
    transfer = await api.databases.sql(
        f"SELECT priority, sequential, t.down_max, t.up_max FROM transfers t"
        f" WHERE id = (SELECT transfer_id FROM jobs WHERE id = '{made.json()['id']}')"
    )
    assert transfer == "2|t|100000|20000"


async def test_an_organisations_admins_limit_its_speed_and_the_log_says_so(api: Api) -> None:
    url = "/api/v1/organisation/speed"
    async with api.member() as http:
        assert (await http.get(url)).json() == {"down_max": 0, "up_max": 0}
        limited = {"down_max": 1_000_000, "up_max": 0}
        for body in ({"down_max": 1_000_000}, {"up_max": 0}, {}):
            assert (await http.patch(url, json=body)).json() == limited
        assert await refusal(await http.patch(url, json={"up_max": 1})) == (422, "too_slow")
        for bad in ({"down_max": -1}, {"down_max": None}, {"speed": 1}):
            assert (await http.patch(url, json=bad)).status_code == 422, bad
        assert (await http.get(url)).json() == limited
        org = (await http.get("/api/v1/organisation")).json()["id"]
    log = await api.databases.sql(
        f"SELECT detail FROM audit WHERE org_id = '{org}' AND action = 'organisation.limited'"
    )
    assert json.loads(log) == {"before": {"down_max": 0, "up_max": 0}, "after": limited}


def as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def test_nobody_is_asked_for_peers_of_what_is_not_at_work(api: Api) -> None:
    async with api.member() as http:
        assert await refusal(await http.post(f"{await added(http)}/reannounce")) == (409, "cannot_reannounce")
