"""Kills the agent at its Nth rename: everything it writes takes effect by one, its status before and after each step."""

import re
from pathlib import Path

from lab import Machine, Result, World

RENAME = "renameat"
KILLED = -9


def run(machine: Machine, *flags: str, at: int) -> Result:
    """A run that is killed before its rename number `at` takes effect, if it comes to that."""
    inject = f"--inject={RENAME}:signal=SIGKILL:when={at}"
    strace = ["strace", "--output=/dev/null", f"--trace={RENAME}", inject]
    return machine.run([*strace, "bootagent", "run", *flags], timeout=120)


def run_to_rename(machine: Machine, *flags: str, into: str) -> Result:
    """A run that is killed before its first rename into that directory takes effect, whichever of its threads does it."""
    inject = f"--inject={RENAME}:signal=SIGKILL:when=1"
    strace = ["strace", "--follow-forks", "--output=/dev/null", f"--trace-path={into}", f"--trace={RENAME}", inject]
    return machine.run([*strace, "bootagent", "run", *flags], timeout=120)


def points(machine: Machine, *flags: str, of: str = "") -> tuple[Result, list[int]]:
    """A run that nobody disturbs, and before which renames a kill leaves different machines: all that are not the
    status's, and those of the status between which and the one before it something happened. With `of` only those from
    the first one whose file or directory has that word to a little after the last one."""
    watched = f"--trace={RENAME},mkdirat,clone,clone3,vfork"
    strace = ["strace", "--output=/root/points", "--decode-fds=path", watched]
    result = machine.run([*strace, "bootagent", "run", *flags], timeout=120)
    found, number, happened, named = [], 0, True, []
    for line in machine.read("/root/points").splitlines():
        if not line.startswith(RENAME):
            happened = happened or bool(re.match("[a-z]", line))
            continue
        number += 1
        of_status = '"status.json"' in line or '"output.json"' in line
        if happened or not of_status:
            found.append(number)
            named.append(of in line)
        happened = not of_status
    machine.check(["rm", "/root/points"])
    return result, found[named.index(True) : len(named) - named[::-1].index(True) + 3]


def fresh(world: World, binary: Path, **options) -> Machine:
    """One fresh machine after the other, the last one gone."""
    for machine in world.machines:
        machine.kill()
    return world.launch(binary=binary, **options)


def differences(undisturbed: dict[str, str], disturbed: dict[str, str]) -> list[str]:
    names = sorted(undisturbed.keys() | disturbed.keys())
    pairs = [(name, undisturbed.get(name, "absent"), disturbed.get(name, "absent")) for name in names]
    return [f"{name}: {is_}, not {was}" for name, was, is_ in pairs if is_ != was]
