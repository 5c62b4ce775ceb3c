"""One NATS server for a whole file."""

from collections.abc import AsyncIterator

import pytest

from bus.accounts import new_keys
from tests.support.nats import NatsServer, start_nats


@pytest.fixture(scope="module")
async def nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    server = await start_nats(tmp_path_factory.mktemp("nats"), new_keys())
    try:
        yield server
    finally:
        await server.stop()
