"""One stack for the stories that leave it whole; those that break things start their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import up
from tests.support.member import Member, signed_up


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[up.Up]:
    async with up.running(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
async def member(stack: up.Up) -> AsyncIterator[Member]:
    async with signed_up(stack.api) as member:
        yield member


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
