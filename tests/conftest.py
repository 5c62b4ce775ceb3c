"""Fixtures that every test may ask for, and which tests share a worker."""

import gc
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import uvloop
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from control.processes import GARBAGE

pytest_plugins = ["tests.support.servers", "tests.support.control", "tests.support.people"]

ROOT = Path(__file__).parent.parent
STACK = "the stack"
BARE = "the stack without agents"
PROXIED = "the stack behind a proxy"
APART = (
    "tests/integration/fleet/test_failing.py",
    "tests/integration/fleet/test_urls.py",
    "tests/integration/fleet/test_versions.py",
    "tests/integration/control/test_document.py",
    "tests/integration/control/test_every_operation.py",
)
"""Of integration tests' folders, so that none is what all others wait for; they take a minute each."""
LONGEST = (
    "tests/system/test_survival.py",
    "tests/integration/fleet",
    "tests/integration/control",
    *APART,
    "tests/integration/people",
    STACK,
    BARE,
    PROXIED,
    "tests/system/test_fleet.py",
    "tests/system/test_chaos.py",
)
"""Begun first: what lasts minutes and begins last would leave the other workers idle."""
A_TEST = re.compile(r"^async def (test_\w+)\(([^)]*)\)", re.MULTILINE)
MODULES_OWN = re.compile(r"""^@pytest\.fixture\(scope="module"\)\nasync def (\w+)""", re.MULTILINE)


class ByServers(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed
    """Those that share servers run one after another in one worker: a folder of integration tests, the stories that a
    module tells on servers of its own, and all that are told on one of the stacks that they leave whole."""

    def _split_scope(self, nodeid: str) -> str:
        return _shares(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return ByServers(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], uvloop.Loop]]:
    """As the servers themselves run."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_finish() -> None:
    """All tests and all that they import stay to the end: to look for garbage among them took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    known = (_shares(nodeid), nodeid.partition("::")[0])
    return next((number for number, share in enumerate(LONGEST) if share in known), len(LONGEST))


def _shares(nodeid: str) -> str:
    path, _, test = nodeid.partition("::")
    folder = path.rpartition("/")[0]
    if folder.startswith("tests/integration"):
        return path if path in APART else folder
    if folder != "tests/system":
        return path
    return _stories(path).get(test.partition("[")[0], nodeid)


@cache
def _stories(path: str) -> dict[str, str]:
    """Of a system test's file, those that share a stack; the others each have their own."""
    text = (ROOT / path).read_text()
    of_module = set(MODULES_OWN.findall(text))
    found = {}
    for test, arguments in A_TEST.findall(text):
        asked = set(re.findall(r"\w+(?=:)", arguments))
        if asked & {"stack", "member"}:
            found[test] = STACK
        elif "bare" in asked:
            found[test] = BARE
        elif "proxied" in asked:
            found[test] = PROXIED
        elif asked & of_module:
            found[test] = path
    return found
