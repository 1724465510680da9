"""`make bench`: the same service on the same kind of machine, booted by two bash scripts and by bootagent, in turns."""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import stage
from figures import durations
from lab import World, paths
from lab.git_repository import Files
from observed import Memory, Peaks, bash_marks, disk_used, journal_steps, user_data_times, wait_for_answer, wait_for_start
from table import report

BOOT_LIMIT = 300  # seconds; the slowest variant takes about fifty
VARIANTS = ["old", "tuned", "bootagent", "floor"]  # in this order, round after round
HALVES = ["installed", "bare"]


@dataclass
class Run:
    """Seconds are counted from the moment at which cloud-init starts the user-data."""

    half: str
    variant: str
    round: int
    failure: str = ""
    first_200: float = 0.0
    returned: float = 0.0  # the end of the user-data
    steps: dict[str, float] = field(default_factory=dict)
    after_200: float = 0.0  # of the agent's gate: its soak, while the service serves already
    peaks: Peaks = field(default_factory=Peaks)
    disk: int = 0


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
        print(f"bench: {options.binary} is not there: make static, or set BOOTAGENT", file=sys.stderr)
        return 66
    print("bench: warming up: the image, the registry", flush=True)
    stage.warm(options.binary)
    boot("installed", "floor", 0, options.binary)
    runs = []
    for half in options.half or HALVES:
        for round in range(1, options.rounds + 1):
            for variant in VARIANTS:
                run = boot(half, variant, round, options.binary)
                runs.append(run)
                told = f"FAILED: {run.failure}" if run.failure else f"{run.first_200:.2f} s to the first 200"
                print(f"bench: {half}, round {round}, {variant}: {told}", flush=True)
    text = report(runs, options.binary)
    print(f"\n{text}", end="")
    print(f"\nbench: every run is in {save(runs)}")
    return 1 if any(run.failure for run in runs) else 0


def boot(half: str, variant: str, round: int, binary: Path) -> Run:
    """One machine, from its launch to its end. The floor has Node in both halves: without it there is none."""
    run = Run(half, variant, round)
    (script,) = (stage.HERE / "user_data").glob(f"{variant}.*")
    installed = half == "installed" or variant == "floor"
    files: Files = {}
    if variant == "floor":
        files = {f"/opt/{stage.SERVICE}/{name}": content for name, content in stage.service().items()}
    try:
        with World() as world:
            stage.furnish(world)
            machine = stage.launch(world, installed, script.read_text(), binary, files)
            observe(run, world, machine)
    except (RuntimeError, AssertionError) as error:
        run.failure = str(error).strip()
    return run


def observe(run: Run, world: World, machine) -> None:
    since = wait_for_start(machine)
    disk = disk_used(world.disk)
    with Memory(machine, since) as memory:
        first_200 = wait_for_answer(machine, world.namespace.path, (world.instance.address, stage.PORT, "/health"), BOOT_LIMIT)
        done = machine.wait_for_cloud_init(BOOT_LIMIT)
    if done.user_data_code != 0:
        raise RuntimeError(f"the user-data ended with {done.user_data_code}\n{done.output[-2000:]}")
    run.disk = disk_used(world.disk) - disk
    run.peaks = memory.peaks
    run.first_200 = first_200 - since
    _, ended = user_data_times(machine.read("/var/log/cloud-init.log"))
    run.returned = (ended or time.time()) - since
    if run.variant == "bootagent":
        run.steps, run.after_200 = agent_steps(journal_steps(machine), since, first_200)
    else:
        marks = [(at, name) for at, name in bash_marks(done.output) if name != "done"]
        run.steps = durations([(max(at, since), name) for at, name in marks], first_200)


def agent_steps(steps: list[tuple[float, float, str]], since: float, first_200: float) -> tuple[dict[str, float], float]:
    for step in sorted(steps): print(f"   {step[0]-since:7.3f} {step[1]-since:7.3f} {step[2]}")
    return {}, 0.0


def save(runs: list[Run]) -> Path:
    directory = paths.REPOSITORY / ".cache" / "bench"
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    file.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    return file


if __name__ == "__main__":
    sys.exit(main())
