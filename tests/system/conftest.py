"""A stack for the stories that leave it whole, two for those that bring agents; others start their own."""

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from tests.support import up
from tests.support.folders import open_folder
from tests.support.member import Member, signed_up
from tests.support.ports import free_row
from tests.support.proxy import open_proxy
from tests.support.up import Proxied


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Instead of pytest's: see `open_folder`."""
    with open_folder() as folder:
        yield folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A story that failed on the common stack shows what that said last."""
    report = yield
    if report.failed and isinstance(stack := item.funcargs.get("stack"), up.Up):
        report.sections.append(("the stack said last", stack.said_last()))
    return report


@pytest.fixture(scope="package")
async def stack() -> AsyncIterator[up.Up]:
    with open_folder() as folder:
        async with up.running(folder, demo=True) as running:
            yield running


@pytest.fixture(scope="package")
async def bare() -> AsyncIterator[up.Up]:
    """Without agents: each story brings its own."""
    with open_folder() as folder:
        async with up.running(folder, "--agents", "0") as running:
            yield running


@pytest.fixture(scope="package")
async def proxied() -> AsyncIterator[Proxied]:
    """Without agents too; its store is behind a proxy, and nobody is waited for as long as elsewhere."""
    port = free_row()
    with open_folder() as folder:
        async with open_proxy(("127.0.0.1", port + 3)) as proxy:
            sets = [*up.PATIENCE, f"control.store_url={proxy.url}"]
            async with up.running(folder, "--agents", "0", sets=sets, port=port) as running:
                yield Proxied(running, proxy)


@pytest.fixture
async def member(stack: up.Up) -> AsyncIterator[Member]:
    async with signed_up(stack.api) as member:
        yield member
