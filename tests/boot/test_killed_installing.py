"""Kill the agent while it installs Node or packages, run it once more, and the machine is the same as an undisturbed one."""

import killed
import packages
import pytest
import sweep
from killed import Point, differences, fresh, wipe
from lab.deadline import wait_for
from looks import SERVICE, secret, shared, status, whole  # noqa: F401
from packages import LINGERS, RAN, STAY, installed
from services import talking
from stage import REPOSITORY, run
from test_bare import ARCHIVE, RUNTIME
from test_bare import TALKING as WITHOUT_NODE

pytestmark = pytest.mark.variants

FLAGS = ["--repository", REPOSITORY]
# Where it is recorded that a runtime is ours, and where it gets its name, in this order.
RECORDS, RUNTIMES = "/var/lib/bootagent/runtimes/node", "/opt/bootagent/runtimes/node"
# Where it is unpacked; and the name that this has before it is whole, and while it is removed.
UNFINISHED, ASIDE = "/opt/bootagent/runtimes/.unfinished", "/opt/bootagent/runtimes/..unfinished.bootagent"
# The first call of each kind that names this path, or works in a directory that is open under it.
POINTS = [
    ("mkdirat", "/opt/bootagent/runtimes"),
    *((call, ASIDE) for call in ("fchown", "fchmod")),
    ("renameat2", "/opt/bootagent/runtimes"),
    ("mkdirat", UNFINISHED),
    *((call, f"{UNFINISHED}/.tree.bootagent") for call in ("fchown", "fchmod")),
    ("renameat2", UNFINISHED),
    *((call, f"{UNFINISHED}/tree/bin") for call in ("fchown", "fchownat", "fchmod")),
    *((call, f"{UNFINISHED}/tree") for call in ("fchown", "fchmod")),
    *((call, f"{RECORDS}/.{RUNTIME.rpartition('/')[2]}.bootagent") for call in ("fchown", "fchmod")),
    ("renameat", RECORDS),
    ("renameat", RUNTIMES),
]
HELD = "/var/tmp/held"
HOLD = f"import fcntl, os, time; f = open('{packages.LOCK}', 'w'); fcntl.lockf(f, fcntl.LOCK_EX); os.mknod('{HELD}')\n"
HOLD += f"while os.path.exists('{HELD}'): time.sleep(0.05)"


def begin(machine) -> None:
    """A run that goes on while the test looks."""
    machine.check(["systemd-run", "--quiet", "--unit=first", "bootagent", "run", *FLAGS])


def kill(machine) -> None:
    machine.check(["kill", "-KILL", machine.systemctl_show("first.service")["MainPID"]])
    wait_for("the agent's death", lambda: machine.systemctl_show("first.service")["ActiveState"] == "failed", 20)
    machine.check(["systemctl", "reset-failed", "first.service"])


