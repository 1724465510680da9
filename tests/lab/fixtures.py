"""For pytest: `pytest_plugins = ["lab.fixtures"]`, then ask for `world`."""

import re
import shutil
from collections.abc import Iterator

import pytest

from . import paths
from .world import World

_WORLD = pytest.StashKey[World]()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world of the test's own, gone at its end. When the test fails, the evidence is kept and its place is printed."""
    made = World()
    made.open()
    request.node.stash[_WORLD] = made
    try:
        yield made
    finally:
        made.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = yield
    world = item.stash.get(_WORLD, None)
    if world is not None and report.failed and call.when in ("setup", "call"):
        directory = paths.cache() / "failures" / re.sub(r"[^\w.-]+", "_", item.nodeid)
        shutil.rmtree(directory, ignore_errors=True)
        world.save_evidence(directory)
        report.sections.append(("lab", f"console, journal and request logs: {directory}"))
    return report
