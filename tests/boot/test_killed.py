"""Kill the agent anywhere, run it once more, and the machine is the same as an undisturbed one."""

import killed
import pytest
import sweep
from killed import Point, differences, fresh, wipe
from lab.deadline import wait_for
from looks import CACHE, SERVICE, current, leftovers, places, releases, secret, whole
from services import BRIEF, TALKING, lingering, talking
from stage import REPOSITORY

FLAGS = ["--repository", REPOSITORY]
RELEASES = f"/opt/{SERVICE}/releases"
RECORDS = f"/var/lib/bootagent/services/{SERVICE}/releases"
# Answers, but not well; the gate gives up quickly.
UNWELL = {
    "server.js": TALKING.replace('"/health": () => "ok",', ""),
    "bootagent.toml": 'install = []\nport = 3000\nhealth = { path = "/health", soak = "1s", timeout = "1s" }\n',
}


class FirstBoot:
    """On one machine, from which all that the runs made is taken away after each point. How an installation is killed is
    seen in `TestEveryRun`. The points are shared out: a class is one worker's."""

    every, paths = 15, ()

    @pytest.fixture
    def machine(self, world, binary):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", talking(**{"bootagent.toml": "install = []\n" + BRIEF}))
        secret(world, TOKEN="t")
        return fresh(world, binary)

    def points(self, machine):
        result, points = killed.points(machine, *FLAGS)
        calls = {point.call for point in points}
        assert len(points) > 110, f"where are the steps? {points}"
        assert calls >= {"renameat", "renameat2", "mkdirat", "fchown", "fchmod", "symlinkat"}, calls
        return result, points[self.share :: 2]

    def test_killed_once_and_run_once(self, machine):
        bare = places(machine)
        result, points = self.points(machine)
        assert result.code == 0, result.stderr
        undisturbed, wrong = whole(machine), []
        taken = sweep.sample(points, every=self.every)
        for point in taken:
            wiped(machine, bare)
            code = killed.run(machine, *FLAGS, at=point, paths=self.paths).code
            assert code == killed.KILLED, sweep.told(taken, [f"at {point}: {code}"])
            again = machine.run(["bootagent", "run", *FLAGS], timeout=120)
            assert again.code == 0, sweep.told(taken, [f"killed at {point}: {again.stderr}"])
            wrong += (f"killed at {point}: {line}" for line in differences(undisturbed, whole(machine)))
        assert not wrong, sweep.told(taken, wrong)


def wiped(machine, bare: dict[str, str]) -> None:
    wipe(machine, SERVICE)
    left = differences(bare, places(machine))
    assert not left, "\n".join(["this is not a fresh machine:", *left])


class TestFirstBoot(FirstBoot):
    share = 0


class TestFirstBootToo(FirstBoot):
    share = 1


class TestFinish(FirstBoot):
    """What another thread does: the release is flushed, and recorded as whole."""

    every = 1

    def points(self, machine):
        machine.check(["bootagent", "run", *FLAGS], timeout=120)
        record = f"{RECORDS}/.{current(machine)}.bootagent"
        wipe(machine, SERVICE)
        self.paths = [RECORDS, record]
        result, points = killed.points_of(machine, *FLAGS, paths=self.paths)
        assert {point.call for point in points} >= {"fchown", "fchmod", "renameat"}, points
        return result, points


class TestDiscard:
    """What another thread does: a release whose installation failed is removed. The next run fails as the first one did."""

    def test_killed_once_and_run_once(self, world, binary):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", talking(**{"bootagent.toml": 'install = ["false"]\n' + BRIEF}))
        secret(world, TOKEN="t")
        machine = fresh(world, binary)
        bare, wrong = places(machine), []
        plan = machine.run(["bootagent", "--dry-run", "--output=json", *FLAGS], timeout=60).json()
        (name,) = [step["action"]["release"] for step in plan["steps"] if step["id"] == "checkout"]
        aside = f"{RELEASES}/.{name.rpartition('/')[2]}.bootagent"
        result, points = killed.points_of(machine, *FLAGS, paths=[aside])
        points = [point for point in points if point.call == "unlinkat"]
        assert result.code == 1 and "E-INSTALL-FAILED" in result.stderr, result.stderr
        assert len(points) > 3, points
        undisturbed = self.state(machine)
        assert not machine.exists(name)
        taken = sweep.sample(points)
        for point in taken:
            wiped(machine, bare)
            code = killed.run(machine, *FLAGS, at=point, paths=[aside]).code
            assert code == killed.KILLED, sweep.told(taken, [f"at {point}: {code}"])
            assert machine.exists(aside) and not machine.exists(name), sweep.told(taken, [f"at {point}: half a release"])
            again = machine.run(["bootagent", "run", *FLAGS], timeout=120)
            assert again.code == 1 and "E-INSTALL-FAILED" in again.stderr, sweep.told(taken, [again.stderr])
            wrong += (f"killed at {point}: {line}" for line in differences(undisturbed, self.state(machine)))
        assert not wrong, sweep.told(taken, wrong)

    def state(self, machine) -> dict[str, str]:
        return places(machine) | {"left over": " ".join(leftovers(machine))}


