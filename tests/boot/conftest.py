"""For boot tests: `world`, `binary`, `boot`, which launches a machine and runs bootagent in it, and `stage`."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from lab import Machine, Result, World  # noqa: E402
from lab.fixtures import _WORLD, pytest_runtest_makereport, world  # noqa: E402, F401
from stage import REPOSITORY, Stage, run  # noqa: E402


@pytest.fixture(scope="session")
def binary() -> Path:
    """The program under test: $BOOTAGENT, else what `make build` makes."""
    target = os.environ.get("CARGO_TARGET_DIR", TESTS.parent / "target")
    made = Path(os.environ.get("BOOTAGENT", f"{target}/debug/bootagent"))
    assert made.is_file(), f"{made} is not there: make build"
    return made


@pytest.fixture
def boot(binary):
    """boot(world, *flags) launches an instance and runs bootagent in it: the machine and the run's result.

    `files` are put on its disk before it boots. With `cloud_init` the run is the instance's user-data, and the
    result has cloud-init's output as its stderr."""

    def boot(world: World, *flags: str, files=None, cloud_init: bool = False) -> tuple[Machine, Result]:
        if cloud_init:
            line = f"#!/bin/sh\nexec bootagent run --repository '{REPOSITORY}' {' '.join(flags)}\n"
            machine = world.launch(user_data=line, files=files, binary=binary)
            done = machine.wait_for_cloud_init()
            return machine, Result(done.user_data_code, "", done.output)
        machine = world.launch(files=files, binary=binary)
        return machine, run(machine, *flags)

    return boot


@pytest.fixture(scope="module")
def _standing(binary) -> Iterator[Stage]:
    with World() as world:
        yield Stage(world, binary)


@pytest.fixture
def stage(request: pytest.FixtureRequest, _standing: Stage) -> Iterator[Stage]:
    """A machine that all tests of a file share, in a world where all is well when each of them begins."""
    request.node.stash[_WORLD] = _standing.world
    yield _standing
    _standing.heal()
