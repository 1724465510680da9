"""`[processes]`: programs of one repository that run beside the service, as one deployment, on one machine."""

import json

import pytest
from lab.deadline import wait_for
from looks import SERVICE, ask, process, shared, status  # noqa: F401
from services import BRIEF, NOTHING, talking
from stage import POLICY, assert_failed, serving

WORKER = 'const fs = require("fs");\nconst say = () => fs.writeFileSync(process.env.HOME + "/WHO" + (process.env.INSTANCE ?? ""), process.cwd() + " " + process.env.TOKEN);\nsay();\nconsole.log("WHO at work");\nsetInterval(say, 100);\n'
MAIL, QUEUE = (f"{SERVICE}.{name}.service" for name in ("mail", "queue"))


def manifest(**processes: str) -> str:
    tables = [f'[processes.{name}]\nstart = "{line}"\n' for name, line in processes.items()]
    return NOTHING + BRIEF + "".join(tables)


def files(mail: str = WORKER, queue: str = WORKER) -> dict[str, object]:
    processes = {"mail": "node mail.js", "queue": "node queue.js"}
    scripts = {"mail.js": mail.replace("WHO", "mail"), "queue.js": queue.replace("WHO", "queue")}
    return talking(**scripts, **{"bootagent.toml": manifest(**processes)})


def wrote(machine, name: str) -> str:
    return machine.run(["cat", f"/var/lib/{SERVICE}/{name}"]).stdout


def active(machine, unit: str) -> bool:
    return machine.systemctl_show(unit)["ActiveState"] == "active"


def units(machine) -> list[str]:
    return sorted(machine.check(["sh", "-c", f"cd /etc/systemd/system && ls -d {SERVICE}.*.service 2>/dev/null || true"]).split())