class TestEveryRun:
    """On one machine: the first run is killed at its first rename, the second at its second, until one ends by itself."""

    def test_one_goes_on_where_the_other_was_killed(self, world, binary):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", talking(installs=True))
        secret(world, TOKEN="t")
        machine = fresh(world, binary)
        first = machine.run(["bootagent", "run", *FLAGS], timeout=120)
        assert first.code == 0, first.stderr
        undisturbed = whole(machine)
        machine, taken = fresh(world, binary), []
        for point in sweep.sample([Point("renameat", number) for number in range(1, 200)]):
            taken.append(point)
            result = killed.run(machine, *FLAGS, at=point)
            if result.code != killed.KILLED:
                break
        assert result.code == 0, sweep.told(taken, [f"at {point}: {result.stderr}"])
        assert point.number > 20, "where are the steps?"
        wrong = differences(undisturbed, whole(machine))
        assert not wrong, sweep.told(taken, wrong)


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
    every = 9

    def paths(self, machine) -> list[str]:
        return []

    def points(self, machine, commit):
        result, points = killed.points(machine, "--update", commit=commit)
        assert len(points) > 30, points
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
        machine.check(["bootagent", "run", "--update"], timeout=120)
        push()
        result, points = self.points(machine, commits[-1])
        assert result.code == 0, result.stderr
        undisturbed, wrong = state(), []
        taken = sweep.sample(points, every=self.every)
        for point in taken:
            push()
            code = killed.run(machine, "--update", at=point, paths=self.paths(machine), commit=commits[-1]).code
            assert code == killed.KILLED, sweep.told(taken, [f"at {point}: {code}"])
            again = machine.run(["bootagent", "run", "--update"], timeout=120)
            assert again.code == 0, sweep.told(taken, [f"killed at {point}: {again.stderr}"])
            wrong += (f"killed at {point}: {line}" for line in differences(undisturbed, state()))
        assert not wrong, sweep.told(taken, wrong)


class TestRehearsal(TestUpdate):
    manifest = TestUpdate.manifest + "rehearsal.port = 13000\n"

    def points(self, machine, commit):
        result, points = killed.points(machine, "--update", of="candidate", commit=commit)
        assert len(points) > 20, points
        return result, points


class TestPrune(TestUpdate):
    """What another thread does: the release before the last one is removed, file by file."""

    every = 6

    def paths(self, machine) -> list[str]:
        (before,) = set(releases(machine)) - {current(machine)}
        return [before, f".{before}.bootagent", f"{RELEASES}/.{before}.bootagent"]

    def points(self, machine, commit):
        result, points = killed.points_of(machine, "--update", paths=self.paths(machine))
        calls = {point.call for point in points}
        assert len(points) > 6 and calls == {"renameat", "unlinkat"}, points
        return result, points


class TestRecovery(Serving):
    """The update fails its gate; from then on it goes back to what served, and is killed there."""

    def test_killed_once_and_run_once(self, world, machine):
        good, wrong = whole(machine), []
        commit = world.repo(SERVICE).commit("test", UNWELL)
        result, points = killed.points(machine, "--update", commit=commit)
        assert result.code == 2 and "E-HEALTH" in result.stderr, result.stderr
        recovered = whole(machine)
        attempt = f"/var/lib/bootagent/services/{SERVICE}/attempt.json"
        told = {"status", attempt, "/run/bootagent/output.json"}
        assert {line.split(":")[0] for line in differences(good, recovered)} == told
        assert len(points) > 40, points
        taken = sweep.sample(points, every=15)
        for point in taken:
            commit = world.repo(SERVICE).commit("test", {"note": f"{point}"})
            code = killed.run(machine, "--update", at=point, commit=commit).code
            assert code == killed.KILLED, sweep.told(taken, [f"at {point}: {code}"])
            again = machine.run(["bootagent", "run"], timeout=120)
            assert again.code == 0, sweep.told(taken, [f"killed at {point}: {again.stderr}"])
            wrong += (f"killed at {point}: {line}" for line in differences(good, whole(machine)))
        assert not wrong, sweep.told(taken, wrong)


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
