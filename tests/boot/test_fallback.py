"""What a boot starts when it cannot make what it wants: the deployment that passed last, as it is recorded."""

import json

import pytest
from lab.deadline import wait_for
from looks import SERVICE, ask, current, process, releases, secret, shared, status  # noqa: F401
from poller import Poller
from services import BRIEF, NOTHING, TALKING, talking
from stage import GIT, POLICY, SECRETS, run, serving

pytestmark = pytest.mark.variants

RECORDS = f"/var/lib/bootagent/services/{SERVICE}"
GOOD, CLAIM = f"{RECORDS}/good.json", f"{RECORDS}/claim"
OPERATORS = f"/etc/bootagent/services/{SERVICE}.toml"
NODE = "/usr/local/lib/nodejs"
# What the image's Node becomes by a patch: the same program, under another version.
PATCH = f"""
set -e
mv {NODE}/node-v22.20.0 {NODE}/node-v22.20.1
cd {NODE}/node-v22.20.1/bin
mv node node.real
printf '#!/bin/sh\\n[ "$1" = --version ] && echo v22.20.1 || exec {NODE}/node-v22.20.1/bin/node.real "$@"\\n' > node
chmod 755 node
for name in node npm npx; do ln -sf {NODE}/node-v22.20.1/bin/$name /usr/local/bin/$name; done
"""
FLAGS = ("--imds-wait=3s",)
HURRY = 'budget = "15s"\n'


def decision(machine) -> str:
    return f"/var/lib/bootagent/instances/{machine.instance.id}/decision.json"


def ended(machine) -> dict:
    """What the run of bootagent.service came to."""
    waited = machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
    assert waited.stdout, waited.stderr
    said = status(machine)[1]
    assert said["boot_id"] == machine.boot_id()
    return said


def rebooted(machine) -> dict:
    machine.reboot()
    return ended(machine)


def falls_back(said: dict, commit: str, code: str) -> None:
    """It failed, for this reason, and what was good serves."""
    assert said["error"]["code"] == code, said["error"]
    assert said["serving"] == commit and "200" in said["probe"], said


class Reboots:
    """One machine whose service is in service. Each test breaks something and reboots it."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        machine = serving(shared, binary, talking(), *FLAGS, TOKEN="first")
        machine.check(["mkdir", "-p", "/etc/bootagent/services"])
        machine.write(POLICY, HURRY)
        return machine

    @pytest.fixture
    def commit(self, shared, machine):  # noqa: F811
        yield current(machine).partition("-")[0]
        for name in (GIT, SECRETS):
            shared.dns.forget(name)
            shared.reachable(name)
        shared.aws.heal()
        machine.check(["rm", "-f", OPERATORS])
        machine.write(POLICY, HURRY)
        well = machine.run(["bootagent", "run"], timeout=120)
        assert well.code == 0, well.stderr


class TestWhatABootMayStart(Reboots):
    def test_a_patched_node_makes_no_other_release(self, shared, machine, commit):  # noqa: F811
        release, pid = current(machine), process(machine)[1]
        shared.unreachable(GIT, how="refused")
        machine.check(["sh", "-c", PATCH])
        said = rebooted(machine)
        assert (said["state"], said["commit"]) == ("healthy", commit), said
        assert (current(machine), releases(machine)) == (release, [release])
        unit = machine.read(f"/etc/systemd/system/{SERVICE}.service")
        assert "node-v22.20.1/bin/node" in unit and "22.20.0" not in unit, unit
        assert pid

    def test_a_release_that_cannot_be_fetched_leaves_the_good_one(self, shared, machine, commit):  # noqa: F811
        """An operator's manifest asks for another installation; git is out of reach."""
        release = current(machine)
        machine.write(OPERATORS, 'install = ["true"]\n' + BRIEF)
        secret(shared, TOKEN="of today")
        shared.unreachable(GIT, how="refused")
        falls_back(rebooted(machine), commit, "E-GIT-UNREACHABLE")
        assert current(machine) == release
        assert (ask(machine, "env")["TOKEN"], ask(machine, "dotenv")["TOKEN"]) == ("of today", "of today")

    def test_a_release_that_cannot_be_installed_leaves_the_good_one(self, shared, machine, commit):  # noqa: F811
        machine.write(OPERATORS, 'install = ["false"]\n' + BRIEF)
        secret(shared, TOKEN="of tomorrow")
        falls_back(rebooted(machine), commit, "E-INSTALL-FAILED")
        assert ask(machine, "env")["TOKEN"] == "of tomorrow"

    def test_a_manifest_that_cannot_be_planned_leaves_the_good_one(self, machine, commit):
        machine.write(OPERATORS, "port = 'x'\n")
        falls_back(rebooted(machine), commit, "E-MANIFEST-INVALID")
        run_again = machine.run(["bootagent", "run"], timeout=60)
        assert "serves on" in run_again.stderr, run_again.stderr

    def test_a_policy_with_a_slip_leaves_the_good_one(self, shared, machine, commit):  # noqa: F811
        machine.write(POLICY, "nonsense = 1\n")
        secret(shared, TOKEN="last")
        falls_back(rebooted(machine), commit, "E-POLICY-INVALID")
        assert ask(machine, "env")["TOKEN"] == "last"

    def test_a_policy_that_refuses_the_service_means_it(self, machine, commit):
        machine.write(POLICY, HURRY + 'services = ["other"]\n')
        said = rebooted(machine)
        assert said["error"]["code"] == "E-POLICY-REFUSED" and said["serving"] is None, said
        assert machine.systemctl_show(f"{SERVICE}.service")["ActiveState"] == "inactive"

    def test_without_the_secret_there_is_nothing_to_start_it_with(self, shared, machine, commit):  # noqa: F811
        shared.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        said = rebooted(machine)
        assert said["error"]["code"] == "E-SECRET-DENIED" and said["serving"] is None, said

    def test_in_the_same_boot_the_values_that_passed_are_still_there(self, shared, machine, commit):  # noqa: F811
        """Stopped by hand, and then a run that cannot have its secret."""
        machine.check(["systemctl", "stop", SERVICE])
        shared.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        failed = run(machine, *FLAGS)
        falls_back(status(machine)[1], commit, "E-SECRET-DENIED")
        assert f"commit {commit[:12]} serves again" in failed.stderr, failed.stderr


