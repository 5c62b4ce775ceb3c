"""Steering a job over HTTP: what may be done when, with which codes, and what the log of audit says."""

import secrets

import httpx
import pytest

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
        assert (paused["state"], paused["actions"]) == ("paused", ["cancel", "resume"])
        assert await refusal(await http.post(f"{job}/pause")) == (409, "cannot_pause")
        resumed = (await http.post(f"{job}/resume")).json()
        assert (resumed["state"], resumed["actions"]) == ("submitted", ["cancel", "pause"])
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
