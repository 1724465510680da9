"""No room on a file system, in bytes or in inodes: a named failure, the good service untouched, and all is well once
there is room again."""

import pytest
from killed import fresh
from lab import Machine
from looks import SERVICE, ask, current, leftovers, process, secret, shared  # noqa: F401
from poller import Poller
from services import talking
from stage import assert_failed, run

pytestmark = pytest.mark.variants

RECORDS = "/var/lib/bootagent"
# A finished release is recorded by an empty file: what is about to be put to run is the first that does not fit.
LATE = (RECORDS, "bytes")
OPT, CACHE, RUN = "/opt", "/var/cache", "/run/bootagent"


def mount(machine: Machine, at: str, options: str) -> None:
    """A small file system of its own; what stood there is in it."""
    script = 'mkdir -p "$1" /mnt/was && cp -a "$1/." /mnt/was && mount -t tmpfs -o "$2" none "$1" && cp -a /mnt/was/. "$1"'
    machine.check(["sh", "-c", script + " && chmod 755 $1 && rm -rf /mnt/was", "sh", at, options])


def fill(machine: Machine, at: str, what: str) -> None:
    """Nothing more fits into the file system."""
    used = machine.check(["df", "--output=used,iused", "--block-size=1K", at]).split()[-2:]
    size = {"bytes": f"size={max(4, int(used[0]))}k", "inodes": f"nr_inodes={int(used[1])}"}[what]
    machine.check(["mount", "-o", f"remount,{size}", at])


def make_room(machine: Machine, at: str) -> None:
    machine.check(["mount", "-o", "remount,size=200m,nr_inodes=20000", at])


@pytest.mark.parametrize("what", ["bytes", "inodes"], scope="class")
@pytest.mark.parametrize("place", [RECORDS, CACHE, OPT, RUN], scope="class")
class TestNoRoom:
    """For each place a machine whose file system there is full at the first boot, and then at an update."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary, place, what):  # noqa: F811
        shared.repo(SERVICE).commit("test", talking(installs=True, note=f"first: {place}, {what}"))
        secret(shared, TOKEN="t")
        machine = fresh(shared, binary)
        mount(machine, place, "size=4m,nr_inodes=500")
        return machine

    def test_it_is_named_and_with_room_all_is_well(self, machine, place, what):
        fill(machine, place, what)
        failed = run(machine)
        named(machine, failed, place, 1)
        assert machine.systemctl_show(f"{SERVICE}.service")["ActiveState"] != "active"
        make_room(machine, place)
        again = run(machine)
        assert again.code == 0, again.stderr
        assert ask(machine, "env")["TOKEN"] == "t"
        assert leftovers(machine) == []

    def test_the_good_generation_serves_on(self, shared, machine, place, what):  # noqa: F811
        make_room(machine, place)
        first = run(machine)
        assert first.code == 0, first.stderr
        good, running = current(machine), process(machine)
        pushed = shared.repo(SERVICE).commit("test", {"note": f"update: {place}, {what}"})
        secret(shared, TOKEN="new")
        fill(machine, place, what)
        with Poller(machine) as poller:
            failed = machine.run(["bootagent", "run", "--update"], timeout=120)
        named(machine, failed, place, 2)
        assert current(machine) == good and ask(machine, "release").endswith(good)
        if (place, what) != LATE:
            assert process(machine) == running
            assert poller.asked and poller.failures == [], poller.failures
        make_room(machine, place)
        again = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert again.code == 0, again.stderr
        assert current(machine).startswith(pushed) and ask(machine, "env")["TOKEN"] == "new"
        assert leftovers(machine) == []


def named(machine: Machine, failed, place: str, exit: int) -> None:
    """The run tells which file system; so does the status, for which that of an earlier run gives way."""
    assert failed.code == exit and "E-DISK-FULL" in failed.stderr and place in failed.stderr, failed
    if place != RUN or exit == 2:
        assert_failed(machine, failed, exit, "E-DISK-FULL", place)
