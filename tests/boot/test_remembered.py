"""What failed in this boot is not put to run again by itself, as long as something else serves; and a bad value is told
from a bad commit."""

import json

import pytest
from looks import SERVICE, ask, current, process, secret, shared, status  # noqa: F401
from poller import Poller
from services import NOTHING, TALKING, talking
from stage import GIT, serving

pytestmark = pytest.mark.variants

FAILURES = f"/run/bootagent/{SERVICE}.failed"
HASTY = NOTHING + 'port = 3000\nhealth = { path = "/health", soak = "1s", timeout = "6s", answer = "2s" }\n'
# Ends with the value of a key, and otherwise serves.
PARTICULAR = 'if (process.env.MODE === "bad") process.exit(7);\n' + TALKING


def files(**more: str) -> dict:
    return talking(**{"server.js": PARTICULAR, "bootagent.toml": HASTY} | more)


class TestRemembered:
    """On one machine whose service is in service."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, files(), "--imds-wait=3s", MODE="good", TOKEN="secret-of-the-first-day")

    def ends_at_once(self, machine, *flags: str) -> str:
        """With the error of then, and not one request fails."""
        running = process(machine)
        with Poller(machine) as poller:
            again = machine.run(["bootagent", "run", *flags], timeout=60)
        assert again.code != 0 and "E-SERVICE-EXITED" in again.stderr, again
        assert "nothing was changed; --again tries it once more" in again.stderr, again.stderr
        assert poller.asked and not poller.failures, poller.failures
        assert process(machine) == running, "the service was restarted"
        said = status(machine)[1]
        assert said["serving"] and "200" in said["probe"], said
        return again.stderr

    def test_a_bad_commit_is_put_to_run_once(self, shared, machine):  # noqa: F811
        good = current(machine)
        bad = shared.repo(SERVICE).commit("test", files(**{"server.js": "process.exit(3)\n"}))
        failed = machine.run(["bootagent", "run", "--update"], timeout=60)
        assert failed.code != 0 and "E-SERVICE-EXITED" in failed.stderr, failed.stderr
        told = self.ends_at_once(machine, "--update")
        assert "status 3" in told and "less than a minute ago" in told, told
        assert current(machine) == good
        assert machine.stat(FAILURES).mode == 0o600
        assert [failure["commit"] for failure in json.loads(machine.read(FAILURES))] == [bad]

    def test_again_tries_it_once_more(self, shared, machine):  # noqa: F811
        before = process(machine)
        failed = machine.run(["bootagent", "run", "--update", "--again"], timeout=60)
        assert failed.code != 0 and "--again" not in failed.stderr, failed.stderr
        assert process(machine) != before, "it was not tried"
        assert len(json.loads(machine.read(FAILURES))) == 1

    def test_another_commit_is_another_thing(self, shared, machine):  # noqa: F811
        commit = shared.repo(SERVICE).commit("test", files(note="mended"))
        well = machine.run(["bootagent", "run", "--update"], timeout=60)
        assert well.code == 0 and current(machine).startswith(commit), well.stderr

    def test_a_bad_value_is_told_by_its_key_and_put_to_run_once(self, shared, machine):  # noqa: F811
        commit = current(machine)[:12]
        secret(shared, MODE="bad", TOKEN="secret-of-the-first-day", NEW="x")
        failed = machine.run(["bootagent", "run"], timeout=60)
        assert failed.code != 0 and "E-SERVICE-EXITED" in failed.stderr, failed
        error = status(machine)[1]["error"]
        causes = " ".join(error["causes"])
        assert f"commit {commit} passed its health check with the previous values" in causes, error
        assert "changed keys: MODE, NEW" in causes and "TOKEN" not in causes, error
        assert "correct the secret" in error["remedy"] and "push" not in error["remedy"], error
        assert ask(machine, "env")["MODE"] == "good"
        told = self.ends_at_once(machine)
        assert "correct the secret" in told and "secret-of" not in machine.read(FAILURES), told

    def test_the_former_values_are_not_a_failure(self, shared, machine):  # noqa: F811
        secret(shared, MODE="good", TOKEN="secret-of-the-first-day")
        well = machine.run(["bootagent", "run"], timeout=60)
        assert well.code == 0, well.stderr

    def test_what_passes_after_all_is_forgotten(self, shared, machine):  # noqa: F811
        secret(shared, MODE="bad", TOKEN="secret-of-the-first-day", NEW="x")
        machine.check(["sh", "-c", "sed -i 's/=== \"bad\"/=== \"worse\"/' $1", "sh", f"/opt/{SERVICE}/current/server.js"])
        before = len(json.loads(machine.read(FAILURES)))
        well = machine.run(["bootagent", "run", "--again"], timeout=60)
        assert well.code == 0, well.stderr
        assert len(json.loads(machine.read(FAILURES))) == before - 1

    def test_while_nothing_serves_it_is_tried_each_time(self, shared, machine):  # noqa: F811
        bad = shared.repo(SERVICE).commit("test", files(**{"server.js": "process.exit(4)\n"}))
        assert machine.run(["bootagent", "run", "--update"], timeout=60).code != 0
        machine.check(["systemctl", "stop", SERVICE])
        failed = machine.run(["bootagent", "run", "--update"], timeout=60)
        assert failed.code != 0 and "nothing was changed" not in failed.stderr, failed.stderr
        assert status(machine)[1]["attempted"] == bad

    def test_it_ends_with_the_boot(self, machine):
        machine.reboot()
        assert machine.run(["bootagent", "status", "--wait", "--timeout", "60s"], timeout=70).code == 0
        assert not machine.exists(FAILURES)


class TestReturn:
    """A release that is kept is returned to without git."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        machine = serving(shared, binary, files(note="1"), "--imds-wait=3s", MODE="good")
        commits = [shared.repo(SERVICE).sha("test")]
        for number in "23":
            commits.append(shared.repo(SERVICE).commit("test", {"note": number}))
            assert machine.run(["bootagent", "run", "--update"], timeout=60).code == 0
        shared.unreachable(GIT, how="refused")
        return machine, commits

    def test_a_kept_commit_is_planned_from_its_record(self, shared, story):  # noqa: F811
        machine, commits = story
        asked = len(shared.git.log)
        secret(shared, MODE="good", TOKEN="of today")
        back = machine.run(["bootagent", "run", "--update", "--ref", commits[1]], timeout=60)
        assert back.code == 0, back.stderr
        assert ask(machine, "release").rpartition("/")[2].startswith(commits[1])
        assert ask(machine, "env")["TOKEN"] == "of today"
        assert len(shared.git.log) == asked

    def test_a_reboot_stays_with_it(self, story):
        machine, commits = story
        machine.reboot()
        assert machine.run(["bootagent", "status", "--wait", "--timeout", "60s"], timeout=70).code == 0
        assert current(machine).startswith(commits[1])

    def test_and_forth_again(self, story):
        machine, commits = story
        forth = machine.run(["bootagent", "run", "--update", "--ref", commits[2]], timeout=60)
        assert forth.code == 0 and current(machine).startswith(commits[2]), forth.stderr

    def test_what_is_not_kept_needs_git(self, story):
        machine, commits = story
        machine.write("/etc/bootagent/policy.toml", 'budget = "8s"\n')
        failed = machine.run(["bootagent", "run", "--update", "--ref", commits[0]], timeout=60)
        assert failed.code != 0 and "E-GIT-UNREACHABLE" in failed.stderr, failed.stderr
        assert current(machine).startswith(commits[2])
