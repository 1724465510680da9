"""What `status` tells is the present: what serves, since when, restarted how often, and beside it how the last run ended."""

import json
import re
import time
from pathlib import Path

import pytest
from lab.deadline import wait_for
from looks import CACHE, SERVICE, ask, current, flat, process, secret, shared, status, wait_for_install  # noqa: F401
from services import NOTHING, lingering, talking
from stage import assert_failed, run, serving

pytestmark = pytest.mark.variants

UNIT = f"{SERVICE}.service"
HOLD = "/var/lib/bootagent/hold"
# Nothing of it waits long.
SHORT = NOTHING + 'port = 3000\nhealth = { path = "/health", soak = "1s", timeout = "3s" }\n'


def view(machine, *flags: str) -> tuple[int, dict]:
    asked = machine.run(["bootagent", "status", "--output", "json", *flags])
    return asked.code, asked.json()


def text(machine, *flags: str) -> list[str]:
    return machine.run(["bootagent", "status", *flags]).stdout.splitlines()


def listens(machine) -> bool:
    return machine.run(["bash", "-c", "</dev/tcp/127.0.0.1/3000"]).code == 0


def examples() -> list[str]:
    """The shell of docs/reference/status.md, up to the section on JSON."""
    page = (Path(__file__).parents[2] / "docs/reference/status.md").read_text().partition("\n## JSON")[0]
    return re.findall(r"```sh\n(.*?)```", page, re.DOTALL)


def crash(machine) -> None:
    """The service is killed, and systemd starts it again."""
    before = process(machine)
    machine.check(["kill", "-KILL", before[1]])
    wait_for("systemd to restart it", lambda: process(machine)[0] != before[0] and process(machine)[1] != "0", 20, every=0.1)
    wait_for("it to listen", lambda: listens(machine), 20, every=0.1)


