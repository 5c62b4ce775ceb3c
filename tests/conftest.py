"""Fixtures that every test may ask for, and which tests share a worker."""

from pathlib import Path

import pytest

pytest_plugins = ["tests.support.servers", "tests.support.control", "tests.support.people"]

ROOT = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share servers run one after another in one worker: a folder of integration tests, a system story,
    and all stories that are told on the one stack that they leave whole."""
    for item in items:
        place = item.path.relative_to(ROOT).parts
        group = "/".join(place[:2]) if place[0] != "unit" else place[0]
        if "stack" in getattr(item, "fixturenames", ()):
            group = "system/stack"
        item.add_marker(pytest.mark.xdist_group(group))