class TestRecords(Reboots):
    """Records that are lost, broken, of an older or of a newer agent."""

    @pytest.fixture(autouse=True)
    def moved(self, shared, machine, commit):  # noqa: F811
        """The branch goes on: a run that takes its newest commit deploys unasked."""
        shared.repo(SERVICE).commit("test", {"note": "newer", "server.js": "process.exit(3)\n"})
        return commit

    def stays(self, said: dict, commit: str) -> None:
        assert said["state"] in ("healthy", "warnings", "degraded") and said["commit"] == commit, said
        assert "200" in said["probe"], said

    @pytest.mark.parametrize("lost", [True, False], ids=["lost", "garbage"])
    def test_a_decision(self, machine, moved, lost):
        machine.check(["sh", "-c", 'rm "$1"' if lost else 'echo "{nonsense" > "$1"', "sh", decision(machine)])
        said = rebooted(machine)
        self.stays(said, moved)
        assert said["error"]["code"] == "E-RECORD-UNREADABLE" and "remove" not in said["error"]["remedy"], said["error"]
        assert json.loads(machine.read(decision(machine)))["source"]["commit"] == moved
        self.stays(rebooted(machine), moved)

    @pytest.mark.parametrize("lost", [True, False], ids=["lost", "garbage"])
    def test_what_passed(self, shared, machine, moved, lost):  # noqa: F811
        """And the planned release cannot be made, so that it is needed."""
        machine.check(["sh", "-c", 'rm "$1"' if lost else 'echo "{nonsense" > "$1"', "sh", GOOD])
        machine.write(OPERATORS, 'install = ["true"]\n' + BRIEF)
        shared.unreachable(GIT, how="refused")
        falls_back(rebooted(machine), moved, "E-GIT-UNREACHABLE")

    def test_a_claim(self, machine, moved):
        machine.check(["rm", CLAIM])
        said = rebooted(machine)
        assert (said["state"], said["commit"]) == ("healthy", moved), said
        assert machine.exists(CLAIM)

    def test_what_was_tried_last(self, machine, moved):
        attempt = f"{RECORDS}/attempt.json"
        machine.check(["sh", "-c", f"echo '{{nonsense' > {attempt}"])
        warned = machine.run(["bootagent", "run"], timeout=60)
        assert warned.code == 0 and f"reading {attempt}" in warned.stderr and "E-RECORD-UNREADABLE" in warned.stderr, warned
        assert json.loads(machine.read(attempt))["commit"] == moved

    def test_a_newer_agents_decision_is_not_touched(self, machine, moved):
        newer = json.dumps({"schema": 2, "something": "else"})
        before = machine.read(decision(machine))
        machine.write(decision(machine), newer, 0o600)
        said = rebooted(machine)
        falls_back(said, moved, "E-RECORD-NEWER")
        assert "schema 2" in " ".join(said["error"]["causes"]), said["error"]
        assert machine.read(decision(machine)) == newer
        machine.write(decision(machine), before, 0o600)

    def test_an_older_agents_records_and_release(self, shared, machine, moved):  # noqa: F811
        """As the agent before the schema wrote them: no numbers, no record of the release, whose name is another."""
        release = current(machine)
        old = f"{moved}-aaaaaaaaaaaa"
        machine.check(["mv", f"/opt/{SERVICE}/releases/{release}", f"/opt/{SERVICE}/releases/{old}"])
        machine.check(["mv", f"{RECORDS}/releases/{release}", f"{RECORDS}/releases/{old}"])
        machine.check(["ln", "-sfn", f"/opt/{SERVICE}/releases/{old}", f"/opt/{SERVICE}/current"])
        machine.check(["rm", "-rf", f"{RECORDS}/kept"])
        for path in (GOOD, f"{RECORDS}/attempt.json", decision(machine)):
            record = json.loads(machine.read(path).replace(release, old))
            del record["schema"]
            machine.write(path, json.dumps(record, indent=2) + "\n", 0o600)
        shared.unreachable(GIT, how="refused")
        said = rebooted(machine)
        assert (said["state"], said["commit"]) == ("healthy", moved), said
        assert (current(machine), releases(machine)) == (old, [old])
        assert json.loads(machine.read(GOOD))["schema"] == 1
        # From now on it has a record of its own, by which it is known again.
        machine.check(["rm", GOOD])
        said = rebooted(machine)
        assert (said["state"], current(machine)) == ("healthy", old), said


    def test_all_of_them(self, machine, moved):
        """A policy in the image names the repository, and nothing but the release tells what ran."""
        machine.write(POLICY, HURRY + 'repository = "https://github.com/acme/{service}.git"\n')
        machine.check(["rm", "-rf", "/var/lib/bootagent"])
        said = rebooted(machine)
        self.stays(said, moved)
        assert moved[:12] in " ".join(said["error"]["causes"]), said["error"]
        assert run(machine, *FLAGS).code == 0


