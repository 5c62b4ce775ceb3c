"""Jobs by URL: one spelling, nowhere private, one job while it is active, and never shown to anybody."""

import pytest

from tests.support.control import Api, magnet


async def test_a_url_is_one_job_while_it_is_active_and_another_afterwards(api: Api) -> None:
    async with api.member() as http:
        first = await http.post("/api/v1/jobs", json={"url": "https://Example.org/a b.iso?sig=secret"})
        assert first.status_code == 201, first.text
        job = first.json()
        assert (job["source"], job["name"], job["v1"], job["size_bytes"]) == ("url", "a b.iso", None, None)
        assert "secret" not in first.text
        again = await http.post("/api/v1/jobs", json={"url": "https://example.org/a%20b.iso?sig=secret#x"})
        assert (again.status_code, again.json()["id"]) == (200, job["id"])
        assert (await http.post(f"/api/v1/jobs/{job['id']}/cancel")).status_code == 200
        later = await http.post("/api/v1/jobs", json={"url": "https://example.org/a%20b.iso?sig=secret"})
        assert (later.status_code, later.json()["id"] != job["id"]) == (201, True)


async def test_another_organisation_has_a_job_of_its_own(api: Api) -> None:
    ids = set()
    for _ in range(2):
        async with api.member() as http:
            answer = await http.post("/api/v1/jobs", json={"url": "https://example.org/shared.iso"})
            assert answer.status_code == 201
            ids.add(answer.json()["id"])
    assert len(ids) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/f",
        "http://localhost/f",
        "http://10.1.2.3/f",
        "http://100.64.0.1/f",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/f",
        "http://[::ffff:192.168.0.1]/f",
        "http://2130706433/f",
        "http://0x7f000001/f",
        "http://127.1/f",
        "http://metadata.internal/f",
    ],
)
async def test_what_is_plainly_private_is_refused_at_once(api: Api, url: str) -> None:
    async with api.member() as http:
        refused = await http.post("/api/v1/jobs", json={"url": url})
        assert (refused.status_code, refused.json()["code"]) == (422, "url_not_allowed")


@pytest.mark.parametrize("body", [{"url": "not one"}, {"url": "https://example.org/f", "magnet": magnet()}, {"url": 1}])
async def test_what_is_no_url_is_refused_with_a_code(api: Api, body: dict[str, object]) -> None:
    async with api.member() as http:
        refused = await http.post("/api/v1/jobs", json=body)
        assert 400 <= refused.status_code < 500
        assert refused.json()["code"]


async def test_a_url_can_be_looked_into_by_its_name_alone(api: Api) -> None:
    async with api.member() as http:
        shown = (await http.post("/api/v1/torrents/inspect", json={"url": "https://example.org/f.iso"})).json()
    assert (shown["name"], shown["v1"], shown["files"]) == ("f.iso", None, None)
