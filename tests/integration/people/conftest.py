"""Listeners whose settings the tests about people choose: strict about addresses, as `up` is, and with a provider."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from msgspec import Struct

from control.plane import Plane
from tests.support.control import PASSWORD, Api, serving
from tests.support.provider import Client, running

NAME = "house"
BEGIN = f"/api/v1/auth/providers/{NAME}/begin"
CALLBACK = f"/api/v1/auth/providers/{NAME}/callback"


class Account(Struct, frozen=True):
    email: str
    password: str = PASSWORD

    @property
    def body(self) -> dict[str, str]:
        return {"email": self.email, "password": self.password}


def somebody() -> Account:
    return Account(f"{secrets.token_hex(6)}@example.org")


@asynccontextmanager
async def signed_in(api: Api, who: Account) -> AsyncIterator[httpx.AsyncClient]:
    """A browser of its own."""
    async with api.client() as http:
        answer = await http.post("/api/v1/auth/login", json=who.body)
        assert answer.status_code == 200, answer.text
        http.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        yield http


async def registered(api: Api) -> Account:
    made = somebody()
    async with api.client() as http:
        assert (await http.post("/api/v1/auth/register", json=made.body)).status_code == 201
    return made


@pytest.fixture
async def own(api: Api) -> AsyncIterator[Api]:
    """A listener of its own: its throttles are fresh."""
    async with serving(api.plane) as url:
        yield msgspec.structs.replace(api, url=url)


def setting(plane: Plane, **changed: object) -> Plane:
    return msgspec.structs.replace(plane, settings=msgspec.structs.replace(plane.settings, **changed))


@pytest.fixture
async def strict(api: Api) -> AsyncIterator[Api]:
    """Nobody signs in before the address is confirmed."""
    plane = setting(api.plane, verify_first=True)
    async with serving(plane) as url:
        yield msgspec.structs.replace(api, url=url, plane=plane)


@pytest.fixture(scope="module")
async def provider(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    folder = tmp_path_factory.mktemp("provider")
    async with running(folder, plane.settings.public_url + CALLBACK) as client:
        yield client


class House(Struct, frozen=True):
    api: Api
    provider: Client

    @property
    def plane(self) -> Plane:
        return self.api.plane

    async def person(self, **claims: object) -> str:
        subject = secrets.token_hex(6)
        await self.provider.knows(subject, **claims)
        return subject

    async def begin(self, browser: httpx.AsyncClient) -> str:
        answer = await browser.post(BEGIN)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"])

    async def enter(self, browser: httpx.AsyncClient, subject: str) -> httpx.Response:
        back = await self.provider.consents(await self.begin(browser), subject)
        return await browser.get(CALLBACK, params=back)


@pytest.fixture
async def house(api: Api, provider: Client, tmp_path: Path) -> AsyncIterator[House]:
    file = tmp_path / "oidc.json"
    entry = {"name": NAME, "title": "The house", "issuer": provider.issuer}
    file.write_text(json.dumps([entry | {"client_id": provider.id, "client_secret": provider.secret}]))
    plane = setting(api.plane, oidc_file=file)
    async with serving(plane) as url:
        yield House(msgspec.structs.replace(api, url=url, plane=plane), provider)