class TestServes:
    """One machine that serves; each test leaves it as it found it, by a plain run."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, talking(**{"bootagent.toml": SHORT}))

    @pytest.fixture(autouse=True)
    def well_again(self, machine):
        yield
        machine.run(["rm", "-f", HOLD])
        again = machine.run(["bootagent", "run"], timeout=60)
        assert again.code == 0, again.stderr

    def test_a_healthy_service_is_told_in_six_lines(self, machine):
        code, seen = view(machine)
        invocation, _, _ = process(machine)
        assert (code, seen["schema"], seen["state"], seen["why"]) == (0, 2, "healthy", []), seen
        serves = seen["serves"]
        assert serves["commit"] == seen["wanted"] == seen["pinned"]["commit"] == current(machine).split("-")[0]
        assert (serves["answers"], serves["passed"], serves["invocation"]) == (True, True, invocation)
        assert (serves["restarts"], serves["by_hand"], serves["masked"], seen["held"]) == (0, [], False, None)
        assert abs(time.time() - serves["since"]) < 600 and "200" in serves["detail"], serves
        assert (seen["last_run"]["schema"], seen["last_run"]["state"]) == (1, "healthy")
        lines = text(machine)
        assert lines[0] == f"{SERVICE} (test): healthy", lines
        heads = [line.split()[0] for line in lines[1:]]
        notes = ["note"] * len(seen["last_run"]["notes"])
        assert heads == ["serves", "last", "pinned", "to", "look", *notes], lines
        assert any(" health-check " in line for line in text(machine, "--steps")[len(lines):])

    def test_the_first_good_answer_is_told_without_the_soak(self, machine):
        machine.check(["systemctl", "restart", UNIT])
        again = machine.run(["bootagent", "run"], timeout=60)
        assert again.code == 0 and "/health: first 200 after 0." in again.stderr, again.stderr
        assert "stayed healthy for 1 s" in again.stderr, again.stderr

    def test_a_user_other_than_root_is_told_what_systemd_says(self, machine):
        asked = machine.run(["bootagent", "status", "--output", "json"], user="nobody")
        seen = asked.json()
        assert (asked.code, seen["state"], seen["serves"]["answers"]) == (0, "healthy", None), seen
        assert "only root" in seen["serves"]["detail"] and seen["pinned"] is None
        machine.check(["systemctl", "stop", UNIT])
        assert machine.run(["bootagent", "status"], user="nobody").code == 1

    def test_whether_the_branch_has_a_newer_commit(self, shared, machine):  # noqa: F811
        repo = shared.repo(SERVICE)
        asked = len(shared.git.log)
        assert view(machine)[1].get("newer") is None and len(shared.git.log) == asked, "it was asked unasked"
        assert view(machine, "--remote")[1]["newer"] == "none"
        newer = repo.commit("test", {"note": "newer"})
        code, seen = view(machine, "--remote")
        assert (code, seen["newer"]) == (0, {"commit": newer}), seen
        assert f"which has {newer[:12]} by now" in text(machine, "--remote")[3]
        # Only where the branch is was asked for.
        assert not [entry for entry in shared.git.log[asked:] if entry["path"].endswith("/git-upload-pack") and "fetch" in str(entry)]
        shared.repo(SERVICE).fail(503)
        began = time.monotonic()
        code, seen = view(machine, "--remote")
        repo.heal()
        assert code == 0 and seen["newer"]["unknown"]["code"] == "E-GIT-UNREACHABLE", seen["newer"]
        assert time.monotonic() - began < 45

    def test_a_dry_run_says_how_much_is_to_do_and_foresees_a_restart(self, shared, machine):  # noqa: F811
        dry = ["bootagent", "--dry-run", "--detailed-exitcode"]
        nothing = machine.run(dry)
        steps = len(machine.run(["bootagent", "--dry-run", "--output=json"]).json()["steps"])
        assert nothing.code == 0 and nothing.stdout.splitlines()[0].endswith(f": 0 to do, {steps} unchanged"), nothing
        assert "\n= health-check: " not in nothing.stdout and "\n= health-check: " in machine.run([*dry, "-v"]).stdout
        shared.repo(SERVICE).commit("test", {"note": "for a dry run"})
        before = process(machine)
        update = machine.run([*dry, "--update"])
        first = update.stdout.splitlines()[0]
        assert update.code == 2 and first.endswith(f"unchanged, restarts {SERVICE}"), first
        assert "\n> start: " in update.stdout and "\n> health-check: " in update.stdout, update.stdout
        assert f"\n~ switch: link /opt/{SERVICE}/current" in update.stdout
        assert process(machine) == before

    def test_the_examples_of_the_reference_run(self, machine):
        """For a load balancer, for cron and for monitoring: in service, and out of it."""
        balancer, cron, monitoring = examples()
        assert machine.run(["sh", "-c", balancer]).stdout == "in service\n"
        nightly = machine.run(["sh", "-c", cron], timeout=60)
        assert nightly.stdout == "", nightly.stdout
        seen = machine.run(["sh", "-c", monitoring])
        assert (seen.code, seen.stdout) == (0, f"OK {SERVICE} (test): healthy\n"), seen
        machine.check(["systemctl", "stop", UNIT])
        assert machine.run(["sh", "-c", balancer]).stdout == "out of service\n"
        seen = machine.run(["sh", "-c", monitoring])
        assert seen.code == 2 and seen.stdout.startswith(f"CRITICAL {SERVICE} (test): FAILED: it was stopped"), seen

    def test_a_failed_run_does_not_make_it_red(self, shared, machine):  # noqa: F811
        shared.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        failed = machine.run(["bootagent", "run", "--imds-wait=3s"], timeout=60)
        shared.aws.heal()
        said = assert_failed(machine, failed, 2, "E-SECRET-DENIED")
        assert said["last_run"]["state"] == "degraded" and said["serves"]["answers"] is True
        (why,) = said["why"]
        assert why == "the last run failed (E-SECRET-DENIED)"
        lines = text(machine)
        assert len(lines) == 6 and lines[0].startswith(f"{SERVICE} (test): degraded: the last run failed"), lines
        assert "answered 200" in lines[1] and "not allowed any more" in lines[2], lines
        assert f"is degraded after" in failed.stderr and "serves" in failed.stderr
        # The cause is told once.
        assert failed.stderr.count("not allowed any more") == 1, failed.stderr

    def test_what_is_well_again_after_a_failed_run_is_degraded_and_names_it(self, shared, machine):  # noqa: F811
        """It was stopped by a failing run, or by hand, and serves again without one."""
        machine.check(["systemctl", "stop", UNIT])
        shared.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        failed = machine.run(["bootagent", "run", "--imds-wait=3s"], timeout=60)
        shared.aws.heal()
        if failed.code != 2:
            assert view(machine)[0] == 1
            machine.check(["systemctl", "start", UNIT])
            wait_for("it to listen", lambda: listens(machine), 20)
        code, seen = view(machine)
        assert (code, seen["state"]) == (4, "degraded") and seen["serves"]["answers"], seen

    def test_one_that_was_stopped_says_so(self, machine):
        machine.check(["systemctl", "stop", UNIT])
        code, seen = view(machine)
        assert (code, seen["state"], seen["error"]["code"]) == (1, "failed", "E-SERVICE-STOPPED"), seen
        assert "systemctl start" in seen["error"]["remedy"]
        assert "nothing" in text(machine)[1]

    def test_one_that_does_not_answer_is_failed(self, machine):
        pid = process(machine)[1]
        machine.check(["kill", "-STOP", pid])
        try:
            code, seen = view(machine)
        finally:
            machine.check(["kill", "-CONT", pid])
        assert (code, seen["error"]["code"], seen["serves"]["answers"]) == (1, "E-HEALTH-BAD-ANSWER", False), seen

    def test_restarts_since_the_check_are_counted_and_three_are_a_crash_loop(self, machine):
        for number in (1, 2):
            crash(machine)
            code, seen = view(machine)
            assert (code, seen["state"], seen["serves"]["restarts"]) == (0, "healthy", number), seen
        assert abs(time.time() - seen["serves"]["last_restart"]) < 30
        assert "restarted 2 times since its health check, last " in text(machine)[1]
        crash(machine)
        code, seen = view(machine)
        assert (code, seen["state"]) == (4, "degraded"), seen
        assert "restarted it 3 times within ten minutes" in seen["why"][0]
        # A check that it passes begins the count anew.
        assert machine.run(["bootagent", "run"], timeout=60).code == 0
        code, seen = view(machine)
        assert (code, seen["serves"]["restarts"], seen["serves"]["recent_restarts"]) == (0, 0, 0), seen

    def test_what_was_changed_by_hand_is_told(self, machine):
        unit = f"/etc/systemd/system/{UNIT}"
        before = machine.read(unit)
        machine.write(unit, before + "# by hand\n")
        try:
            code, seen = view(machine)
        finally:
            machine.write(unit, before)
        assert (code, seen["state"]) == (4, "degraded") and seen["serves"]["by_hand"], seen
        assert UNIT in seen["serves"]["by_hand"][0]

    def test_a_current_that_points_elsewhere_is_told(self, machine):
        at = f"/opt/{SERVICE}/current"
        release = machine.readlink(at)
        machine.check(["ln", "-sfn", "/opt/elsewhere", at])
        try:
            code, seen = view(machine)
        finally:
            machine.check(["ln", "-sfn", release, at])
        assert (code, seen["state"], seen["serves"]["passed"]) == (4, "degraded", False), seen
        assert "/opt/elsewhere" in seen["serves"]["by_hand"][0], seen

    def test_a_hold_is_told(self, machine):
        machine.write(HOLD, json.dumps({"since": 1700000000, "reason": "database move"}))
        code, seen = view(machine)
        assert (code, seen["state"], seen["held"]["reason"]) == (4, "degraded", "database move"), seen
        assert "held: database move" in text(machine)[0]

    def test_a_lost_record_beside_what_serves_is_not_not_started(self, machine):
        machine.check(["rm", "/run/bootagent/status.json"])
        code, seen = view(machine)
        assert (code, seen["state"], seen["last_run"]) == (4, "degraded", None), seen
        assert "no record" in seen["why"][0] and seen["serves"]["answers"] is True

    def test_a_silent_agent_that_holds_the_lock_lives(self, machine):
        """B20: its record is 40 s old, and it holds the lock."""
        record = json.loads(machine.read("/run/bootagent/status.json"))
        hold = "import fcntl, os, time; f = open('/run/bootagent/run.lock', 'w'); fcntl.flock(f, 2); print(os.getpid(), flush=True); time.sleep(60)"
        machine.check(["systemd-run", "--quiet", "--unit=holder", "python3", "-c", hold])
        try:
            wait_for("the lock to be held", lambda: machine.run(["bootagent", "run"]).code == 75, 20)
            pid = int(machine.systemctl_show("holder.service")["MainPID"])
            ticks = int(machine.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])
            silent = record | {"state": "booting", "pid": pid, "pid_started": ticks, "finished": None}
            silent["heartbeat"] = int(time.time()) - 40
            machine.check(["tee", "/run/bootagent/status.json"], stdin=json.dumps(silent))
            code, seen = view(machine)
        finally:
            machine.check(["systemctl", "stop", "holder"])
        assert (code, seen["state"]) == (0, "updating") and "reported nothing for 4" in "".join(seen["why"]), seen
        code, seen = view(machine)
        assert (code, seen["state"], seen["error"]["code"]) == (4, "degraded", "E-AGENT-DIED"), seen


class TestUpdating:
    """An update waits in npm ci, and the former commit serves meanwhile."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        machine = serving(shared, binary)
        good = current(machine).split("-")[0]
        wanted = shared.repo(SERVICE).commit("test", lingering())
        machine.check(["systemd-run", "--quiet", "--unit=update", "--property=Type=exec", "bootagent", "run", "--update"])
        wait_for_install(machine)
        return machine, good, wanted

    def test_what_serves_is_told(self, story):
        machine, good, wanted = story
        code, seen = view(machine)
        assert (code, seen["state"]) == (0, "updating"), seen
        assert (seen["serves"]["commit"], seen["serves"]["answers"]) == (good, True)
        assert (seen["wanted"], seen["last_run"]["state"]) == (wanted, "booting")
        assert "updating" in text(machine)[0] and good[:12] in text(machine)[1], text(machine)
        asked = machine.run(["bootagent", "status"], user="nobody")
        assert asked.code == 0 and "updating" in asked.stdout, asked

    def test_waiting_for_it_to_no_end_is_not_a_success(self, story):
        assert story[0].run(["bootagent", "status", "--wait", "--timeout", "1s"]).code == 3

    def test_one_that_is_stopped_meanwhile_is_not_updating(self, story):
        machine, _, _ = story
        machine.check(["systemctl", "stop", UNIT])
        code, seen = view(machine)
        assert (code, seen["state"], seen["serves"]["answers"]) == (3, "booting", False), seen
        machine.check(["systemctl", "start", UNIT])
        wait_for("it to listen", lambda: listens(machine), 20)

    def test_it_ends_well(self, story):
        machine, _, wanted = story
        machine.check(["touch", f"{CACHE}/go"])
        waited = machine.run(["bootagent", "status", "--wait", "--timeout", "60s"], timeout=70)
        assert waited.code == 0, waited.stdout
        assert view(machine)[1]["serves"]["commit"] == wanted


