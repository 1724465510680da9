"""Removes a world: called by its owner at the end, by its keeper if the owner died, or by `lab gc`.

What a world is made of is known from its id alone, so nothing needs to be recorded but who owns it."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from . import cgroup, paths
from .namespace import Namespace


def directory(world: str) -> Path:
    return paths.RUN / world


def namespace(world: str) -> Namespace:
    return Namespace(f"lab-{world}")


def own(world: str) -> None:
    """Claim the world for this process, before anything of it is made."""
    paths.RUN.mkdir(parents=True, exist_ok=True)
    unseen = Path(tempfile.mkdtemp(dir=paths.RUN, prefix="."))
    (unseen / "owner.json").write_text(json.dumps({"pid": os.getpid(), "started": _started(os.getpid())}))
    unseen.rename(directory(world))  # at once with its owner, or `lab gc` might take it for an orphan


def orphaned(world: str) -> bool:
    try:
        owner = json.loads((directory(world) / "owner.json").read_text())
    except (FileNotFoundError, ValueError):
        return True
    return _started(owner["pid"]) != owner["started"]


def remove(world: str) -> None:
    """End its processes, then take away its mounts, namespace, cgroups and files. May be called again, or twice at once."""
    with _lock(world):
        cgroup.kill(cgroup.unified() / cgroup.NAME / world)
        for mount in reversed(mounts_below(directory(world))):
            if subprocess.run(["umount", mount], capture_output=True, timeout=60).returncode != 0:
                subprocess.run(["umount", "--lazy", mount], capture_output=True, timeout=60)
        namespace(world).remove()
        cgroup.remove(world)
        if left := mounts_below(directory(world)):
            raise RuntimeError(f"still mounted: {', '.join(left)}")
        shutil.rmtree(directory(world), ignore_errors=True)


def orphans() -> list[str]:
    """The worlds whose owner is dead."""
    return sorted(filter(orphaned, _worlds()))


def living() -> list[str]:
    """The others."""
    return sorted(world for world in _worlds() if not orphaned(world))


def _worlds() -> list[str]:
    if not paths.RUN.exists():
        return []
    return [each.name for each in paths.RUN.iterdir() if each.is_dir() and not each.name.startswith(".")]


def mounts_below(path: Path) -> list[str]:
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if Path(point).is_relative_to(path)]


@contextmanager
def _lock(world: str):
    paths.RUN.mkdir(parents=True, exist_ok=True)
    path = paths.RUN / f"{world}.lock"
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        path.unlink(missing_ok=True)


def _started(pid: int) -> str | None:
    """When the process started: with its pid, who it is, even after the pid is used again."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # gone, or going while it is read
        return None
    return None if fields[0] == "Z" else fields[19]
