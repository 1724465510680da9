"""What docs/explanation/cost.md promises of the binary that is shipped: memory in a boot, and what a run costs that finds all
as it should be. Processor time, and not wall time: a busy host changes it least."""

import json
from statistics import median

import looks
import pytest
from services import talking
from stage import REPOSITORY


pytestmark = pytest.mark.shipped

# In bytes: the other binary of the tests, which is not optimized, has several times as many and gets several times as much.
LARGEST_SHIPPED = 16 << 20

# In the guest: a run; the high-water mark of its own process, read until it ends, in MiB; and what its process and the programs
# that it waited for used of the processor, in milliseconds.
MEASURED = """\
import json, re, resource, subprocess, sys, time
started = time.monotonic()
run = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
peak = 0
while run.poll() is None:
    with open(f"/proc/{run.pid}/status") as status:
        found = re.search(r"VmHWM:\\s+(\\d+) kB", status.read())
    peak = int(found[1]) / 1024 if found else peak
    time.sleep(0.005)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"code": run.returncode, "said": run.stderr.read(), "peak": peak, "wall": time.monotonic() - started,
                  "processor": 1000 * (used.ru_utime + used.ru_stime)}))
"""


def measured(machine, *flags: str) -> dict:
    said = json.loads(machine.check(["python3", "-c", MEASURED, "/usr/local/bin/bootagent", "run", "--repository", REPOSITORY, *flags]))
    assert said["code"] == 0, said["said"]
    return said


class TestLimits:
    @pytest.fixture
    def machine(self, world, binary):
        world.tags = {"bootagent:service": looks.SERVICE, "bootagent:environment": "test"}
        world.repo(looks.SERVICE).commit("test", talking())
        looks.secret(world, TOKEN="t")
        return world.launch(binary=binary)

    @pytest.fixture
    def allowance(self, binary) -> int:
        return 1 if binary.stat().st_size < LARGEST_SHIPPED else 4

    def test_a_boot_stays_below_20_mib(self, machine, allowance):
        first = measured(machine)
        assert 0 < first["peak"] <= 20 * allowance, first

    def test_a_run_that_finds_all_as_it_should_be_costs_little(self, machine, allowance):
        """With the programs that it asks. Beside other tests it takes half as much again as on an idle host."""
        measured(machine)
        again = [measured(machine) for _ in range(7)]
        print([(round(one["wall"], 3), round(one["processor"])) for one in again])
        assert median(one["processor"] for one in again) <= 250 * allowance, again