# Ends with the value of a key, and otherwise serves.
PARTICULAR = {"server.js": 'if (process.env.MODE === "bad") process.exit(7);\n' + TALKING}
HASTY = NOTHING + 'port = 3000\nhealth = { path = "/health", soak = "1s", timeout = "6s", answer = "2s" }\n'


class TestBuiltOnceMore:
    """A release that passed before and does not come into service after a reboot."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        files = talking(**PARTICULAR, **{"bootagent.toml": HASTY})
        machine = serving(shared, binary, files, *FLAGS, MODE="good")
        machine.write(POLICY, 'budget = "25s"\n')
        return machine

    @pytest.fixture
    def release(self, shared, machine):  # noqa: F811
        yield f"/opt/{SERVICE}/releases/{current(machine)}"
        shared.dns.forget(GIT)
        shared.reachable(GIT)
        secret(shared, MODE="good")

    def fetches(self, shared, since: int) -> int:  # noqa: F811
        return len([entry for entry in shared.git.log[since:] if "/info/refs" in entry["path"]])

    def test_a_lost_file_comes_back(self, shared, machine, release):  # noqa: F811
        asked = len(shared.git.log)
        machine.check(["rm", f"{release}/server.js"])
        said = rebooted(machine)
        assert said["state"] == "healthy", said
        assert self.fetches(shared, asked) == 1 and machine.exists(f"{release}/server.js")
        assert any("rebuilding it" in note for note in said["notes"]), said["notes"]
        assert releases(machine) == [release.rpartition("/")[2]]

    def test_what_cannot_be_fetched_is_not_taken_away(self, shared, machine, release):  # noqa: F811
        shared.unreachable(GIT, how="refused")
        secret(shared, MODE="bad")
        said = rebooted(machine)
        assert said["error"]["code"] == "E-SERVICE-EXITED", said["error"]
        assert machine.exists(f"{release}/server.js")
        shared.dns.forget(GIT)
        shared.reachable(GIT)
        secret(shared, MODE="good")
        assert machine.run(["bootagent", "run"], timeout=120).code == 0

    def test_it_is_done_once_for_each_boot(self, shared, machine, release):  # noqa: F811
        asked = len(shared.git.log)
        secret(shared, MODE="bad")
        said = rebooted(machine)
        assert said["error"]["code"] == "E-SERVICE-EXITED", said["error"]
        assert self.fetches(shared, asked) == 1
        failed = run(machine, *FLAGS)
        assert failed.code != 0 and self.fetches(shared, asked) == 1, failed.stderr
        assert machine.exists(f"{release}/server.js")
        secret(shared, MODE="good")
        assert machine.run(["bootagent", "run"], timeout=120).code == 0


def test_a_sick_service_is_waited_for_once(world, binary):
    """Nothing was changed by the run, so that there is nothing to go back to."""
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    machine = serving(world, binary, talking(**{"bootagent.toml": HASTY}), *FLAGS)
    machine.check(["kill", "-STOP", process(machine)[1]])
    failed = machine.run(["bootagent", "run"], timeout=60)
    assert failed.code != 0 and "E-HEALTH-BAD-ANSWER" in failed.stderr, failed.stderr
    said = status(machine)[1]
    waited = [step["seconds"] for step in said["steps"] if "health-check" in step["id"]]
    assert len(waited) == 1 and waited[0] >= 6, said["steps"]
    assert "health-check-back" not in [step["id"] for step in said["steps"]]
    machine.check(["kill", "-CONT", process(machine)[1]])
    wait_for("it to answer", lambda: machine.http("http://127.0.0.1:3000/health").status == 200, 10)
    with Poller(machine) as poller:
        assert machine.run(["bootagent", "run"], timeout=60).code == 0
    assert poller.asked and not poller.failures, poller.failures
