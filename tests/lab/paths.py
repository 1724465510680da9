"""Where the lab keeps things: a cache that outlives runs, and a run directory that does not."""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent.parent

# Worlds live here, found by `lab gc` whichever checkout made them.
RUN = Path("/run/bootagent-lab")


def cache() -> Path:
    """Image, CA, venv and the evidence of failed tests."""
    return Path(os.environ.get("LAB_CACHE") or REPOSITORY / ".cache" / "lab").absolute()
