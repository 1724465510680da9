"""Kills the agent before its Nth call of a kind takes effect, for every kind of call by which it changes the disk: what it
writes takes effect by a rename, its status before each change."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lab import Machine, Result, World

# strace counts each of them by itself, and for each thread by itself.
CALLS = (
    "renameat", "renameat2", "mkdirat", "fchown", "fchownat", "fchmod", "fchmodat", "linkat", "symlinkat", "unlinkat"
)  # fmt: skip
KILLED = -9
TRACE = "/root/points"
# Stands for the commit in the paths of points.
COMMIT = "COMMIT"


class Point(NamedTuple):
    """Before the agent's call number `number` of this kind takes effect; with `path` number so many of those that name it, or
    work in what is open under it. Status and heartbeats are as many as time wants, and are not counted with the rest."""

    call: str
    number: int
    path: str = ""

    def __str__(self) -> str:
        return f"{self.call} {self.number} of {self.path or 'all'}"


def run(machine: Machine, *flags: str, at: Point, paths: Sequence[str] = (), commit: str = "") -> Result:
    """A run that is killed at this point, if it comes to that; `commit` is the one that it brings. With `paths` calls count
    that name one of them, or a directory that is open under that path, in whichever of the run's threads."""
    inject = f"--inject={at.call}:signal=SIGKILL:when={at.number}"
    limited = _limited(paths) if paths else [f"--trace-path={at.path.replace(COMMIT, commit)}"] if at.path else []
    strace = ["strace", "--output=/dev/null", f"--trace={at.call}", inject, *limited]
    return machine.run([*strace, "bootagent", "run", *flags], timeout=120)


def points(machine: Machine, *flags: str, of: str = "", commit: str = "") -> tuple[Result, list[Point]]:
    """An undisturbed run, and before which calls of its main thread a kill leaves different machines: all that change
    anything and are not the status's; of those the first one of each kind, and the renames between which and the one before
    something happened, but for the last ones. With `of` only those from the first one whose file or directory has that word
    to a little after the last one. `commit` is the one that the run brings: another run has another one in its paths."""
    result, lines = _traced(machine, ["--trace=clone,clone3,vfork," + ",".join(CALLS)], flags)
    found, named, numbers, seen, happened = [], [], Counter(), set(), True
    for line in lines:
        call = line.partition("(")[0]
        if call not in CALLS:
            happened = happened or bool(re.match("[a-z]", line))
            continue
        strings, paths = re.findall(r'"([^"]*)"', line), re.findall(r"\d<([^>]*)>", line)
        numbers.update((call, subject) for subject in {*strings, *paths})
        if not re.search(r"= 0$", line):
            continue
        # A pack has another name in each run: there its directory tells.
        told = [name.replace(commit, COMMIT) if commit else name for name in paths + strings]
        place = max(at for at, name in enumerate(told) if not re.search("[0-9a-f]{40}", name) or not commit)
        point = Point(call, numbers[call, (paths + strings)[place]], told[place])
        of_status = "status.json" in line or "output.json" in line
        if not of_status or call not in seen or (happened and call.startswith("renameat")):
            found.append(point)
            named.append(of in line)
        if of_status:
            seen.add(call)
            happened = happened and not call.startswith("renameat")
        else:
            happened = True
    last = max((number for number, point in enumerate(found) if "status.json" not in point.path), default=0)
    found, named = found[: last + 1], named[: last + 1]
    return result, found[named.index(True) : len(named) - named[::-1].index(True) + 3]


def points_of(machine: Machine, *flags: str, paths: Sequence[str]) -> tuple[Result, list[Point]]:
    """The same of all threads, where they name one of the paths, or work in a directory that is open under it. Each of them
    counts by itself, so there is none where several make calls of one kind."""
    result, lines = _traced(machine, ["--trace=" + ",".join(CALLS), *_limited(paths)], flags)
    found, numbers, threads = [], Counter(), defaultdict(set)
    for thread, line in (line.split(maxsplit=1) for line in lines):
        call = line.partition("(")[0]
        if call in CALLS:
            numbers[thread, call] += 1
            threads[call].add(thread)
            if re.search(r"= 0$", line):
                found.append(Point(call, numbers[thread, call]))
    return result, [point for point in found if len(threads[point.call]) == 1]


def _limited(paths: Sequence[str]) -> list[str]:
    return ["--follow-forks", *(f"--trace-path={path}" for path in paths)] if paths else []


def _traced(machine: Machine, options: list[str], flags: Sequence[str]) -> tuple[Result, list[str]]:
    strace = ["strace", f"--output={TRACE}", "--decode-fds=path", "--signal=none", *options]
    result = machine.run([*strace, "bootagent", "run", *flags], timeout=120)
    lines = machine.read(TRACE).splitlines()
    machine.check(["rm", TRACE])
    return result, lines


def fresh(world: World, binary: Path, **options) -> Machine:
    """One fresh machine after the other, the last one gone."""
    for machine in world.machines:
        machine.kill()
    return world.launch(binary=binary, **options)


_WIPE = """
systemctl stop 'bootagent-*' {service}.service bootagent.service
rm -rf /opt/{service} /opt/bootagent /var/lib/{service} /var/lib/bootagent /var/cache/bootagent /run/bootagent
rm -rf /etc/systemd/system/{service}.service /etc/systemd/system/bootagent.service
rm -rf /etc/systemd/system/multi-user.target.wants/bootagent.service
find /etc/systemd /opt /var/lib /var/cache /run -xdev -name '.*.bootagent' -prune -exec rm -rf {{}} +
for user in {service} {service}-build; do userdel $user; groupdel $user; done
systemctl daemon-reload
systemctl reset-failed {service}.service bootagent.service
exit 0
"""


def wipe(machine: Machine, service: str) -> None:
    """Takes away all that runs may have put on the machine, half or whole."""
    machine.check(["sh", "-c", _WIPE.format(service=service)], timeout=120)


def differences(undisturbed: dict[str, str], disturbed: dict[str, str]) -> list[str]:
    names = sorted(undisturbed.keys() | disturbed.keys())
    pairs = [(name, undisturbed.get(name, "absent"), disturbed.get(name, "absent")) for name in names]
    return [f"{name}: {is_}, not {was}" for name, was, is_ in pairs if is_ != was]
