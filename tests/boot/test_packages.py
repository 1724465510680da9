"""OS packages that the manifest asks for, and other processes that use dpkg at the same time."""

import re

import pytest
from lab.deadline import wait_for
from looks import SERVICE, process, secret, status
from services import talking
from stage import POLICY, REPOSITORY, assert_failed, run

pytestmark = pytest.mark.variants

# Small, and no other package depends on it.
PACKAGE = "hello"
LOCK = "/var/lib/dpkg/lock-frontend"
SAID = "/var/tmp/said"
HELD = "/var/tmp/held"
HOLD = f"import fcntl, os, time; f = open('{LOCK}', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); os.mknod('{HELD}')\n"
HOLD += f"while os.path.exists('{HELD}'): time.sleep(0.05)"


@pytest.fixture
def launch(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    secret(world, TOKEN="t")

    def launch(*packages: str, policy: str = ""):
        names = ", ".join(f'"{package}"' for package in packages)
        files = talking()
        files["bootagent.toml"] = f"packages = [{names}]\n{files['bootagent.toml']}"
        world.repo(SERVICE).commit("test", files)
        machine = world.launch(binary=binary, files={POLICY: policy} if policy else {})
        machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
        return machine

    return launch


def hold(machine, python: str = "python3") -> str:
    """Another process holds dpkg's lock, until `let_go`; its pid."""
    machine.check(["systemd-run", "--quiet", "--unit=holder", python, "-c", HOLD])
    wait_for("the lock to be held", lambda: machine.exists(HELD), 20)
    return machine.systemctl_show("holder.service")["MainPID"]


def let_go(machine) -> None:
    machine.check(["rm", HELD])


def run_until_it_says(machine, pattern: str, timeout: float = 90) -> None:
    """A run that goes on in the background, once a line of its log has that in it."""
    to_file = f"--property=StandardError=file:{SAID}"
    machine.check(["systemd-run", "--quiet", "--unit=first", to_file, "bootagent", "run", "--repository", REPOSITORY])
    told = lambda: machine.exists(SAID) and re.search(pattern, machine.read(SAID))  # noqa: E731
    wait_for(f"the run to say {pattern!r}", told, timeout, evidence=lambda: machine.read(SAID))


def ends_well(machine) -> None:
    followed = machine.run(["bootagent", "status", "--wait"], timeout=180)
    assert followed.code == 0, f"{followed.stdout}\n{machine.read(SAID)}"
    wait_for("the run to end", lambda: machine.systemctl_show("first.service")["ActiveState"] == "inactive", 20)


def has(machine, package: str) -> bool:
    return machine.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]).stdout == "installed"


def test_it_is_installed_once_and_a_lock_is_waited_for(launch):
    machine = launch(PACKAGE)
    pid = hold(machine)
    run_until_it_says(machine, rf"python3 \(pid {pid}\)")
    assert not has(machine, PACKAGE)
    let_go(machine)
    ends_well(machine)
    assert has(machine, PACKAGE)
    assert machine.systemctl_show("holder.service")["Result"] == "success", "the process that held the lock was disturbed"
    running = process(machine)
    again = machine.run(["bootagent", "run"])
    assert again.code == 0 and process(machine) == running, again.stderr
    assert [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"] == []


class TestAMinute:
    """Beside the other tests of this file, not after them: it waits."""

    def test_a_lock_that_is_held_for_long_is_waited_for_and_its_holder_named_all_along(self, launch):
        machine = launch(PACKAGE)
        # A process is called by the name it was executed by.
        holder = "/usr/local/bin/unattended-upgr"
        machine.check(["ln", "-s", "/usr/bin/python3", holder])
        named = f"unattended-upgr (pid {hold(machine, holder)}) holds {LOCK}"
        # Three quarters of a minute, or a little later on a busy host.
        line = rf"for 4[5-9] s: .*{re.escape(named)}"
        run_until_it_says(machine, re.escape(named))
        waiting = status(machine)[1].get("waiting", [])
        assert any(one["id"] == "packages" and named in (one["said"] or "") for one in waiting), waiting
        wait_for("the third line about it", lambda: re.search(line, machine.read(SAID)), 90, evidence=lambda: machine.read(SAID))
        assert not has(machine, PACKAGE)
        let_go(machine)
        ends_well(machine)
        assert has(machine, PACKAGE)
        for told in (machine.read(SAID), machine.check(["journalctl", "--identifier=bootagent", "--output=cat"])):
            assert re.search(line, told), told
        holder = machine.systemctl_show("holder.service")
        assert holder["Result"] == "success", "the process that held the lock was disturbed"


def test_a_process_that_holds_the_lock_too_long_is_named(launch):
    machine = launch(PACKAGE, policy='[packages]\nwait = "3s"\n')
    holder = hold(machine)
    assert_failed(machine, run(machine), 75, "E-OS-PACKAGES-LOCKED", "python3", f"pid {holder}", LOCK)
    assert machine.systemctl_show("holder.service")["ActiveState"] == "active"
    assert not has(machine, PACKAGE)


def test_a_budget_that_ends_before_the_lock_is_free(launch):
    machine = launch(PACKAGE)
    holder = f"python3 (pid {hold(machine)}) holds {LOCK}"
    # Of which all that comes before the packages must leave some, on a busy host too.
    done = run(machine, "--budget", "20s")
    assert_failed(machine, done, 75, "E-DEADLINE", "the budget of 20 s is spent", "waiting for packages: ", holder)


def test_a_killed_run_s_apt_is_waited_for_before_it_holds_a_lock(launch):
    machine = launch(PACKAGE)
    machine.check(["touch", HELD])
    stays = f"while [ -e {HELD} ]; do sleep 0.05; done"
    machine.check(["systemd-run", "--quiet", "--unit=bootagent-packages", "sh", "-c", stays])
    run_until_it_says(machine, "bootagent-packages.service of an earlier run is still running")
    assert not has(machine, PACKAGE)
    let_go(machine)
    ends_well(machine)
    assert has(machine, PACKAGE)


def test_an_interrupted_dpkg_is_repaired(launch):
    machine = launch(PACKAGE)
    machine.check(["touch", "/var/lib/dpkg/updates/0001"])
    done = run(machine)
    assert done.code == 0, done.stderr
    assert has(machine, PACKAGE) and not machine.check(["ls", "/var/lib/dpkg/updates"])


def test_a_package_that_does_not_exist(launch):
    machine = launch(PACKAGE, "no-such-package")
    assert_failed(machine, run(machine), 78, "E-OS-PACKAGES-MISSING", "no no-such-package")
    assert not has(machine, PACKAGE), "half of what was asked for"


def test_the_policy_may_forbid_it(launch):
    machine = launch(PACKAGE, policy="[packages]\nallow = false\n")
    assert_failed(machine, run(machine), 77, "E-POLICY-REFUSED", PACKAGE)
    assert not has(machine, PACKAGE)
