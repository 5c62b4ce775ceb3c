"""A listener whose webhooks may be on loopback, and somebody there who is told."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.support.control import Api, serving
from tests.support.receiver import Receiver, receiving


@pytest.fixture(scope="module")
async def own(api: Api) -> AsyncIterator[Api]:
    settings = msgspec.structs.replace(api.plane.settings, webhook_allow="127.0.0.0/8")
    plane = msgspec.structs.replace(api.plane, settings=settings)
    async with serving(plane) as url:
        yield msgspec.structs.replace(api, url=url, plane=plane)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as listening:
        yield listening
