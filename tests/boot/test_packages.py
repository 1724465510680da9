"""Packages of the distribution, if the manifest asks for some; and whoever else is at work with dpkg."""

import pytest
from lab.deadline import wait_for
from looks import SERVICE, process, secret, status
from services import talking
from stage import POLICY, REPOSITORY, assert_failed, run

# Small, and needed by nobody.
PACKAGE = "hello"
LOCK = "/var/lib/dpkg/lock-frontend"
SAID = "/var/tmp/said"
HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(float(sys.argv[2]))"


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


def hold(machine, seconds: float, python: str = "python3") -> None:
    machine.check(["systemd-run", "--quiet", "--unit=somebody", python, "-c", HOLD, LOCK, str(seconds)])
    machine.check(["sh", "-c", f"until grep -q $(stat -c :%i {LOCK})' ' /proc/locks; do sleep 0.05; done"], timeout=20)


def has(machine, package: str) -> bool:
    return machine.run(["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]).stdout == "installed"


def test_it_is_installed_once_and_a_lock_is_waited_for(launch):
    machine = launch(PACKAGE)
    hold(machine, 8)
    first = run(machine)
    assert first.code == 0, first.stderr
    assert has(machine, PACKAGE)
    assert "python3 (pid " in first.stderr, f"nobody says who is waited for:\n{first.stderr}"
    assert machine.systemctl_show("somebody.service")["Result"] == "success", "whoever held the lock was disturbed"
    running = process(machine)
    again = machine.run(["bootagent", "run"])
    assert again.code == 0 and process(machine) == running, again.stderr
    assert [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"] == []


class TestAMinute:
    """Beside the other tests of this file, not after them: it waits."""

    def test_a_lock_that_is_held_for_a_minute_is_waited_for_and_its_holder_named_all_along(self, launch):
        machine = launch(PACKAGE)
        # A process is called by the name it was executed by.
        holder = "/usr/local/bin/unattended-upgr"
        machine.check(["ln", "-s", "/usr/bin/python3", holder])
        hold(machine, 60, holder)
        pid = machine.systemctl_show("somebody.service")["MainPID"]
        named = f"unattended-upgr (pid {pid}) holds {LOCK}"
        to_file = f"--property=StandardError=file:{SAID}"
        machine.check(["systemd-run", "--quiet", "--unit=first", to_file, "bootagent", "run", "--repository", REPOSITORY])

        def is_named() -> bool:
            waiting = (machine.run(["bootagent", "status", "--output", "json"]).json() or {}).get("waiting", [])
            return any(one["id"] == "packages" and named in (one["said"] or "") for one in waiting)

        wait_for("the status to name who holds the lock", is_named, 30, evidence=machine.console_tail)
        assert not has(machine, PACKAGE)
        followed = machine.run(["bootagent", "status", "--wait"], timeout=180)
        assert followed.code == 0, followed.stdout
        assert has(machine, PACKAGE)
        for told in (machine.read(SAID), machine.check(["journalctl", "--identifier=bootagent", "--output=cat"])):
            assert [line for line in told.splitlines() if "for 45 s: " in line and named in line], told
        somebody = machine.systemctl_show("somebody.service")
        assert somebody["Result"] == "success", "whoever held the lock was disturbed"


def test_whoever_holds_the_lock_too_long_is_named(launch):
    machine = launch(PACKAGE, policy='[packages]\nwait = "3s"\n')
    hold(machine, 600)
    holder = machine.systemctl_show("somebody.service")["MainPID"]
    assert_failed(machine, run(machine), 75, "E-PACKAGES-LOCKED", "python3", f"pid {holder}", LOCK)
    assert machine.systemctl_show("somebody.service")["ActiveState"] == "active"
    assert not has(machine, PACKAGE)


def test_a_budget_that_ends_before_the_lock_is_free(launch):
    machine = launch(PACKAGE)
    hold(machine, 600)
    holder = f"python3 (pid {machine.systemctl_show('somebody.service')['MainPID']}) holds {LOCK}"
    done = run(machine, "--budget", "12s")
    assert_failed(machine, done, 75, "E-DEADLINE", "the budget of 12 s is spent", "waiting for packages: ", holder)


def test_a_killed_run_s_apt_is_waited_for_before_it_holds_a_lock(launch):
    machine = launch(PACKAGE)
    machine.check(["systemd-run", "--quiet", "--unit=bootagent-packages", "sleep", "6"])
    done = run(machine)
    assert done.code == 0, done.stderr
    assert "bootagent-packages.service of an earlier run is still at work" in done.stderr
    assert has(machine, PACKAGE)


def test_an_interrupted_dpkg_is_repaired(launch):
    machine = launch(PACKAGE)
    machine.check(["touch", "/var/lib/dpkg/updates/0001"])
    done = run(machine)
    assert done.code == 0, done.stderr
    assert has(machine, PACKAGE) and not machine.check(["ls", "/var/lib/dpkg/updates"])


def test_a_package_that_nobody_has(launch):
    machine = launch(PACKAGE, "no-such-package")
    assert_failed(machine, run(machine), 78, "E-PACKAGES-MISSING", "no no-such-package")
    assert not has(machine, PACKAGE), "half of what was asked for"


def test_the_policy_may_forbid_it(launch):
    machine = launch(PACKAGE, policy="[packages]\nallow = false\n")
    assert_failed(machine, run(machine), 77, "E-POLICY-REFUSED", PACKAGE)
    assert not has(machine, PACKAGE)
