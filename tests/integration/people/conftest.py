"""Listeners whose settings the tests about people choose: strict about addresses, and as `up` is."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest
from msgspec import Struct

from control.plane import Plane
from tests.support.control import PASSWORD, Api, serving


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
