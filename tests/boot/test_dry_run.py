"""A dry run as root on a real instance: everything is read, everything is shown, nothing is changed."""

import json
import secrets
import time

import pytest
from lab.deadline import wait_for
from looks import SERVICE, difference, files, leftovers, secret, shared, status  # noqa: F401
from services import express, talking
from stage import MARGIN, REPOSITORY, run

# What the kernel and systemd change by themselves, for any transient unit or none.
VOLATILE = ("/proc", "/sys", "/dev/pts", "/run/systemd", "/run/log", "/run/lab", "/var/log/journal")
# systemd gives each unit directories of its own there, and takes them back: the times of these few may change.
BUSY = {"/tmp", "/var/tmp", "/run", "/var/cache", "/var/cache/private"}


def everything(machine) -> dict[str, list]:
    return {path: what[:-1] if path in BUSY else what for path, what in files(machine, "/", but=VOLATILE).items()}


class TestDryRun:
    """Dry, and then the run itself, and dry again."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        value = secrets.token_hex(16)
        scripts = {"build": "node build.js", "start": "node server.js"}
        commit = shared.repo(SERVICE).commit("test", express(scripts))
        secret(shared, TOKEN=value)
        machine = shared.launch(binary=binary)
        before, nothing = everything(machine), status(machine)
        text = run(machine, "--dry-run")
        after, still_nothing = everything(machine), status(machine)
        asked = {"imds": [*shared.imds.log], "git": [*shared.git.log], "aws": [*shared.aws.log]}
        plan = run(machine, "--dry-run", "--output", "json")
        assert text.code == plan.code == 0, f"{text}{plan}"
        dry = {
            "value": value, "commit": commit, "before": before, "after": after, "nothing": nothing,
            "still nothing": still_nothing, "asked": asked, "text": text.stdout, "plan": plan.json(), "json": plan,
            "console": machine.console(), "left": leftovers(machine),
        }  # fmt: skip
        real = run(machine)
        assert real.code == 0, real.stderr
        return dry | {"machine": machine, "status": status(machine)[1], "again": run(machine, "--dry-run").stdout}

    def test_nothing_is_changed(self, story):
        changes = difference(story["before"], story["after"])
        assert not changes, "\n".join(changes)
        assert story["left"] == []

    def test_there_was_no_run(self, story):
        for code, said in (story["nothing"], story["still nothing"]):
            assert (code, said["state"]) == (3, "not-started")
        assert "bootagent: " not in story["console"]

    def test_the_reads_are_real(self, story):
        asked = story["asked"]
        assert any("tags/instance/bootagent:service" in entry["path"] for entry in asked["imds"])
        assert any(entry["path"].endswith("/git-upload-pack") and entry["status"] == 200 for entry in asked["git"])
        assert [(entry["action"], entry["secret"], entry["status"]) for entry in asked["aws"]] == [
            ("GetSecretValue", f"service_env_{SERVICE}_test", 200)
        ]

    def test_each_file_that_the_run_writes_was_announced(self, story):
        machine, text = story["machine"], story["text"]
        for path in [f"/etc/systemd/system/{SERVICE}.service", f"/run/bootagent/{SERVICE}/env", f"/run/bootagent/{SERVICE}/dotenv",
                     "/etc/systemd/system/bootagent.service", f"/opt/{SERVICE}/current"]:  # fmt: skip
            assert machine.exists(path) and path in text, path
        # The unit is shown to the last line.
        for line in machine.read(f"/etc/systemd/system/{SERVICE}.service").splitlines():
            assert line in text, f"not shown: {line}"
        written = set(files(machine, "/etc", "/opt", "/usr/local", "/var/lib", "/var/cache")) - set(story["before"])
        release = machine.readlink(f"/opt/{SERVICE}/current")
        cache = f"/var/cache/bootagent/{SERVICE}"
        surprises = [path for path in written if not path.startswith((f"{release}/", f"{cache}/")) and path not in text]
        # The parents of what is named, and sysusers' backups of what it changes.
        parents = [f"/opt/{SERVICE}", "/var/lib/bootagent", "/var/cache/bootagent", "/etc/passwd-", "/etc/group-",
                   "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock"]  # fmt: skip
        surprises = [path for path in surprises if not any(path.startswith(parent) for parent in parents)]
        assert not surprises, "\n".join(sorted(surprises))

    def test_commands_are_shown_with_their_user(self, story):
        steps = {step["id"]: step["action"] for step in story["plan"]["steps"]}
        assert [steps[name]["argv"][1:3] for name in ("install", "build", "prune-dependencies")] == [["ci", "--no-audit"], ["run", "build"], ["prune", "--omit=dev"]]
        for name in ("install", "build", "prune-dependencies"):
            assert steps[name]["user"] == f"{SERVICE}-build"
            assert " ".join(steps[name]["argv"]) in story["text"]
        assert story["text"].count(f"as {SERVICE}-build in ") == 3

    def test_secrets_are_key_names_only(self, story):
        assert "TOKEN" in story["text"] and "TOKEN" in story["json"].stdout
        for said in (story["text"], story["json"].stdout, story["json"].stderr):
            assert story["value"] not in said

    @pytest.mark.parametrize(
        "name, value, origin",
        [
            ("service", SERVICE, "tag bootagent:service"),
            ("environment", "test", "tag bootagent:environment"),
            ("branch", "test", "default"),
            ("repository", REPOSITORY.format(service=SERVICE), "flag"),
            ("secret", f"service_env_{SERVICE}_test", "default"),
        ],
    )
    def test_settings_have_their_origin(self, story, name, value, origin):
        assert {"name": name, "value": value, "origin": origin} in story["plan"]["settings"]
        (line,) = [line for line in story["text"].splitlines() if line.split()[:1] == [name]]
        assert value in line and f"({origin})" in line

    def test_the_recovery_is_shown(self, story):
        assert f"stop {SERVICE}.service" in story["text"].partition("\nIf it fails\n")[2]
        assert [step["action"]["verb"] for step in story["plan"]["recover"]] == ["discard-unfinished", "stop-unit"]

    def test_the_run_does_these_steps_and_no_others(self, story):
        planned = {step["id"]: step["why"] for step in story["plan"]["steps"]}
        done = {step["id"]: step["why"] for step in story["status"]["steps"]}
        assert done == planned
        assert story["status"]["commit"] == story["plan"]["commit"] == story["commit"]

    def test_afterwards_all_is_already_so(self, story):
        steps = len(story["plan"]["steps"])
        planned = story["again"].partition("\nIf it fails\n")[0].splitlines()
        would = [line for line in planned if line.startswith(("+ ", "~ ", "> ", "- "))]
        assert not would, "\n".join(would)
        assert planned[0].endswith(f": 0 to do, {steps} unchanged"), planned[0]
        assert f"= {steps} more, which change nothing: -v shows them" in planned


def test_what_killed_dry_runs_left_goes_with_the_next_run_and_a_living_one_s_stays(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    repo = world.repo(SERVICE)
    repo.commit("test", talking())
    repo.stall(after=10)
    secret(world, TOKEN="t")
    machine = world.launch(binary=binary)
    killed = dry_run_that_fetches(machine, "killed")
    kill(machine, "killed")
    living = dry_run_that_fetches(machine, "living")
    assert living > killed, "what was left is gone before there was a run"

    assert run(machine, "--budget=6s").code == 75
    assert fetches(machine) == living - killed, "a living dry run was disturbed, or a killed one's is left"
    assert any(name.endswith(".service") for name in fetches(machine)), "its unit was stopped"

    kill(machine, "living")
    repo.heal()
    done = run(machine)
    assert done.code == 0, done.stderr
    assert leftovers(machine) == []


def test_a_dry_run_has_the_budget_of_a_run(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    repo = world.repo(SERVICE)
    repo.commit("test", talking())
    repo.stall(after=10)
    machine = world.launch(binary=binary)
    began = time.monotonic()
    result = run(machine, "--dry-run", "--budget=6s")
    assert result.code == 75 and time.monotonic() - began < 6 + MARGIN, result
    assert "[E-GIT-UNREACHABLE]" in result.stderr or "waiting for fetch" in result.stderr, result.stderr
    assert leftovers(machine) == []


def kill(machine, name: str) -> None:
    """The agent alone, not what it started."""
    machine.check(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", name])
    wait_for("the agent's death", lambda: machine.systemctl_show(f"{name}.service")["MainPID"] == "0", 20)


def dry_run_that_fetches(machine, name: str) -> set[str]:
    """What all fetches of dry runs have by now, when this one's has begun."""
    before = fetches(machine)
    machine.check(["systemd-run", f"--unit={name}", "bootagent", "--dry-run", "--repository", REPOSITORY])
    wait_for("the fetch", lambda: len(fetches(machine) - before) == 3, 30, evidence=machine.console_tail)
    return fetches(machine)


def fetches(machine) -> set[str]:
    """Units, scratch and the links to it."""
    units = machine.check(["systemctl", "list-units", "--plain", "--no-legend", "bootagent-fetch.*"]).splitlines()
    scratch = machine.check(["find", "/var/cache", "-name", "bootagent-fetch.*"])
    return {unit.split()[0] for unit in units} | set(scratch.split())
