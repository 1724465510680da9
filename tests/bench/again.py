"""`make again`: what bootagent costs where nothing is to be done: runs again on a machine that serves, and reboots of it."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import machines
import sample
from cost import MEASURE
from figures import Spread, spread
from lab import Machine, World
from observed import monotonic
from sample import CASES, Case

# Milliseconds.
RUN_LIMIT, REBOOT_LIMIT = 50, 60
AGENT = "bootagent.service"
RUN = ["bootagent", "run", "--repository", "https://github.com/acme/{service}.git"]
# What changed on the disk since a moment, without the journal.
CHANGED = """find /etc /home /opt /root /srv /usr /var -newerct "@$1" -not -path '/var/log/*'"""


@dataclass
class Found:
    """Of one case; milliseconds, of each run or reboot one."""

    case: str
    wall: list[float] = field(default_factory=list)  # of a run
    own: list[float] = field(default_factory=list)  # processor time of its process and of the programs that it waited for
    written: list[str] = field(default_factory=list)  # paths that these runs changed on the disk
    reboot: list[float] = field(default_factory=list)  # processor time of bootagent.service in a boot
    whole: list[float] = field(default_factory=list)  # wall time of that unit, its soak included


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--case", action="append", choices=CASES, help="only this one")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--reboots", type=int, default=3)
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("again: must run as root: the lab makes network namespaces and mounts", file=sys.stderr)
        return 77
    for name in options.case or ("node", "python"):
        print(told(measure(options.binary, CASES[name], options.runs, options.reboots)), flush=True)
    return 0


def measure(binary: Path, case: Case, runs: int, reboots: int) -> Found:
    found = Found(case.name)
    with World() as world:
        sample.furnish(world, case)
        machine = world.launch(binary=binary, files=case.machine(world), layers=[machines.tools(case)])
        machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
        machine.check(RUN, timeout=300)
        # The first run again may still put something right; and it warms up.
        once(machine)
        since = machine.check(["date", "+%s.%N"]).strip()
        for _ in range(runs):
            done = once(machine)
            found.wall.append(done["wall"] * 1000)
            found.own.append(done["own"] * 1000)
        found.written = machine.check(["sh", "-c", CHANGED, "sh", since]).split()
        for _ in range(reboots):
            machine.reboot()
            machine.wait_for_boot()
            tell_reboot(found, machine)
    return found


def once(machine: Machine) -> dict:
    done = json.loads(machine.check(["python3", "-c", MEASURE, *RUN], timeout=120))
    if done["code"] != 0:
        raise RuntimeError(f"a run again ended with {done['code']}\n{done['said']}")
    return done


def tell_reboot(found: Found, machine: Machine) -> None:
    shown = machine.systemctl_show(AGENT)
    if (shown["ActiveState"], shown["Result"]) != ("active", "success"):
        raise RuntimeError(f"after a reboot {AGENT} is {shown['ActiveState']}, {shown['Result']}")
    found.reboot.append(int(shown["CPUUsageNSec"]) / 1e6)
    found.whole.append((monotonic(machine, "ExecMainExit", AGENT) - monotonic(machine, "ExecMainStart", AGENT)) * 1000)


def told(found: Found) -> str:
    lines = [f"{found.case}: {len(found.wall)} runs again and {len(found.reboot)} reboots, median (lowest-highest)"]
    if found.wall:
        lines.append(f"  a run again, wall            {shown(found.wall)}   {judged(found.wall, RUN_LIMIT)}")
        lines.append(f"  its processor time           {shown(found.own)}")
        lines.append(f"  paths that it wrote          {' '.join(found.written) or 'none'}")
    if found.reboot:
        lines.append(f"  a reboot, processor time     {shown(found.reboot)}   {judged(found.reboot, REBOOT_LIMIT)}")
        lines.append(f"  the agent's unit, with soak  {shown(found.whole)}")
    return "\n".join(lines) + "\n"


def judged(values: Sequence[float], limit: int) -> str:
    return f"at most {limit} ms: {'reached' if spread(values).median <= limit else 'NOT reached'}"


def shown(values: Sequence[float]) -> str:
    of: Spread = spread(values)
    return f"{of.median:.0f} ms ({of.low:.0f}-{of.high:.0f})"


if __name__ == "__main__":
    sys.exit(main())
