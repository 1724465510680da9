"""`make bench`: the service of each case on the same kind of machine, booted by two bash scripts and by bootagent, in turns."""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import machines
import sample
import sealed
from lab import Machine, World, paths
from observed import (
    Memory,
    disk_used,
    journal_steps,
    tell_marks,
    tell_steps,
    user_data_times,
    wait_for_answer,
    wait_for_start,
)
from run import HALVES, Run, variants
from sample import CASES, Case
from table import report

BOOT_LIMIT = 300  # seconds; the slowest variant takes about fifty


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half", action="append", choices=HALVES, help="only this one")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("bench: must run as root: the lab makes network namespaces and mounts", file=sys.stderr)
        return 77
    if options.binary.name != "bootagent" or not options.binary.is_file():
        print(f"bench: there is no {options.binary}: build it, or set BOOTAGENT", file=sys.stderr)
        return 66
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an end by which worlds and images are removed
    cases = [CASES[name] for name in dict.fromkeys(options.case or CASES)]
    runs = measure(options.binary, cases, options.half or HALVES, options.rounds)
    print(f"\n{report(cases, runs)}\nbench: every run is in {save(runs)}")
    return 1 if any(run.failure for run in runs) else 0


def measure(binary: Path, cases: list[Case], halves: list[str], rounds: int) -> list[Run]:
    """Cases take turns within a round, too, so that they can be compared as the variants are."""
    print("bench: warming up: the images, the registries", flush=True)
    runs = []
    with sealed.Images(binary) as images:
        for case in cases:
            machines.warm(binary, case)
            boot(case, "installed", "floor", 0, binary, images)
            if "sealed" in case.halves(halves):
                images.make(case)
        for half in halves:
            for round in range(1, rounds + 1):
                for case in cases:
                    each = variants(half) if half in case.halves(halves) else []
                    runs += [boot_and_tell(case, half, variant, round, binary, images) for variant in each]
    return runs


def boot_and_tell(case: Case, half: str, variant: str, round: int, binary: Path, images: sealed.Images) -> Run:
    run = boot(case, half, variant, round, binary, images)
    told = f"FAILED: {run.failure}" if run.failure else f"{run.first_200:.2f} s to the first 200"
    print(f"bench: {case.name}, {half}, round {round}, {variant}: {told}", flush=True)
    return run


def boot(case: Case, half: str, variant: str, round: int, binary: Path, images: sealed.Images) -> Run:
    """One machine, from its launch to its end. The floor has the runtime in all halves: without it there is none."""
    run = Run(half, variant, round, case=case.name)
    try:
        with World() as world:
            sample.furnish(world, case)
            if half == "sealed":
                sealed.observe(run, world, images.launch(world, case, variant), case)
                return run
            floor = variant == "floor"
            files = case.machine(world) | (machines.floor(case) if floor else {})
            machine = machines.launch(world, case, half == "installed" or floor, case.script(variant), binary, files)
            observe(run, world, machine, case)
    except (RuntimeError, AssertionError) as error:
        run.failure = str(error).strip()
    return run


def observe(run: Run, world: World, machine: Machine, case: Case) -> None:
    since = wait_for_start(machine)
    cpu, disk = machine.cpu_seconds(), disk_used(world.disk)
    with Memory(machine, since, case.runtime) as memory:
        first_200 = wait_for_answer(machine, world.namespace.path, sample.PORT, "/health", BOOT_LIMIT)
        run.cpu = machine.cpu_seconds() - cpu
        done = machine.wait_for_cloud_init(BOOT_LIMIT)
    if done.user_data_code != 0:
        raise RuntimeError(f"it answered, but the user-data ended with {done.user_data_code}\n{done.output[-2000:]}")
    run.disk = disk_used(world.disk) - disk
    run.peaks = memory.peaks
    run.first_200 = run.own = first_200 - since
    _, ended = user_data_times(machine.read("/var/log/cloud-init.log"))
    run.returned = ended - since
    if run.variant == "bootagent":
        tell_steps(run, journal_steps(machine), since, first_200)
    else:
        tell_marks(run, done.output, since, first_200)


def save(runs: list[Run]) -> Path:
    directory = paths.REPOSITORY / ".cache" / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    file.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    return file


if __name__ == "__main__":
    sys.exit(main())