class TestCannotStart:
    """systemd's own last word is in the cause."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary)

    def test_a_unit_of_ours_on_a_read_only_disk(self, machine):
        machine.check(["mount", "--bind", "/var/cache", "/var/cache"])
        machine.check(["mount", "-o", "remount,bind,ro", "/var/cache"])
        try:
            failed = machine.run(["bootagent", "run", "--update"], timeout=60)
        finally:
            machine.check(["umount", "/var/cache"])
        assert failed.code == 2 and "Read-only file system" in failed.stderr, failed.stderr
        assert "status 239" not in failed.stderr and "free space" not in failed.stderr, failed.stderr

    def test_the_services_unit(self, shared, machine):  # noqa: F811
        """Its directory is gone for its user."""
        dropin = f"/etc/systemd/system/{UNIT}.d/where.conf"
        machine.check(["mkdir", "-p", dropin.rpartition("/")[0]])
        machine.write(dropin, "[Service]\nWorkingDirectory=/nowhere\n")
        machine.check(["systemctl", "daemon-reload"])
        machine.check(["systemctl", "stop", UNIT])
        try:
            failed = machine.run(["bootagent", "run"], timeout=60)
            said = assert_failed(machine, failed, 1, "E-UNIT-FAILED", "systemd says: ", "No such file or directory")
        finally:
            # From here on systemd's own restart may succeed.
            machine.check(["rm", "-r", dropin.rpartition("/")[0]])
            machine.check(["systemctl", "daemon-reload"])
        assert "CHDIR" in " ".join(said["last_run"]["error"]["causes"]), said["last_run"]["error"]