class TestProcesses:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, files(), TOKEN="one")

    def test_each_process_is_a_unit_of_the_same_release_and_environment(self, machine):
        release = ask(machine, "release")
        for unit, name in ((MAIL, "mail"), (QUEUE, "queue")):
            shown = machine.systemctl_show(unit)
            assert (shown["ActiveState"], shown["User"], shown["NoNewPrivileges"]) == ("active", SERVICE, "yes"), shown
            wait_for(f"{name} to write", lambda name=name: wrote(machine, name) == f"{release} one", 10)
        beside = status(machine)[1]["serves"]["beside"]
        assert beside == [{"unit": unit, "active": "active", "restarts": 0} for unit in (MAIL, QUEUE)]

    def test_logs_are_those_of_all_or_of_one(self, machine):
        both = machine.check(["bootagent", "logs"])
        assert "mail at work" in both and "queue at work" in both
        one = machine.check(["bootagent", "logs", "--process", "queue"])
        assert "queue at work" in one and "mail at work" not in one
        assert machine.run(["bootagent", "logs", "--process", "*"]).code == 64

    def test_a_crash_of_one_process_restarts_no_other(self, machine):
        before, of_main = process(machine, QUEUE), process(machine)
        machine.check(["kill", "-9", process(machine, MAIL)[1]])
        wait_for("systemd to restart it", lambda: process(machine, MAIL)[2] == "1" and active(machine, MAIL), 20)
        assert (process(machine, QUEUE), process(machine)) == (before, of_main)
        code, said = status(machine)
        assert (code, said["serves"]["beside"][0]["restarts"]) == (0, 1)

    def test_another_value_of_the_secret_restarts_all(self, shared, machine):  # noqa: F811
        shared.secret(f"service_env_{SERVICE}_test", json.dumps({"TOKEN": "two"}))
        run = machine.run(["bootagent", "run"], timeout=120)
        assert run.code == 0, run.stderr
        wait_for("both to write", lambda: all(wrote(machine, name).endswith(" two") for name in ("mail", "queue")), 10)

    def test_a_process_that_was_stopped_by_hand_is_degraded_and_a_run_starts_it(self, machine):
        machine.check(["systemctl", "stop", QUEUE])
        code, said = status(machine)
        assert code == 1 and QUEUE in said["probe"], said
        main = process(machine)
        run = machine.run(["bootagent", "run"], timeout=120)
        assert run.code == 0, run.stderr
        assert active(machine, QUEUE) and process(machine) == main

    def test_a_process_that_exits_fails_the_update_and_the_former_processes_come_back(self, shared, machine):  # noqa: F811
        former = ask(machine, "release")
        broken = files(mail='console.log("no queue there"); process.exit(3)')
        shared.repo(SERVICE).commit("test", broken | {"bootagent.toml": manifest(mail="node mail.js", more="node queue.js")})
        update = machine.run(["bootagent", "update"], timeout=180)
        said = assert_failed(machine, update, 2, "E-SERVICE-EXITED", MAIL, "status 3")
        assert any("no queue there" in line for line in said["last_run"]["error"]["output"]), said["last_run"]["error"]
        assert ask(machine, "release") == former and units(machine) == [MAIL, QUEUE]
        assert active(machine, MAIL) and active(machine, QUEUE)
        assert machine.systemctl_show(f"{SERVICE}.more.service")["ActiveState"] == "inactive"
        wait_for("mail of the former release", lambda: wrote(machine, "mail").startswith(former), 10)

    def test_a_process_that_the_next_commit_does_not_have_is_stopped_and_its_unit_removed(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", files() | {"bootagent.toml": manifest(queue="node queue.js")})
        update = machine.run(["bootagent", "update"], timeout=180)
        assert update.code == 0, update.stderr
        assert units(machine) == [QUEUE] and not active(machine, MAIL)
        machine.check(["rm", f"/var/lib/{SERVICE}/mail"])
        back = machine.run(["bootagent", "rollback"], timeout=180)
        assert back.code == 0, back.stderr
        assert units(machine) == [MAIL, QUEUE] and active(machine, MAIL)

    def test_processes_stop_and_start_with_the_service_and_after_a_reboot(self, machine):
        machine.check(["systemctl", "stop", f"{SERVICE}.service"])
        assert not active(machine, MAIL) and not active(machine, QUEUE)
        machine.check(["systemctl", "start", f"{SERVICE}.service"])
        wait_for("both processes", lambda: active(machine, MAIL) and active(machine, QUEUE), 20)
        machine.reboot()
        wait_for("the boot's run", lambda: status(machine)[1]["state"] == "healthy", 60, evidence=machine.console_tail)
        assert active(machine, MAIL) and active(machine, QUEUE)


    def test_instances_are_units_with_a_number_and_limits_within_the_policy_s(self, shared, machine):  # noqa: F811
        tables = '[processes.mail]\nstart = "node mail.js"\ninstances = 3\nlimits = { memory = "300M", tasks = 64 }\n'
        shared.repo(SERVICE).commit("test", files() | {"bootagent.toml": NOTHING + BRIEF + tables})
        machine.write(POLICY, '[limits]\nmemory = "200M"\nprocesses = 2\n')
        refused = machine.run(["bootagent", "update"], timeout=180)
        assert_failed(machine, refused, 2, "E-POLICY-REFUSED", "asks for 3 processes", "limits.processes")
        assert units(machine) == [MAIL, QUEUE]
        machine.write(POLICY, '[limits]\nmemory = "200M"\nopen_files = 4096\nprocesses = 3\n')
        update = machine.run(["bootagent", "update"], timeout=180)
        assert update.code == 0 and "processes.mail.limits.memory is 300M" in update.stderr, update.stderr
        each = [f"{SERVICE}.mail@{number}.service" for number in (1, 2, 3)]
        assert units(machine) == each and all(active(machine, unit) for unit in each) and not active(machine, MAIL)
        wait_for("each to write its own file", lambda: all(wrote(machine, f"mail{number}") for number in (1, 2, 3)), 10)
        for unit in (f"{SERVICE}.service", each[1]):
            shown = machine.systemctl_show(unit)
            assert (shown["MemoryMax"], shown["LimitNOFILE"]) == (str(200 << 20), "4096"), shown
        assert machine.systemctl_show(each[1])["TasksMax"] == "64"
        code, said = status(machine)
        assert (code, [unit["unit"] for unit in said["serves"]["beside"]]) == (0, each)
        assert "mail at work" in machine.check(["bootagent", "logs", "--process", "mail"])


JOB, TIMER = f"{SERVICE}.tidy.service", f"{SERVICE}.tidy.timer"
TIDY = """\
const fs = require("fs"), file = process.env.HOME + "/tidied";
fs.appendFileSync(file, process.env.TOKEN + "\\n");
if (fs.existsSync(process.env.HOME + "/fail")) process.exit(4);
"""


def tidied(machine) -> list[str]:
    return machine.run(["cat", f"/var/lib/{SERVICE}/tidied"]).stdout.split()


def timed(schedule: str) -> dict[str, object]:
    tables = f'[limits]\nmemory = "300M"\nopen_files = 4096\n[timers.tidy]\nschedule = "{schedule}"\ncommand = "node tidy.js"\n'
    return talking(**{"tidy.js": TIDY, "bootagent.toml": NOTHING + BRIEF + tables})


class TestTimers:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, timed("*-*-* *:*:0/2"), TOKEN="one")

    def test_the_command_runs_at_its_times_with_the_service_s_environment(self, machine):
        wait_for("two runs", lambda: len(tidied(machine)) >= 2, 20)
        assert set(tidied(machine)) == {"one"}
        shown = machine.systemctl_show(JOB)
        assert (shown["User"], shown["ProtectSystem"], shown["Type"]) == (SERVICE, "strict", "oneshot")

    def test_the_service_and_its_jobs_have_the_limits_of_the_manifest(self, machine):
        for unit in (f"{SERVICE}.service", JOB):
            shown = machine.systemctl_show(unit)
            assert (shown["MemoryMax"], shown["LimitNOFILE"]) == (str(300 << 20), "4096")

    def test_a_command_that_fails_is_shown_and_the_service_is_healthy(self, machine):
        machine.check(["touch", f"/var/lib/{SERVICE}/fail"])
        wait_for("the failure", lambda: machine.systemctl_show(JOB)["ActiveState"] == "failed", 20)
        code, said = status(machine)
        states = {unit["unit"]: unit["active"] for unit in said["serves"]["beside"]}
        assert (code, states[TIMER]) == (0, "active") and states[JOB] in ("failed", "activating"), said
        assert machine.run(["bootagent", "run"], timeout=120).code == 0
        machine.check(["rm", f"/var/lib/{SERVICE}/fail"])

    def test_a_time_that_systemd_does_not_know_fails_the_update_and_the_former_timer_runs(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", timed("*-*-* 25:00:00"))
        update = machine.run(["bootagent", "update"], timeout=180)
        assert_failed(machine, update, 2, "E-UNIT-FAILED", TIMER)
        before = len(tidied(machine))
        wait_for("another run", lambda: len(tidied(machine)) > before, 20)

    def test_a_timer_that_the_next_commit_does_not_have_runs_no_more(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", {"bootagent.toml": NOTHING + BRIEF})
        update = machine.run(["bootagent", "update"], timeout=180)
        assert update.code == 0, update.stderr
        assert machine.systemctl_show(TIMER)["ActiveState"] == "inactive"
        assert machine.run(["sh", "-c", f"ls /etc/systemd/system/{SERVICE}.*.*"]).code != 0
        assert machine.systemctl_show(f"{SERVICE}.service")["MemoryMax"] == "infinity"
