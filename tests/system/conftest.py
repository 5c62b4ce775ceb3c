"""One stack for the stories that leave it whole; those that break things start their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support import up
from tests.support.folders import open_folder
from tests.support.member import Member, signed_up


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Instead of pytest's: see `open_folder`."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
async def stack() -> AsyncIterator[up.Up]:
    with open_folder() as folder:
        async with up.running(folder) as running:
            yield running


@pytest.fixture
async def member(stack: up.Up) -> AsyncIterator[Member]:
    async with signed_up(stack.api) as member:
        yield member
