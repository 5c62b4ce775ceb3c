"""Fixtures that every test may ask for, and which tests share a worker."""

import re
from functools import cache
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.support.servers", "tests.support.control", "tests.support.people"]

ROOT = Path(__file__).parent.parent
STACK = "the stack"
LONGEST = (
    "tests/integration/fleet",
    "tests/integration/control",
    "tests/system/test_survival.py",
    "tests/integration/people",
    STACK,
    "tests/system/test_takeover.py",
    "tests/system/test_fleet.py",
    "tests/system/test_window.py",
    "tests/system/test_chaos.py",
)
"""Begun first: what lasts minutes and begins last would leave the other workers idle."""
ON_THE_STACK = re.compile(r"def test_\w+\([^)]*\b(stack|member)\b")


class ByServers(LoadScopeScheduling):  # type: ignore[misc] # xdist is not typed
    """Those that share servers run one after another in one worker: a folder of integration tests, a system story,
    and all stories that are told on the one stack that they leave whole."""

    def _split_scope(self, nodeid: str) -> str:
        return _shares(nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return ByServers(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {share: number for number, share in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(_shares(item.nodeid.partition("::")[0]), len(LONGEST)))


@cache
def _shares(path: str) -> str:
    folder = path.rpartition("/")[0]
    if folder.startswith("tests/integration"):
        return folder
    if folder == "tests/system" and ON_THE_STACK.search((ROOT / path).read_text()):
        return STACK
    return path
