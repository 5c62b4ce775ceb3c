"""A listener of a module's own, and a database that notes what its requests change."""

from collections.abc import AsyncIterator

import pytest

from control.plane import Plane
from tests.support.control import Api, serving
from tests.support.told import Told, telling


@pytest.fixture(scope="module")
async def own(plane: Plane, api: Api) -> AsyncIterator[Api]:
    """Its throttles are not those of the other tests."""
    async with serving(plane) as url:
        yield Api(url, plane, api.databases)


@pytest.fixture
async def told(own: Api) -> AsyncIterator[Told]:
    async with telling(own.plane, own.databases) as made:
        yield made
