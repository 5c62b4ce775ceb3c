"""Everything hostile that fits into what people do with their own account, from somebody who is signed in."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.integration.control.test_every_operation import METHODS, RAW, Case, Operation, fields_of, odd, sent
from tests.integration.people.conftest import registered, signed_in
from tests.support.control import Api
from wire.ids import new_id

ENDS_IT = "/api/v1/auth/logout"


@pytest.fixture
async def person(own: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with signed_in(own, await registered(own)) as http:
        yield http


async def test_hostile_bodies_in_person_are_refused_and_change_nothing(person: httpx.AsyncClient) -> None:
    said = (await person.get("/api/schema")).json()
    operations = [
        Operation(method.upper(), path, tuple(fields_of(said, operation)))
        for path, item in said["paths"].items()
        for method, operation in item.items()
        if path.startswith("/api/v1/auth/") and path != ENDS_IT and method in METHODS and method != "get"
        if operation["security"] != [{}]  # the others are tried by nobody, with all that is odd
    ]
    assert len(operations) > 15
    cases = [
        Case(op.method, op.at(str(new_id())), body, (("Content-Type", b"application/json"),))
        for op in operations
        for body in (odd(op) if op.fields else RAW)
    ]
    assert await sent(person, cases) == []
    assert (await person.get("/api/v1/auth/me")).status_code == 200
