"""One cgroup per world holds every process of it, so that ending a world ends exactly what it started."""

import os
from pathlib import Path

from .deadline import wait_for

NAME = "bootagent-lab"


def _mounts(kind: str) -> list[tuple[str, str]]:
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        filesystem, _, options = after.split(" ", 2)
        if filesystem == kind:
            found.append((before.split(" ")[4], options))
    return found


def unified() -> Path:
    """The cgroup2 hierarchy: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid host."""
    mounts = _mounts("cgroup2")
    if not mounts:
        raise RuntimeError("no cgroup2 hierarchy is mounted on this host; the lab needs one (kernel 5.14 or later)")
    return Path(mounts[0][0])


def create(*path: str) -> Path:
    group = unified().joinpath(NAME, *path)
    group.mkdir(parents=True, exist_ok=True)
    return group


def kill(group: Path, timeout: float = 20) -> None:
    """End every process in the group and below it, and wait until they are gone."""
    if not group.exists():
        return
    (group / "cgroup.kill").write_text("1")
    wait_for(f"the processes in {group} to end", lambda: not populated(group), timeout, every=0.01)


def populated(group: Path) -> bool:
    try:
        return "populated 1" in (group / "cgroup.events").read_text()
    except FileNotFoundError:
        return False


def remove(*path: str) -> None:
    """Remove the (empty) group, and the one of the same name that nspawn makes in the v1 systemd hierarchy."""
    roots = [unified()] + [Path(at) for at, options in _mounts("cgroup") if "name=systemd" in options]
    for root in roots:
        top = root.joinpath(NAME, *path)
        for directory, _, _ in os.walk(top, topdown=False):
            _rmdir(directory)
        _rmdir(top.parent)  # the lab's own, when this was the last world


def _rmdir(directory: str | Path) -> None:
    try:
        os.rmdir(directory)
    except OSError:
        pass  # not there, or other worlds are in it
