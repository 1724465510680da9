"""The half `sealed`: bootagent and the floor start from images that have all that the service needs, made once for each case."""

import shutil
import tempfile
from pathlib import Path

import machines
import registries
import sample
from lab import Disk, Machine, World, paths
from observed import (
    Memory,
    disk_used,
    headline,
    journal_steps,
    monotonic,
    tell_marks,
    tell_steps,
    user_data_times,
    wait_for_answer,
)
from run import DELTA, Run
from sample import BRANCH, SERVICE, Case

BAKE_LIMIT = 300  # seconds, of a bake and of the floor's installation
BASH_LIMIT, IMAGE_LIMIT = 300, 180  # to the first 200, and from there to the end of the boot
AGENT, FLOOR = "bootagent.service", f"{SERVICE}.service"
REPOSITORY = "https://github.com/acme/{service}.git"


class Images:
    """What the builders left on their disks, in a directory that is gone at the end of `with`."""

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self._directory = Path()
        self._made: dict[tuple[str, str], Disk] = {}

    def __enter__(self) -> "Images":
        paths.cache().mkdir(parents=True, exist_ok=True)
        self._directory = Path(tempfile.mkdtemp(dir=paths.cache(), prefix="bench-"))
        return self

    def __exit__(self, *_) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def make(self, case: Case) -> None:
        for kind, build in (("baked", bake), ("floor", install)):
            with World() as world:
                sample.furnish(world, case)
                machine = build(world, case, self._binary)
                machine.power_off()
                self._made[case.name, kind] = Disk.of(machine, self._directory / f"{case.name}-{kind}")

    def launch(self, world: World, case: Case, variant: str) -> Machine:
        """cloud-init runs on all of them; on those of an image it has no user-data."""
        if variant in ("old", "tuned"):
            return machines.launch(world, case, True, case.script(variant), self._binary, case.machine(world))
        case.machine(world)  # what the registries have
        if variant == DELTA:
            sample.change(world, case)
        return world.launch(disk_of=self._made[case.name, "floor" if variant == "floor" else "baked"], cloud_init=True)


def bake(world: World, case: Case, binary: Path) -> Machine:
    files = case.machine(world)
    files[registries.POLICY] = f'repository = "{REPOSITORY}"\n{files.get(registries.POLICY, "")}'
    machine = world.launch(binary=binary, files=files, layers=[machines.tools(case)], cloud_init=True)
    machine.wait_for_cloud_init()
    machine.check(["bootagent", "bake", "--service", SERVICE, "--environment", BRANCH], timeout=BAKE_LIMIT)
    machine.check(["bootagent", "seal"], timeout=BAKE_LIMIT)
    return machine


def install(world: World, case: Case, binary: Path) -> Machine:
    """The floor's script once, and a unit that starts the service."""
    files = case.machine(world) | machines.floor(case) | {f"/etc/systemd/system/{FLOOR}": case.unit()}
    machine = machines.launch(world, case, True, case.script("floor"), binary, files)
    done = machine.wait_for_cloud_init(BAKE_LIMIT)
    if done.user_data_code != 0:
        raise RuntimeError(f"the floor's image cannot be made\n{done.output[-2000:]}")
    machine.check(["systemctl", "enable", FLOOR])
    machine.check(["truncate", "--size=0", "/etc/machine-id"])  # as in each image
    return machine


def observe(run: Run, world: World, machine: Machine, case: Case) -> None:
    """By one clock for all variants, which starts with systemd: a script's waiting for cloud-init is a part of its time, and
    `own` is what remains without it."""
    bash = run.variant in ("old", "tuned")
    limit, disk = BASH_LIMIT if bash else IMAGE_LIMIT, disk_used(world.disk)
    with Memory(machine, 0.0, case.runtime) as memory:
        try:
            first_200 = wait_for_answer(machine, world.namespace.path, sample.PORT, "/health", limit)
        except RuntimeError as error:
            raise RuntimeError(f"{error}: {last_words(machine)}") from None
        run.cpu = machine.cpu_seconds()
        done = machine.wait_for_cloud_init(limit)
        machine.wait_for_boot(limit)
    if bash and done.user_data_code != 0:
        raise RuntimeError(f"it answered, but the user-data ended with {done.user_data_code}\n{done.output[-2000:]}")
    run.disk = disk_used(world.disk) - disk
    run.peaks = memory.peaks
    since = monotonic(machine, "Userspace")
    began, ended = script_times(machine) if bash else unit_times(machine, FLOOR if run.variant == "floor" else AGENT)
    run.first_200, run.own = first_200 - since, first_200 - began
    run.returned = ended - since if ended else 0.0
    if bash:
        tell_marks(run, done.output, began, first_200)
    elif run.variant == "floor":
        run.steps = {"start": run.own}
    else:
        tell_steps(run, [step for step in journal_steps(machine) if step[0] >= since], began, first_200)
    run.steps["machine"] = began - since


def script_times(machine: Machine) -> tuple[float, float]:
    began, ended = user_data_times(machine.read("/var/log/cloud-init.log"))
    if began is None or ended is None:
        raise RuntimeError("cloud-init's log does not say when it ran the user-data")
    return began, ended


def unit_times(machine: Machine, unit: str) -> tuple[float, float]:
    """When its process was started and when it ended: 0 as long as it runs."""
    result = machine.systemctl_show(unit)["Result"]
    if result != "success":
        raise RuntimeError(f"it answered, but {unit} ended with {result}: {last_words(machine)}")
    return monotonic(machine, "ExecMainStart", unit), monotonic(machine, "ExecMainExit", unit)


def last_words(machine: Machine) -> str:
    said = machine.run(["journalctl", "--boot", "--output=cat", f"--unit={AGENT}", f"--unit={FLOOR}", "--lines=30"]).stdout
    return headline(said.splitlines())
