"""The outbox: admins read it where no server sends mails, and see no text where one does."""

from collections.abc import AsyncIterator

import httpx
import pytest

from control.accounts.bootstrap import Bootstrap, bootstrap
from control.plane import Plane
from tests.integration.people.conftest import registered, setting, signed_in, somebody
from tests.support.control import Api, serving
from wire.clock import utcnow


@pytest.fixture
async def admin(own: Api) -> AsyncIterator[httpx.AsyncClient]:
    mine = somebody()
    await bootstrap(own.plane.db, Bootstrap(mine.email, mine.password), utcnow())
    async with signed_in(own, mine) as http:
        yield http


async def test_admins_find_links_in_it_and_nobody_else_does(own: Api, admin: httpx.AsyncClient) -> None:
    mine = await registered(own)
    said = (await admin.get("/api/v1/admin/mails")).json()
    assert said["sent_by_smtp"] is False
    mail = next(each for each in said["items"] if each["recipient"] == mine.email)
    assert (mail["kind"], mail["state"]) == ("verify", "queued")
    assert f"{own.plane.settings.public_url}/account.html#verify=" in mail["text"]
    async with signed_in(own, mine) as http:
        refused = await http.get("/api/v1/admin/mails")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    key = (await admin.post("/api/v1/auth/keys", json={"name": "x"})).json()["secret"]
    by_key = await admin.get("/api/v1/admin/mails", headers={"Authorization": f"Bearer {key}"})
    assert by_key.status_code == 403, "a key that carries all that keys may"


async def test_where_a_server_sends_them_admins_see_no_text(plane: Plane, own: Api, admin: httpx.AsyncClient) -> None:
    mine = await registered(own)
    async with serving(setting(plane, smtp_host="mx.example.org")) as url:
        said = (await admin.get(f"{url}/api/v1/admin/mails")).json()
    assert said["sent_by_smtp"] is True
    assert mine.email in [each["recipient"] for each in said["items"]]
    assert {each["text"] for each in said["items"]} == {None}
