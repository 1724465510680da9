"""What is said of a run: the status and its exit status, the journal's fields, five lines on the console."""

import json
import re

import pytest
from lab.deadline import wait_for
from looks import CACHE, SERVICE, USER_DATA, process, secret, shared, status, wait_for_install  # noqa: F401
from services import lingering, talking
from stage import run

# Reads the status as fast as it can, until the run is healthy, and tells what it could not read.
WATCH = """
import json, os, time
seen, bad = set(), []
while not seen & {"healthy", "failed"}:
    try:
        with open("/run/bootagent/status.json") as file: seen.add(json.load(file)["state"])
    except FileNotFoundError: pass
    except ValueError as error: bad.append(str(error))
with open("/var/tmp/watched", "w") as file: json.dump([sorted(seen), bad], file)
"""


def last_words(machine) -> list[str]:
    """The agent's lines on the console."""
    return [line.strip() for line in machine.console().splitlines() if line.startswith("bootagent: ")]


class TestWhileBooting:
    """cloud-init's run waits in npm ci while the status is asked and a second run is tried; then it goes on."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        commit = shared.repo(SERVICE).commit("test", lingering())
        secret(shared, TOKEN="t")
        machine = shared.launch(user_data=USER_DATA, binary=binary)
        machine.check(["systemd-run", "--unit=watch", "python3", "-I", "-c", WATCH])
        wait_for_install(machine)
        booting = status(machine)
        second, untouched = run(machine), status(machine)
        impatient = machine.run(["bootagent", "status", "--wait", "--timeout", "1s"])
        machine.check(["touch", f"{CACHE}/go"])
        waited = machine.run(["bootagent", "status", "--wait", "--timeout", "60s"], timeout=70)
        done = machine.wait_for_cloud_init()
        return {
            "machine": machine, "commit": commit, "booting": booting, "second": second, "untouched": untouched,
            "impatient": impatient, "waited": waited, "cloud-init": done,
        }  # fmt: skip

    def test_status_is_3_and_names_the_running_step(self, story):
        code, said = story["booting"]
        assert (code, said["state"]) == (3, "booting")
        running = [step["id"] for step in said["steps"] if step["outcome"] == "running"]
        assert running == ["install"]

    def test_a_second_run_says_that_it_is_busy_and_leaves(self, story):
        assert story["second"].code == 75 and "E-BUSY" in story["second"].stderr, story["second"]
        code, said = story["untouched"]
        assert (code, said["run_id"]) == (3, story["booting"][1]["run_id"]), "the second run wrote the first one's status"

    def test_wait_waits_and_says_how_it_ended(self, story):
        assert story["impatient"].code == 3, story["impatient"]
        assert story["waited"].code == 0 and "healthy" in story["waited"].stdout, story["waited"]

    def test_the_first_run_finishes(self, story):
        assert story["cloud-init"].user_data_code == 0, story["cloud-init"].output

    def test_the_status_file_is_public_and_never_half_written(self, story):
        machine = story["machine"]
        found = machine.stat("/run/bootagent/status.json")
        assert (found.mode, found.owner, found.kind) == (0o644, "root", "regular file")
        assert machine.run(["bootagent", "status"], user="nobody").code == 0
        wait_for("the watcher to end", lambda: machine.exists("/var/tmp/watched"), 10)
        assert json.loads(machine.read("/var/tmp/watched")) == [["booting", "healthy"], []]

    @pytest.mark.parametrize("step", ["checkout", "install", "unit", "start", "health-check"])
    def test_the_journal_has_each_steps_fields(self, story, step):
        entries = story["machine"].journal(BOOTAGENT_STEP=step)
        assert len(entries) == 1, entries
        (entry,) = entries
        run_id = story["booting"][1]["run_id"]
        fields = ("BOOTAGENT_SERVICE", "BOOTAGENT_COMMIT", "BOOTAGENT_RUN_ID", "SYSLOG_IDENTIFIER")
        assert [entry.get(field) for field in fields] == [SERVICE, story["commit"], run_id, "bootagent"]
        assert re.fullmatch(r"\d+", entry.get("BOOTAGENT_DURATION_MS", "")), entry
        assert "BOOTAGENT_CODE" not in entry

    def test_the_console_has_the_last_words(self, story):
        words = last_words(story["machine"])
        assert 0 < len(words) <= 5, "\n".join(words)
        for part in (SERVICE, "test", "healthy", story["commit"][:12]):
            assert part in words[0], words[0]

    def test_a_service_that_systemd_restarted_is_in_service_again(self, story):
        machine = story["machine"]
        before = process(machine)
        machine.check(["kill", "-KILL", before[1]])
        wait_for("systemd to restart it", lambda: process(machine)[2] != before[2], 20)
        wait_for("it to listen", lambda: machine.run(["bash", "-c", "</dev/tcp/127.0.0.1/3000"]).code == 0, 20)
        code, said = status(machine)
        assert (code, said["state"]) == (0, "healthy"), said["error"]

    def test_a_service_that_is_stopped_later_is_not_in_service(self, story):
        machine = story["machine"]
        machine.check(["systemctl", "stop", SERVICE])
        try:
            code, said = status(machine)
            assert (code, said["state"]) == (1, "failed")
            assert "inactive" in " ".join(said["error"]["causes"]), said["error"]
        finally:
            machine.check(["systemctl", "start", SERVICE])


class TestFailed:
    """npm ci fails."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", talking({"postinstall": "echo no luck >&2; exit 7"}, installs=True))
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary)
        assert run(machine).code == 1
        return machine

    def test_status_is_1_with_the_cause(self, machine):
        code, said = status(machine)
        assert (code, said["state"], said["error"]["code"]) == (1, "failed", "E-INSTALL-FAILED")
        assert "no luck" in " ".join(said["error"]["causes"]), said["error"]
        assert said["error"]["remedy"]

    def test_the_journal_has_the_code_at_the_step_and_at_the_end(self, machine):
        entries = machine.journal(BOOTAGENT_CODE="E-INSTALL-FAILED")
        assert [entry.get("BOOTAGENT_STEP") for entry in entries] == ["install", None], entries

    def test_the_console_names_cause_and_remedy(self, machine):
        words = last_words(machine)
        assert len(words) == 5, "\n".join(words)
        assert "FAILED" in words[0] and "E-INSTALL-FAILED" in words[1]
        assert "cause: " in words[2] and "remedy: " in words[3]
