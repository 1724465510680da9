"""Again: a second run, a change, an update, a reboot, a kill, an image baked of a used machine."""

import json

import pytest
from lab.deadline import wait_for
from looks import (  # noqa: F401
    CACHE,
    SERVICE,
    USER_DATA,
    ask,
    current,
    difference,
    files,
    leftovers,
    process,
    releases,
    secret,
    shared,
    status,
    wait_for_install,
)
from services import lingering, talking
from stage import run, serving

EXITS = {"server.js": "process.exit(3)"}
VERSIONS = "/var/lib/bootagent/versions.json"


def changed_steps(machine) -> list[str]:
    return [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"]


def node_versions(machine) -> set[str]:
    facts = json.loads(machine.check(["bootagent", "facts", "--local"]))
    return {node["version"] for node in facts["programs"]["node"]}


class TestSecondRun:
    """On a machine that serves, run again: nothing; with another value in the secret: only what that needs."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, talking(installs=True), TOKEN="first")

    def test_it_changes_nothing_and_probes_once(self, machine):
        places, journal = ("/etc", "/opt", "/var/lib", "/var/cache", "/usr/local", "/run"), ("/run/systemd", "/run/log")
        report = {"/run/bootagent", "/run/bootagent/status.json"}
        before, running = files(machine, *places, but=journal), process(machine)
        asked = ask(machine, "asked")
        again = machine.run(["bootagent", "run"])
        assert again.code == 0, again.stderr
        after = ask(machine, "asked")
        assert after["/health"] - asked["/health"] == 1, f"probes: {asked} -> {after}"
        changes = difference(before, files(machine, *places, but=journal))
        unexpected = [change for change in changes if change.split()[1] not in report]
        assert not unexpected, "\n".join(unexpected)
        assert process(machine) == running, "the service was restarted"
        assert changed_steps(machine) == []

    def test_it_starts_no_program(self, machine):
        """systemd is asked on its socket, and a runtime whose file is the same as before is not asked for its version."""
        trace = ["strace", "--follow-forks", "--trace=execve", "--signal=none", "--output=/root/trace"]
        machine.check([*trace, "bootagent", "run"])
        started = [line for line in machine.read("/root/trace").splitlines() if line.rstrip().endswith("= 0")]
        machine.check(["rm", "/root/trace"])
        assert len(started) == 1, "\n".join(started)

    def test_a_program_that_was_replaced_is_asked_again(self, machine):
        node = "/usr/local/lib/nodejs/node-v20.18.0/bin/node"
        known = json.loads(machine.read(VERSIONS))
        assert known[node]["version"] == "20.18.0" and machine.stat(VERSIONS).mode == 0o600
        known[node]["version"] = "20.99.0"
        machine.check(["tee", VERSIONS], stdin=json.dumps(known))
        assert "20.99.0" in node_versions(machine), "the record is not used"
        machine.check(["sh", "-c", f"cp {node} {node}.new && mv {node}.new {node}"])
        assert "20.18.0" in node_versions(machine), "a file of other times was not asked"
        machine.check(["sh", "-c", f"printf '#!/bin/sh\necho v20.1.7\n' > {node}"])
        assert "20.1.7" in node_versions(machine)
        machine.check(["bootagent", "run"])
        assert node not in json.loads(machine.read(VERSIONS)), "a script can start another version without a change of its own"
        machine.check(["tee", VERSIONS], stdin="{ not JSON")
        machine.check(["bootagent", "run"])
        assert json.loads(machine.read(VERSIONS)), "a damaged record is replaced"

    def test_without_systemd_s_socket_systemctl_is_asked(self, machine):
        running = process(machine)
        machine.check(["mv", "/run/systemd/private", "/run/systemd/private.away"])
        again = machine.run(["bootagent", "run"])
        machine.check(["mv", "/run/systemd/private.away", "/run/systemd/private"])
        assert again.code == 0, again.stderr
        assert process(machine) == running and changed_steps(machine) == []

    def test_a_data_directory_that_was_removed_is_not_missed_by_what_runs(self, machine):
        """The service's mounts hold the old one, in which nothing can be written any more."""
        file = f"write?path=/var/lib/{SERVICE}/note"
        before = process(machine)
        machine.check(["rm", "-rf", f"/var/lib/{SERVICE}"])
        assert ask(machine, file) != "written"
        for _ in range(2):
            again = machine.run(["bootagent", "run"])
            assert again.code == 0, again.stderr
            assert ask(machine, file) == "written"
        renewed = process(machine)
        assert renewed[0] != before[0]
        assert machine.run(["bootagent", "run"]).code == 0 and process(machine) == renewed
        assert machine.exists(f"/var/lib/{SERVICE}/note")

    def test_a_changed_value_is_rendered_and_the_service_restarted(self, shared, machine):  # noqa: F811
        _, pid, _ = process(machine)
        before = files(machine, "/etc", "/opt", "/var/lib/bootagent")
        secret(shared, TOKEN="second", MORE="x")
        again = machine.run(["bootagent", "run"])
        assert again.code == 0, again.stderr
        assert process(machine)[1] != pid
        seen = ask(machine, "env")
        assert (seen["TOKEN"], seen["MORE"]) == ("second", "x")
        assert ask(machine, "dotenv")["TOKEN"] == "second"
        assert set(changed_steps(machine)) == {"environment", "dotenv", "start", "health-check", "good-environment", "good-dotenv"}
        changes = difference(before, files(machine, "/etc", "/opt", "/var/lib/bootagent"))
        assert not changes, "\n".join(changes)

    def test_systemd_itself_restarts_the_service_and_systemctl_where_its_socket_is_gone(self, shared, machine):  # noqa: F811
        trace = ["strace", "--follow-forks", "--trace=execve", "--signal=none", "--output=/root/trace"]
        for token, is_away in (("third", False), ("fourth", True)):
            secret(shared, TOKEN=token, MORE="x")
            _, pid, _ = process(machine)
            if is_away:
                machine.check(["mv", "/run/systemd/private", "/run/systemd/private.away"])
            again = machine.run([*trace, "bootagent", "run"])
            if is_away:
                machine.check(["mv", "/run/systemd/private.away", "/run/systemd/private"])
            assert again.code == 0, again.stderr
            assert process(machine)[1] != pid and ask(machine, "env")["TOKEN"] == token
            asked = [line for line in machine.read("/root/trace").splitlines() if '"systemctl", ' in line]
            assert any('"restart"' in line for line in asked) is is_away, "\n".join(asked)
            assert is_away or not asked, "\n".join(asked)
        machine.check(["rm", "/root/trace"])


class TestUpdate:
    """run --update: forward twice, and then to a commit that exits at once."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        repo = shared.repo(SERVICE)
        secret(shared, TOKEN="t")
        commits = [repo.commit("test", talking(note="1"))]
        machine = shared.launch(binary=binary)
        results = [run(machine)]
        for number in "23":
            commits.append(repo.commit("test", {"note": number}))
            results.append(machine.run(["bootagent", "run", "--update"], timeout=120))
        for result in results:
            assert result.code == 0, result.stderr
        return machine, commits

    def test_the_new_commit_serves_and_two_releases_are_kept(self, story):
        machine, commits = story
        kept = {name.partition("-")[0] for name in releases(machine)}
        assert kept == set(commits[1:3]), f"{kept} of {commits}"
        assert current(machine).startswith(commits[2])
        assert ask(machine, "release").endswith(current(machine))
        assert status(machine)[1]["commit"] == commits[2]

    def test_after_a_commit_that_exits_the_former_one_serves_again(self, shared, story):  # noqa: F811
        machine, commits = story
        before = current(machine), machine.read(f"/etc/systemd/system/{SERVICE}.service")
        bad = shared.repo(SERVICE).commit("test", EXITS)
        trace = ["strace", "--follow-forks", "--trace=execve", "--signal=none", "--output=/root/trace"]
        failed = machine.run([*trace, "bootagent", "run", "--update"], timeout=120)
        assert failed.code == 2, failed.stderr
        asked = [line for line in machine.read("/root/trace").splitlines() if '"systemctl", ' in line]
        assert not asked, "systemd itself was not asked, or refused: " + "\n".join(asked)
        assert (current(machine), machine.read(f"/etc/systemd/system/{SERVICE}.service")) == before
        assert ask(machine, "release").endswith(before[0])
        _, pid, _ = process(machine)
        assert machine.run(["kill", "-0", pid]).code == 0
        code, said = status(machine)
        assert (code, said["state"], said["commit"]) == (4, "degraded", bad)
        assert said["error"]["code"] == "E-SERVICE-EXITED" and "status 3" in " ".join(said["error"]["causes"]), said["error"]
        assert leftovers(machine) == []


@pytest.mark.shipped
class TestReboot:
    """Between the first boot and the reboot, the branch moves, the tags and the secret change."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        repo = shared.repo(SERVICE)
        first = repo.commit("test", talking())
        repo.commit("main", talking())
        secret(shared, TOKEN="before")
        secret(shared, "prod", TOKEN="of prod")
        machine = shared.launch(user_data=USER_DATA, binary=binary)
        done = machine.wait_for_cloud_init()
        assert done.user_data_code == 0, done.output
        repo.commit("test", EXITS)
        secret(shared, TOKEN="after")
        shared.tags = {"bootagent:service": "other", "bootagent:environment": "prod"}
        asked, boot = len(shared.git.log), machine.boot_id()
        machine.reboot()
        assert machine.boot_id() != boot
        machine.run(["bootagent", "status", "--wait", "--timeout", "60s"], timeout=70)
        machine.wait_for_boot()
        return machine, first, shared.git.log[asked:]

    def test_bootagent_service_brings_it_up_by_itself(self, story):
        machine, _, _ = story
        assert machine.check(["systemctl", "is-enabled", "bootagent.service"]).strip() == "enabled"
        assert machine.check(["systemctl", "is-active", "bootagent.service"]).strip() == "active"
        assert status(machine)[0] == 0, machine.run(["bootagent", "status"]).stdout

    def test_the_first_choice_stands_though_tags_and_branch_moved(self, story):
        machine, commit, _ = story
        said = status(machine)[1]
        assert (said["service"], said["environment"], said["commit"]) == (SERVICE, "test", commit)
        assert ask(machine, "release").rpartition("/")[2].startswith(commit)

    def test_the_environment_is_rendered_anew(self, story):
        machine, _, _ = story
        assert (ask(machine, "env")["TOKEN"], ask(machine, "dotenv")["TOKEN"]) == ("after", "after")

    def test_a_finished_release_needs_no_git(self, story):
        _, _, asked = story
        assert asked == []


class TestKilled:
    """The agent is killed while npm ci runs under it, and run again."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", lingering())
        secret(shared, TOKEN="t")
        machine = shared.launch(user_data=USER_DATA, binary=binary)
        npm = wait_for_install(machine)
        # Itself alone: a child of its name stands beside npm.
        agent = str(status(machine)[1]["pid"])
        machine.check(["kill", "-KILL", agent])
        wait_for("the agent to be gone", lambda: machine.run(["kill", "-0", agent]).code == 1, 10)
        dead = status(machine)
        cloud_init = machine.wait_for_cloud_init()
        lives = machine.run(["kill", "-0", npm]).code == 0
        machine.check(["touch", f"{CACHE}/pass"])
        return {
            "machine": machine, "npm": npm, "dead": dead, "cloud-init": cloud_init, "npm lived on": lives,
            "again": run(machine),
        }  # fmt: skip

    def test_status_says_that_the_agent_is_gone(self, story):
        code, said = story["dead"]
        assert (code, said["state"], said["error"]["code"]) == (1, "failed", "E-AGENT-DIED")
        assert "gone" in said["error"]["causes"][0] and "waiting for install: " in said["error"]["causes"][1], said["error"]
        assert not said["waiting"] and "running" not in [step["outcome"] for step in said["steps"]]

    def test_cloud_init_tells_of_the_kill(self, story):
        assert story["cloud-init"].user_data_code == -9

    def test_run_again_is_healthy(self, story):
        assert story["again"].code == 0, story["again"].stderr
        assert status(story["machine"])[0] == 0
        assert story["machine"].http("http://127.0.0.1:3000/health").status == 200

    def test_nothing_of_the_killed_run_is_left(self, story):
        machine = story["machine"]
        assert story["npm lived on"], "the install ended with the agent: this test shows nothing"
        assert machine.run(["kill", "-0", story["npm"]]).code == 1, "the killed run's npm still runs"
        assert leftovers(machine) == []
        assert len(releases(machine)) == 1

    def test_the_release_has_nothing_that_the_killed_run_wrote(self, story):
        release = story["machine"].check(["ls", f"/opt/{SERVICE}/current/"])
        assert "stray-of-" not in release, release


class TestBakedImage:
    """A used machine becomes an image; an instance of another environment starts from it."""

    @pytest.fixture(scope="class")
    @classmethod
    def used(cls, shared, binary):  # noqa: F811
        repo = shared.repo(SERVICE)
        commits = {"test": repo.commit("test", talking(note="of test")), "stage": repo.commit("stage", talking())}
        secret(shared, TOKEN="of test", ONLY_TEST="x")
        secret(shared, "stage", TOKEN="of stage")
        machine = shared.launch(user_data=USER_DATA, binary=binary)
        done = machine.wait_for_cloud_init()
        assert done.user_data_code == 0, done.output
        machine.power_off()
        return machine, commits

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, shared, used):  # noqa: F811
        machine, _ = used
        shared.tags = {"bootagent:service": SERVICE, "bootagent:environment": "stage"}
        shared.role(name="stage")
        new = shared.launch(user_data=USER_DATA, disk_of=machine)
        assert new.instance.id != machine.instance.id
        return new, new.wait_for_cloud_init()

    def test_user_data_runs_well(self, instance):
        machine, done = instance
        assert (done.errors, done.user_data_code) == ([], 0), done.output

    def test_the_new_environment_serves(self, instance, used):
        machine, _ = instance
        code, said = status(machine)
        assert (code, said["environment"], said["commit"]) == (0, "stage", used[1]["stage"])
        assert said["instance"]["id"] == machine.instance.id
        assert ask(machine, "release").rpartition("/")[2].startswith(used[1]["stage"])

    def test_nothing_of_the_old_environment_reaches_it(self, instance):
        machine, _ = instance
        variables = ask(machine, "env")
        assert variables["TOKEN"] == "of stage" and "ONLY_TEST" not in variables

    def test_no_unit_failed_on_the_way(self, instance):
        machine, _ = instance
        failed = machine.check(["systemctl", "--failed", "--plain", "--no-legend"])
        assert failed.strip() == "", machine.check(["journalctl", "--boot", "--no-pager", "-u", "bootagent.service"])


class TestBakedImageThatFails:
    """As above, but the new environment's commit exits at once: the old instance's release does not help."""

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, shared, binary):  # noqa: F811
        repo = shared.repo(SERVICE)
        repo.commit("test", talking())
        repo.commit("stage", talking(**EXITS))
        secret(shared, TOKEN="of test")
        secret(shared, "stage", TOKEN="of stage")
        used = shared.launch(binary=binary)
        assert run(used).code == 0
        used.power_off()
        shared.tags = {"bootagent:service": SERVICE, "bootagent:environment": "stage"}
        shared.role(name="stage")
        machine = shared.launch(disk_of=used)
        return machine, run(machine)

    def test_the_run_fails(self, instance):
        machine, result = instance
        assert result.code == 1, result.stderr
        assert status(machine)[1]["error"]["code"] == "E-SERVICE-EXITED"

    def test_the_old_instances_release_does_not_serve(self, instance):
        machine, result = instance
        state = machine.systemctl_show(f"{SERVICE}.service")["ActiveState"]
        assert state != "active", f"{current(machine)} serves\n{result.stderr}"
