"""Which points of a long sweep a run looks at: every third one in `make test`, all of them in `make test-long`.

`$SEED` says where the sample begins (a number; without one, the commit's own, so that it moves from commit to commit). The same
seed takes the same points."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

EVERY = 3


def seed() -> int:
    said = os.environ.get("SEED")
    if said is not None:
        return int(said)
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return int(asked.stdout[:8], 16)


def sample(points: Sequence) -> list:
    """Some of the points, spread over all of them; with `$SWEEP=whole` all."""
    if os.environ.get("SWEEP") == "whole":
        return list(points)
    return list(points[seed() % EVERY :: EVERY])
