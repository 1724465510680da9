"""Which points of a long sweep a run looks at: some of them in `make test`, all of them in `make test-long`.

`$SEED` says where the sample begins (a number; without one, the commit's own, so that it moves from commit to commit). The same
seed takes the same points."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

EVERY = 5


def is_whole() -> bool:
    return os.environ.get("SWEEP") == "whole"


def seed() -> int:
    said = os.environ.get("SEED")
    if said is not None:
        return int(said)
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return int(asked.stdout[:8], 16)


def sample(points: Sequence, every: int = EVERY) -> list:
    """Some of the points, spread over all of them; with `$SWEEP=whole` all."""
    if is_whole():
        return list(points)
    return list(points[seed() % every :: every])


def told(taken: Sequence, wrong: Sequence[str]) -> str:
    """For the message of a failed sweep: what was wrong, and how to take the same points again."""
    again = "SWEEP=whole" if is_whole() else f"SEED={seed()}"
    return "\n".join([f"{again} takes these points: {', '.join(map(str, taken))}", *wrong])
