"""One NATS server for a whole file."""

from collections.abc import AsyncIterator

import pytest

from tests.support.nats import NatsServer, running_nats


@pytest.fixture(scope="module")
async def nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    async with running_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server
