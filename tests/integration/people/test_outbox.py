"""The outbox: operators read it where no server sends mails, and see no text where one does."""

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest

from control.accounts.bootstrap import Bootstrap, bootstrap
from control.accounts.tokens import new_key
from control.plane import Plane
from tests.integration.people.conftest import registered, setting, signed_in
from tests.support.control import PASSWORD, Api, serving
from wire.clock import utcnow


@pytest.fixture
async def operator(own: Api) -> AsyncIterator[httpx.AsyncClient]:
    key = new_key().secret
    await bootstrap(own.plane.db, Bootstrap(f"{secrets.token_hex(5)}@example.org", PASSWORD, key), utcnow())
    async with own.client() as http:
        http.headers["Authorization"] = f"Bearer {key}"
        yield http


async def test_operators_find_links_in_it_and_nobody_else_does(own: Api, operator: httpx.AsyncClient) -> None:
    mine = await registered(own)
    said = (await operator.get("/api/v1/admin/mails")).json()
    assert said["sent_by_smtp"] is False
    mail = next(each for each in said["items"] if each["recipient"] == mine.email)
    assert (mail["kind"], mail["state"]) == ("verify", "queued")
    assert f"{own.plane.settings.public_url}/account.html#verify=" in mail["text"]
    async with signed_in(own, mine) as http:
        refused = await http.get("/api/v1/admin/mails")
    assert (refused.status_code, refused.json()["code"]) == (403, "operators_only")


async def test_where_a_server_sends_them_operators_see_no_text(
    plane: Plane, own: Api, operator: httpx.AsyncClient
) -> None:
    mine = await registered(own)
    async with serving(setting(plane, smtp_host="mx.example.org")) as url:
        said = (await operator.get(f"{url}/api/v1/admin/mails")).json()
    assert said["sent_by_smtp"] is True
    assert mine.email in [each["recipient"] for each in said["items"]]
    assert {each["text"] for each in said["items"]} == {None}
