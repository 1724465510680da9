"""Kill the agent anywhere, run it once more, and the machine is the same as one on which nobody killed anything."""

import killed
import pytest
from killed import differences, fresh
from lab.deadline import wait_for
from looks import CACHE, SERVICE, secret, whole
from services import BRIEF, TALKING, lingering, talking
from stage import REPOSITORY

FLAGS = ["--repository", REPOSITORY]
# Answers, but not well; the gate gives up quickly.
UNWELL = {
    "server.js": TALKING.replace('"/health": () => "ok",', ""),
    "bootagent.toml": 'install = []\nport = 3000\nhealth = { path = "/health", soak = "1s", timeout = "1s" }\n',
}


class FirstBoot:
    """A fresh machine for each point. The points are shared out: a class is one worker's."""

    @pytest.fixture
    def stage(self, world):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", talking())
        secret(world, TOKEN="t")
        return world

    def test_killed_once_and_run_once(self, stage, binary):
        machine = fresh(stage, binary)
        result, points = killed.points(machine, *FLAGS)
        assert result.code == 0, result.stderr
        undisturbed, wrong = whole(machine), []
        assert len(points) > 30, f"where are the steps? {points}"
        for point in points[self.share :: 2]:
            machine = fresh(stage, binary)
            assert killed.run(machine, *FLAGS, at=point).code == killed.KILLED
            again = machine.run(["bootagent", "run", *FLAGS], timeout=120)
            assert again.code == 0, f"killed at {point}: {again.stderr}"
            wrong += (f"killed at {point}: {line}" for line in differences(undisturbed, whole(machine)))
        assert not wrong, "\n".join(wrong)


class TestFirstBoot(FirstBoot):
    share = 0


class TestFirstBootToo(FirstBoot):
    share = 1


class TestEveryRun:
    """On one machine: the first run is killed at its first rename, the second at its second, until one ends by itself."""

    def test_one_goes_on_where_the_other_was_killed(self, world, binary):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", talking())
        secret(world, TOKEN="t")
        machine = fresh(world, binary)
        first = machine.run(["bootagent", "run", *FLAGS], timeout=120)
        assert first.code == 0, first.stderr
        undisturbed = whole(machine)
        machine, runs, code = fresh(world, binary), 0, killed.KILLED
        while code == killed.KILLED and runs < 200:
            runs += 1
            result = killed.run(machine, *FLAGS, at=runs)
            code = result.code
        assert code == 0, f"run {runs}: {result.stderr}"
        assert runs > 60, "where are the steps?"
        wrong = differences(undisturbed, whole(machine))
        assert not wrong, "\n".join(wrong)


class Serving:
    """On a machine that serves, each run is an update, and each update another commit. Nothing is installed: how that is
    killed is seen in a first boot."""

    manifest = "install = []\n" + BRIEF

    @pytest.fixture
    def machine(self, world, binary):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", talking(**{"bootagent.toml": self.manifest}))
        secret(world, TOKEN="t")
        machine = fresh(world, binary)
        first = machine.run(["bootagent", "run", *FLAGS], timeout=120)
        assert first.code == 0, first.stderr
        return machine


class TestUpdate(Serving):
    def points(self, machine):
        result, points = killed.points(machine, "--update")
        # What comes before is as in a first boot.
        return result, points[len(points) // 2 :]

    def test_killed_once_and_run_once(self, world, machine):
        commits = []

        def push() -> None:
            commits.append(world.repo(SERVICE).commit("test", {"note": f"commit-number-{len(commits)}"}))

        def state() -> dict[str, str]:
            # Two releases: the current one and the one before it.
            last = len(commits) - 1
            words = {"NOTE": f"commit-number-{last}", "FORMER": f"commit-number-{last - 1}"}
            return whole(machine, COMMIT=commits[last], BEFORE=commits[last - 1], **words)

        push()
        result, points = self.points(machine)
        assert result.code == 0, result.stderr
        push()
        result = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert result.code == 0, result.stderr
        undisturbed, wrong = state(), []
        for point in points:
            push()
            code = killed.run(machine, "--update", at=point).code
            assert code == killed.KILLED, f"at {point}: {code}"
            again = machine.run(["bootagent", "run", "--update"], timeout=120)
            assert again.code == 0, f"killed at {point}: {again.stderr}"
            wrong += (f"killed at {point}: {line}" for line in differences(undisturbed, state()))
        assert not wrong, "\n".join(wrong)


class TestRehearsal(TestUpdate):
    manifest = TestUpdate.manifest + "rehearsal.port = 13000\n"

    def points(self, machine):
        result, points = killed.points(machine, "--update", of="rehearsal")
        assert len(points) > 8, points
        return result, points


class TestRecovery(Serving):
    """The update fails its gate; from then on it goes back to what served, and is killed there."""

    def test_killed_once_and_run_once(self, world, machine):
        good, wrong = whole(machine), []
        world.repo(SERVICE).commit("test", UNWELL)
        result, points = killed.points(machine, "--update")
        assert result.code == 1 and "E-HEALTH" in result.stderr, result.stderr
        recovered = whole(machine)
        attempt = f"/var/lib/bootagent/services/{SERVICE}/attempt.json"
        told = {"status", attempt, "/run/bootagent/output.json"}
        assert {line.split(":")[0] for line in differences(good, recovered)} == told
        for point in points:
            world.repo(SERVICE).commit("test", {"note": f"{point}"})
            code = killed.run(machine, "--update", at=point).code
            assert code == killed.KILLED, f"at {point}: {code}"
            again = machine.run(["bootagent", "run"], timeout=120)
            assert again.code == 0, f"killed at {point}: {again.stderr}"
            wrong += (f"killed at {point}: {line}" for line in differences(good, whole(machine)))
        assert not wrong, "\n".join(wrong)


class TestUpdateThatIsGivenUp(Serving):
    """Killed while npm ci runs for the new commit; the next run stays with the old one, and has nothing to install."""

    def test_its_installation_does_not_go_on(self, world, machine):
        good = whole(machine)
        world.repo(SERVICE).commit("test", lingering())
        machine.check(["systemd-run", "--quiet", "--unit=update", "bootagent", "run", "--update"])
        wait_for("npm ci to run", lambda: machine.exists(f"{CACHE}/lingers"), 60, evidence=machine.console_tail)
        npm = machine.read(f"{CACHE}/lingers")
        machine.check(["kill", "-KILL", machine.systemctl_show("update.service")["MainPID"]])
        assert machine.run(["kill", "-0", npm]).code == 0, "the install ended with the agent: this test shows nothing"
        again = machine.run(["bootagent", "run"], timeout=120)
        assert again.code == 0, again.stderr
        assert machine.run(["kill", "-0", npm]).code == 1, "the killed run's npm still runs"
        machine.run(["systemctl", "reset-failed", "update.service"])
        wrong = differences(good, whole(machine))
        assert not wrong, "\n".join(wrong)
