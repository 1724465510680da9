"""For tests of the installer without a machine: the program, a Node with its npm, and a place that outlives the run."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "boot")]

from lab import image, paths  # noqa: E402


@pytest.fixture(scope="session")
def binary() -> Path:
    """The program under test: $BOOTAGENT, else what `make build` makes."""
    target = os.environ.get("CARGO_TARGET_DIR", paths.REPOSITORY / "target")
    made = Path(os.environ.get("BOOTAGENT", f"{target}/debug/bootagent"))
    assert made.is_file(), f"{made} is not there: make build"
    return made


@pytest.fixture(scope="session")
def nodes() -> list[Path]:
    """Those of the lab's image, each with its npm."""
    return [image.ensure() / f"usr/local/lib/nodejs/node-v{version}" for version in image.NODE]


@pytest.fixture(scope="session")
def node(nodes) -> Path:
    return nodes[0]


@pytest.fixture(scope="session")
def work() -> Path:
    """Packages of npm's registry, and a certificate."""
    made = paths.cache() / "installer"
    made.mkdir(parents=True, exist_ok=True)
    return made
