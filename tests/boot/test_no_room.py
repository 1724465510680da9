"""No room on a file system, in bytes or in inodes: a named failure, the good service untouched, and all is well once
there is room again."""

import pytest
from lab import Machine
from looks import SERVICE, ask, current, leftovers, process, secret, status
from poller import Poller
from services import talking
from stage import assert_failed, run

RECORDS = "/var/lib/bootagent"
LATE = (RECORDS, "bytes")  # a finished release is recorded by an empty file
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


@pytest.fixture
def stage(world):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", talking())
    secret(world, TOKEN="t")
    return world


@pytest.mark.parametrize("what", ["bytes", "inodes"])
@pytest.mark.parametrize("place", [RECORDS, CACHE, OPT, RUN])
class TestFirstBoot:
    def test_it_is_named_and_with_room_all_is_well(self, stage, binary, place, what):
        machine = stage.launch(binary=binary)
        mount(machine, place, "size=4m,nr_inodes=500")
        fill(machine, place, what)
        failed = run(machine)
        named(machine, failed, place)
        assert machine.systemctl_show(f"{SERVICE}.service")["ActiveState"] != "active"
        make_room(machine, place)
        again = run(machine)
        assert again.code == 0, again.stderr
        assert ask(machine, "env")["TOKEN"] == "t"
        assert leftovers(machine) == []


@pytest.mark.parametrize(
    ("place", "what"),
    [(place, what) for place in (RECORDS, CACHE, OPT, RUN) for what in ("bytes", "inodes") if (place, what) != LATE],
)
class TestUpdate:
    def test_the_good_generation_serves_on(self, stage, binary, place, what):
        machine = stage.launch(binary=binary)
        mount(machine, place, "size=200m,nr_inodes=20000")
        first = run(machine)
        assert first.code == 0, first.stderr
        good, running = current(machine), process(machine)
        pushed = stage.repo(SERVICE).commit("test", {"note": "new"})
        secret(stage, TOKEN="new")
        fill(machine, place, what)
        with Poller(machine) as poller:
            failed = machine.run(["bootagent", "run", "--update"], timeout=120)
        named(machine, failed, place)
        assert (current(machine), process(machine)) == (good, running)
        assert poller.asked and poller.failures == [], poller.failures
        make_room(machine, place)
        again = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert again.code == 0, again.stderr
        assert current(machine).startswith(pushed) and ask(machine, "env")["TOKEN"] == "new"
        assert leftovers(machine) == []


def test_what_nobody_can_record_is_not_put_to_run(stage, binary):
    machine = stage.launch(binary=binary)
    mount(machine, RECORDS, "size=200m,nr_inodes=20000")
    assert run(machine).code == 0
    before = current(machine)
    pushed = stage.repo(SERVICE).commit("test", {"note": "new"})
    fill(machine, *LATE)
    failed = machine.run(["bootagent", "run", "--update"], timeout=120)
    named(machine, failed, RECORDS)
    assert current(machine) == before and ask(machine, "release").endswith(before)
    make_room(machine, RECORDS)
    again = machine.run(["bootagent", "run", "--update"], timeout=120)
    assert again.code == 0, again.stderr
    assert current(machine).startswith(pushed)
    assert leftovers(machine) == []


def named(machine: Machine, failed, place: str) -> None:
    """The run tells which file system; so does the status, if there is room for it."""
    assert failed.code == 1 and "E-DISK-FULL" in failed.stderr and place in failed.stderr, failed
    if place != RUN:
        assert_failed(machine, failed, 1, "E-DISK-FULL", place)