class TestNode:
    """On a machine without Node, whose archive comes slowly."""

    @pytest.fixture(scope="class")
    @classmethod
    def undisturbed(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", WITHOUT_NODE)
        secret(shared, TOKEN="t")
        machine = fresh(shared, binary, bare=True)
        first = run(machine)
        assert first.code == 0, first.stderr
        return whole(machine)

    def same(self, machine, undisturbed) -> None:
        again = run(machine)
        assert again.code == 0, again.stderr
        wrong = differences(undisturbed, whole(machine))
        assert not wrong, "\n".join(wrong)

    @pytest.mark.parametrize(("file", "after"), [("SHASUMS256.txt", 0), (ARCHIVE, 20_000_000)])
    def test_while_it_is_downloaded_and_unpacked(self, shared, binary, undisturbed, file, after):  # noqa: F811
        machine = fresh(shared, binary, bare=True)
        shared.node.log.clear()
        shared.node.stall(after=after, only=file)
        begin(machine)
        asked = lambda: any(entry["path"].endswith(file) for entry in shared.node.log)  # noqa: E731
        wait_for(f"{file} to be asked for", asked, 60, evidence=machine.console_tail)
        if after:
            tree = "/opt/bootagent/runtimes/.unfinished/tree/bin/node"
            wait_for("a part of it to be unpacked", lambda: machine.exists(tree), 30, evidence=machine.console_tail)
        kill(machine)
        shared.node.heal()
        assert not machine.exists(RUNTIME)
        self.same(machine, undisturbed)

    @pytest.mark.parametrize("into", [RECORDS, RUNTIMES])
    def test_when_it_is_whole(self, shared, binary, undisturbed, into):  # noqa: F811
        machine = fresh(shared, binary, bare=True)
        assert killed.run(machine, *FLAGS, at=Point("renameat", 1), paths=[into]).code == killed.KILLED
        assert not machine.exists(RUNTIME)
        self.same(machine, undisturbed)

    def test_from_its_directories_to_its_name(self, shared, binary, undisturbed):  # noqa: F811
        """On one machine, from which all that the runs made is taken away after each point."""
        machine = fresh(shared, binary, bare=True)
        taken = sweep.sample(POINTS, every=6)
        for call, path in taken:
            code = killed.run(machine, *FLAGS, at=Point(call, 1), paths=[path]).code
            assert code == killed.KILLED, sweep.told(taken, [f"at {call} of {path}: {code}"])
            assert not machine.exists(RUNTIME)
            again = run(machine)
            assert again.code == 0, sweep.told(taken, [f"killed at {call} of {path}: {again.stderr}"])
            wrong = differences(undisturbed, whole(machine))
            assert not wrong, sweep.told(taken, [f"killed at {call} of {path}:", *wrong])
            wipe(machine, SERVICE)

    def test_what_is_left_when_it_is_there_already_goes(self, shared, binary, undisturbed):  # noqa: F811
        """As by a run that is killed between a runtime's name and the end of its removal."""
        machine = fresh(shared, binary, bare=True)
        first = run(machine)
        assert first.code == 0, first.stderr
        machine.check(["mkdir", "-p", f"{UNFINISHED}/tree/bin", f"{ASIDE}/tree/bin"])
        self.same(machine, undisturbed)


class TestPackages:
    """apt and dpkg go on when the agent is killed; when the machine goes down, they don't either."""

    def launch(self, world, binary):
        machine = fresh(world, binary)
        packages.publish(machine)
        return machine

    def all(self, machine) -> dict[str, str]:
        return whole(machine) | installed(machine)

    @pytest.fixture(scope="class")
    @classmethod
    def undisturbed(cls, shared, binary):  # noqa: F811
        files = talking()
        files["bootagent.toml"] = f'packages = ["{packages.PACKAGE}"]\n{files["bootagent.toml"]}'
        shared.repo(SERVICE).commit("test", files)
        secret(shared, TOKEN="t")
        machine = cls.launch(cls, shared, binary)
        first = run(machine)
        assert first.code == 0, first.stderr
        return cls.all(cls, machine)

    def same(self, machine, undisturbed) -> None:
        wrong = differences(undisturbed, self.all(machine))
        assert not wrong, "\n".join(wrong)

    def installing(self, world, binary, script: str):
        """A machine on which dpkg is in the middle of one of the package's scripts."""
        machine = self.launch(world, binary)
        machine.check(["touch", STAY[script]])
        begin(machine)
        wait_for(f"dpkg to be in the {script}", lambda: machine.exists(LINGERS[script]), 60, evidence=machine.console_tail)
        return machine

    def who_ran(self, machine, script: str) -> list[str]:
        """The pid of each dpkg that began that script, and what it is now: "dpkg", or nothing when it has ended."""
        pids = machine.read(RAN[script]).split()
        return [f"{pid} {machine.run(['cat', f'/proc/{pid}/comm']).stdout.strip()}" for pid in pids]

    def waits_for(self, machine, whom: str) -> None:
        said = lambda: [one["said"] or "" for one in status(machine)[1].get("waiting", []) if one["id"] == "packages"]  # noqa: E731
        wait_for(f"the run to wait for {whom}", lambda: any(whom in one for one in said()), 30)

    def test_while_it_waits_for_a_lock(self, shared, binary, undisturbed):  # noqa: F811
        machine = self.launch(shared, binary)
        machine.check(["systemd-run", "--quiet", "--unit=holder", "python3", "-c", HOLD])
        wait_for("the lock to be held", lambda: machine.exists(HELD), 20)
        begin(machine)
        self.waits_for(machine, "python3 (pid ")
        kill(machine)
        machine.check(["rm", HELD])
        again = run(machine)
        assert again.code == 0, again.stderr
        self.same(machine, undisturbed)

    @pytest.mark.parametrize("script", STAY)
    def test_dpkg_goes_on_and_is_waited_for(self, shared, binary, undisturbed, script):  # noqa: F811
        machine = self.installing(shared, binary, script)
        (dpkg,) = self.who_ran(machine, script)
        assert dpkg.endswith(" dpkg"), dpkg
        kill(machine)
        begin(machine)
        self.waits_for(machine, "apt-get (pid ")
        assert machine.exists(LINGERS[script]) and self.who_ran(machine, script) == [dpkg], "another dpkg, or none"
        machine.check(["rm", STAY[script]])
        again = machine.run(["bootagent", "status", "--wait"], timeout=120)
        assert again.code == 0, again.stdout
        assert self.who_ran(machine, script) == [dpkg.removesuffix("dpkg")], "the script was begun again"
        self.same(machine, undisturbed)

    @pytest.mark.parametrize("script", STAY)
    def test_dpkg_is_killed_too(self, shared, binary, undisturbed, script):  # noqa: F811
        machine = self.installing(shared, binary, script)
        kill(machine)
        machine.check(["systemctl", "kill", "--signal=KILL", "bootagent-packages.service"])
        machine.check(["rm", STAY[script], LINGERS[script]])
        assert machine.check(["dpkg", "--audit"]), "nothing is broken: this test shows nothing"
        again = run(machine)
        assert again.code == 0, again.stderr
        self.same(machine, undisturbed)
