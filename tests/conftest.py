"""For every test of the lab and of the binary: longest scopes first, how long each test took, which of them the shipped binary
runs too, and which of them `make test` runs a sample of.

`durations.tsv` has what a class, or a file's functions, took in some earlier run. Only the order depends on it: a line that
is missing or stale costs a little time.

With `$SWEEP=sample`, one in `ONE_IN` of the scopes that are marked `variants` runs, by `$SEED`; else all of them run."""

import os
from collections import defaultdict
from pathlib import Path

import pytest

DURATIONS = Path(__file__).with_name("durations.tsv")
ONE_IN = 4
_seconds: defaultdict[str, float] = defaultdict(float)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shipped: runs with the static binary as well, where that may differ from the one in the lab")
    config.addinivalue_line("markers", "variants: more cases of what other tests show; `make test` runs a sample of them")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest must not be what begins last. A scope that has no line yet comes first."""
    if os.environ.get("SWEEP") == "sample":
        leave(config, items, int(os.environ["SEED"]))
    if not hasattr(config, "workerinput"):
        return
    lines = (line.rsplit("\t", 1) for line in DURATIONS.read_text().splitlines())
    took = {scope: float(seconds) for scope, seconds in lines}
    items.sort(key=lambda item: -took.get(scope(item.nodeid), float("inf")))


def leave(config: pytest.Config, items: list[pytest.Item], seed: int) -> None:
    """Takes the variants out that are not in the sample of this seed."""
    variants = sorted({scope(item.nodeid) for item in items if item.get_closest_marker("variants")})
    left = set(variants) - set(variants[seed % ONE_IN :: ONE_IN])
    gone = [item for item in items if item.get_closest_marker("variants") and scope(item.nodeid) in left]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item in items if item not in gone]


def scope(nodeid: str) -> str:
    """What `--dist=loadscope` keeps on one worker."""
    return nodeid.rsplit("::", 1)[0]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In the file that $DURATIONS names: seconds and name of each test, added to those of other sessions."""
    told = os.environ.get("DURATIONS")
    if told and not hasattr(session.config, "workerinput"):
        with open(told, "a") as file:
            file.writelines(f"{seconds:.1f}\t{name}\n" for name, seconds in _seconds.items())
