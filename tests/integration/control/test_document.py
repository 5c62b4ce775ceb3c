"""The OpenAPI document is kept: whatever fits it, and much that does not, is answered as it says, to three callers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from control.accounts.permissions import OrgRole, PlatformRole
from control.plane import Plane
from tests.support.control import serving, unhurried
from tests.support.logbook import logbook, template
from tests.support.people import Headers, People, called
from tests.support.servers import Databases

EXAMPLES = 6
"""Of every operation, for each principal."""
Operation = APIOperation[Any, Any, Any, Any]
CONFIG = {
    "checks": {
        # What JSON Schema cannot say (addresses, magnets, cursors, what belongs together) is refused with a code.
        "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "422", "429"]}
    }
}


@pytest.fixture(scope="module")
async def own(plane: Plane, postgres: Databases) -> AsyncIterator[People]:
    """In a database of its own: a superadmin who tries everything also switches flags, suspends and publishes terms."""
    async with logbook(plane, postgres, await template(postgres)) as made, called(made.plane, postgres) as people:
        yield people


@pytest.fixture(scope="module")
async def url(own: People) -> AsyncIterator[str]:
    async with serving(unhurried(own.plane)) as listening:
        yield listening


async def _headers(people: People, who: str) -> Headers:
    match who:
        case "nobody":
            return {}
        case "a member's key":
            return (await people.key(await people.join(await people.organisation(), OrgRole.MEMBER), "full"))[1]
        case _:
            boss = await people.join(await people.organisation(), OrgRole.OWNER, PlatformRole.SUPERADMIN)
            return await people.session(boss)


@pytest.mark.parametrize("who", ["nobody", "a member's key", "a superadmin's session"])
async def test_every_operation_answers_as_the_document_says(own: People, url: str, who: str) -> None:
    assert await asyncio.to_thread(_complaints, url, await _headers(own, who)) == []


def _complaints(url: str, headers: Headers) -> list[str]:
    schema = schemathesis.openapi.from_url(f"{url}/api/schema", config=schemathesis.Config.from_dict(CONFIG))
    operations = []
    for each in schema.get_all_operations():
        assert isinstance(each, Ok), each
        operations.append(each.ok())
    operations.sort(key=lambda each: each.path.endswith("/logout"))  # it ends the session that the others use
    return [wrong for operation in operations for wrong in _wrong(operation, headers)]


def _wrong(operation: Operation, headers: Headers) -> list[str]:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def answers(case: Any) -> None:
        case.call_and_validate(headers=headers)

    try:
        answers()
    except FailureGroup as failed:
        return [f"{operation.label}: {each}" for each in failed.exceptions]
    return []
