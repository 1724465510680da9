"""`make bench`: the same service on the same kind of machine, booted by two bash scripts and by bootagent, in turns."""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import machines
import sample
from figures import durations, timeline
from lab import Machine, World, paths
from lab.git_repository import Files
from observed import Memory, bash_marks, disk_used, journal_steps, user_data_times, wait_for_answer, wait_for_start
from run import HALVES, VARIANTS, Run
from table import report

BOOT_LIMIT = 300  # seconds; the slowest variant takes about fifty
# The agent's steps as a script would call them; all else is `look` or `start`.
ROWS = {"runtime": "packages", "packages": "packages", "checkout": "source", "install": "install"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half", action="append", choices=HALVES, help="only this one")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: must run as root: the lab makes network namespaces and mounts", file=sys.stderr)
        return 77
    if options.binary.name != "bootagent" or not options.binary.is_file():
        print(f"bench: there is no {options.binary}: build it, or set BOOTAGENT", file=sys.stderr)
        return 66
    runs = measure(options.binary, options.half or HALVES, options.rounds)
    print(f"\n{report(runs)}\nbench: every run is in {save(runs)}")
    return 1 if any(run.failure for run in runs) else 0


def measure(binary: Path, halves: list[str], rounds: int) -> list[Run]:
    print("bench: warming up: the image, the registry", flush=True)
    machines.warm(binary)
    boot("installed", "floor", 0, binary)
    runs = []
    for half in halves:
        for round in range(1, rounds + 1):
            for variant in VARIANTS:
                run = boot(half, variant, round, binary)
                runs.append(run)
                told = f"FAILED: {run.failure}" if run.failure else f"{run.first_200:.2f} s to the first 200"
                print(f"bench: {half}, round {round}, {variant}: {told}", flush=True)
    return runs


def boot(half: str, variant: str, round: int, binary: Path) -> Run:
    """One machine, from its launch to its end. The floor has Node in both halves: without it there is none."""
    run = Run(half, variant, round)
    (script,) = (sample.HERE / "user_data").glob(f"{variant}.*")
    installed = half == "installed" or variant == "floor"
    files: Files = {}
    if variant == "floor":
        files = {f"/opt/{sample.SERVICE}/{name}": content for name, content in sample.service().items()}
    try:
        with World() as world:
            sample.furnish(world)
            machine = machines.launch(world, installed, script.read_text(), binary, files)
            observe(run, world, machine)
    except (RuntimeError, AssertionError) as error:
        run.failure = str(error).strip()
    return run


def observe(run: Run, world: World, machine: Machine) -> None:
    since = wait_for_start(machine)
    cpu, disk = machine.cpu_seconds(), disk_used(world.disk)
    with Memory(machine, since) as memory:
        first_200 = wait_for_answer(machine, world.namespace.path, sample.PORT, "/health", BOOT_LIMIT)
        run.cpu = machine.cpu_seconds() - cpu
        done = machine.wait_for_cloud_init(BOOT_LIMIT)
    if done.user_data_code != 0:
        raise RuntimeError(f"it answered, but the user-data ended with {done.user_data_code}\n{done.output[-2000:]}")
    run.disk = disk_used(world.disk) - disk
    run.peaks = memory.peaks
    run.first_200 = first_200 - since
    _, ended = user_data_times(machine.read("/var/log/cloud-init.log"))
    run.returned = ended - since
    if run.variant == "bootagent":
        steps = journal_steps(machine)
        run.steps = agent_steps(steps, since, first_200)
        (gate,) = [(begin, end) for begin, end, name in steps if name == "health-check"]
        run.gate, run.soak = gate[1] - gate[0], gate[1] - first_200
    else:
        marks = [(max(at, since), name) for at, name in bash_marks(done.output) if name != "done"]
        run.steps = durations(marks, first_200)


def agent_steps(steps: list[tuple[float, float, str]], since: float, first_200: float) -> dict[str, float]:
    """The agent's many steps as the few that a script has: from the end of the installation on, all is `start`."""
    rows = [(begin, end, ROWS[name]) for begin, end, name in steps if name in ROWS]
    return durations(timeline(rows, since, between="look", after="start"), first_200)


def save(runs: list[Run]) -> Path:
    directory = paths.REPOSITORY / ".cache" / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    file.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    return file


if __name__ == "__main__":
    sys.exit(main())
