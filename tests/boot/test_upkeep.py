"""The machine's swap file and the journal's limit. A container's systemd has no swap units, so that the kernel's part of it is
not seen here: the file is made, and the run says that it is not used."""

import pytest
from lab import World
from looks import SERVICE, status
from services import talking
from stage import POLICY, run, serving

STATE = "/var/lib/bootagent"
SWAP = f"{STATE}/swap"
UNIT = "/etc/systemd/system/var-lib-bootagent-swap.swap"
LIMIT = "/etc/systemd/journald.conf.d/bootagent.conf"


@pytest.fixture(scope="module")
def machine(binary):
    with World() as world:
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        machine = serving(world, binary, talking())
        yield world, machine


def with_policy(machine, text: str):
    machine.check(["install", "-D", "-m", "644", "/dev/stdin", POLICY], stdin=text)
    return run(machine)


def test_a_disk_that_takes_no_swap_file_is_a_warning(machine):
    _, machine = machine
    done = with_policy(machine, '[swap]\nsize = "64M"\n')
    assert done.code == 0 and "E-SWAP" in done.stderr and "neither on ext4 nor on XFS" in done.stderr, done.stderr
    assert status(machine)[1]["state"] == "warnings"
    assert not machine.exists(SWAP)
    assert machine.run(["sh", "-c", f"ls -A {STATE} | grep swap"]).stdout == "", "an unfinished file is left"


def test_a_file_is_made_once_and_removed_with_the_policy_s_key(machine):
    world, machine = machine
    volume = world.volume("1536M")
    volume.run("mkfs.ext4", "-q", "{}")
    volume.attach(machine)
    # What is on the disk stays visible: only the swap file goes to the other one.
    machine.check(["sh", "-c", f"mount /dev/xvdf /mnt && cp -a {STATE}/. /mnt && umount /mnt && mount /dev/xvdf {STATE}"])
    done = with_policy(machine, '[swap]\nsize = "64M"\n')
    assert done.code == 0 and "the kernel does not swap to it" in done.stderr, done.stderr
    look = lambda: machine.check(["stat", "--format=%i %a %U %s %b", SWAP]).split()  # noqa: E731
    inode, mode, owner, size, blocks = look()
    assert (mode, owner, size) == ("600", "root", str(64 << 20)) and int(blocks) * 512 >= 64 << 20
    assert "SWAPSPACE2" in machine.check(["sh", "-c", f"tail -c +4087 {SWAP} | head -c 10"])
    assert "What=" + SWAP in machine.read(UNIT)
    with_policy(machine, '[swap]\nsize = "64M"\n')
    assert look()[0] == inode, "made again"
    with_policy(machine, '[swap]\nsize = "96M"\n')
    assert look()[3] == str(96 << 20)
    full = with_policy(machine, '[swap]\nsize = "1G"\n')
    assert full.code == 0 and "must leave 1024 MiB" in full.stderr, full.stderr
    gone = with_policy(machine, "")
    assert gone.code == 0 and "E-SWAP" not in gone.stderr, gone.stderr
    assert not machine.exists(SWAP) and not machine.exists(UNIT)


def test_the_journal_is_bounded_and_keeps_its_lines(machine):
    _, machine = machine
    invocation = lambda: machine.systemctl_show("systemd-journald.service")["InvocationID"]  # noqa: E731
    machine.check(["systemd-cat", "echo", "before the limit"])
    before = invocation()
    assert with_policy(machine, '[journal]\nmax_use = "48M"\n').code == 0
    assert invocation() != before, "journald reads its settings only when it starts"
    assert "SystemMaxUse=48M" in machine.check(["systemd-analyze", "cat-config", "systemd/journald.conf"])
    assert "before the limit" in machine.check(["journalctl", "--output=cat"])
    limited = invocation()
    assert with_policy(machine, '[journal]\nmax_use = "48M"\n').code == 0 and invocation() == limited
    machine.check(["systemd-run", "--quiet", "--wait", "--unit=talks", "echo", "after the limit"])
    assert with_policy(machine, "").code == 0
    assert not machine.exists(LIMIT) and "after the limit" in machine.check(["journalctl", "--output=cat"])
