"""Every wait in the lab has an end, and says what it waited for."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlineExceeded(AssertionError):
    """A wait that ended without what it waited for. An assertion, so that pytest counts it as a failed test."""


def wait_for(
    what: str,
    probe: Callable[[], T],
    timeout: float,
    every: float = 0.05,
    evidence: Callable[[], str] = lambda: "",
) -> T:
    """The first true answer of `probe`, or DeadlineExceeded with `what` and the evidence."""
    end = time.monotonic() + timeout
    while True:
        if answer := probe():
            return answer
        if time.monotonic() >= end:
            shown = evidence()
            raise DeadlineExceeded(f"waited {timeout:g} s for {what}" + (f"\n{shown}" if shown else ""))
        time.sleep(every)
