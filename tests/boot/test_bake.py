"""An image: bake and seal on its builder, machines that start from it, and what must not get into one."""

import json
import subprocess
from xml.etree import ElementTree

import pytest
from lab import World
from looks import SERVICE, ask, secret, shared, stage, status, wait_for_install  # noqa: F401
from services import lingering, talking
from stage import GIT, REPOSITORY, run

POLICY = {"/etc/bootagent/policy.toml": f'repository = "{REPOSITORY}"\n'}
BAKE = ["bootagent", "bake", "--service", SERVICE, "--environment", "test"]
ENABLED = "/etc/systemd/system/multi-user.target.wants/bootagent.service"
REQUIRED = 'install = "npm ci"\nport = 3000\nhealth = { path = "/health", soak = "1s" }\n[env]\nrequired = ["TOKEN"]\n'


def builder_in(world: World, binary, **launch):
    """A machine without a tag, whose role may read nothing."""
    world.tags = {"Name": "image builder"}
    world.role(policy=[])
    return world.launch(binary=binary, files=POLICY, **launch)


def choose(world: World, **tags: str) -> None:
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"} | tags
    world.role(name=f"service-{len(world.machines)}")


class TestSealedImage:
    @pytest.fixture(scope="class")
    @classmethod
    def commits(cls, shared):  # noqa: F811
        secret(shared, TOKEN="t")
        return [shared.repo(SERVICE).commit("test", talking(installs=True, **{"bootagent.toml": REQUIRED}))]

    @pytest.fixture(scope="class")
    @classmethod
    def builder(cls, shared, binary, commits):  # noqa: F811
        machine = builder_in(shared, binary, cloud_init=True)
        machine.wait_for_cloud_init()
        asked = len(shared.aws.log)
        baked = machine.run(BAKE, timeout=180)
        assert baked.code == 0, baked.stderr
        assert len(shared.aws.log) == asked, "a bake asked AWS for something"
        return machine

    @pytest.fixture(scope="class")
    @classmethod
    def sealed(cls, builder):
        """What the builder was before the seal, and its disk afterwards."""
        before = {
            "machine-id": builder.read("/etc/machine-id").strip(),
            "host key": builder.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout,
            "instance": builder.instance.id,
        }
        done = builder.run(["bootagent", "seal"], timeout=120)
        assert done.code == 0, done.stderr
        assert "removed /var/lib/cloud/instance" in done.stdout and "sealed: stop this machine" in done.stdout
        return before

    def test_a_bake_builds_the_release_and_starts_nothing(self, builder, commits):
        code, told = status(builder)
        assert (code, told["state"], told["commit"]) == (0, "prepared", commits[0])
        assert builder.run(["ls", f"/opt/{SERVICE}/releases"]).stdout.startswith(commits[0])
        assert builder.run(["systemctl", "is-active", f"{SERVICE}.service"]).code != 0
        assert not builder.exists(f"/etc/systemd/system/{SERVICE}.service") and not builder.exists(f"/opt/{SERVICE}/current")
        assert not builder.exists(f"/run/bootagent/{SERVICE}/env")
        assert builder.read(ENABLED).startswith("# Runs bootagent at every boot")

    def test_a_secret_that_was_left_behind_is_refused_and_nothing_is_removed(self, builder):
        for path, content in [
            ("/root/.aws/credentials", "[default]\naws_secret_access_key = canary\n"),
            (f"/var/lib/{SERVICE}/.env", "TOKEN=canary\n"),
            ("/etc/acme/key.pem", "-----BEGIN PRIVATE KEY-----\ncanary\n"),
        ]:
            write = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"'
            builder.check(["sh", "-c", write, "sh", path, content])
            refused = builder.run(["bootagent", "seal"])
            assert refused.code == 77 and f"{path} looks like" in refused.stderr, refused.stderr
            assert "E-BAKE-SECRET" in refused.stderr and "canary" not in refused.stderr, refused.stderr
            allowed = builder.run(["bootagent", "seal", "--dry-run", "--allow", path])
            assert allowed.code == 0 and "would remove /etc/machine-id" in allowed.stdout, allowed.stderr
            builder.check(["rm", path])
        assert builder.read("/etc/machine-id").strip() and builder.exists("/var/lib/cloud/instance")

    def test_a_seal_removes_what_belongs_to_the_builder(self, builder, sealed):
        assert builder.run(["cat", "/etc/machine-id"]).stdout == ""
        left = "ls -d /etc/ssh/ssh_host_* /var/lib/cloud/instance /var/lib/bootagent/instances/* /var/log/journal/* 2>/dev/null"
        assert builder.run(["sh", "-c", left]).stdout == ""
        # What instances start from is there.
        assert builder.exists(f"/var/lib/bootagent/services/{SERVICE}/baked.json") and builder.exists(ENABLED)
        named = builder.run(["grep", "-rl", sealed["instance"], "/etc", "/opt", "/root", "/var/lib", "/var/log", "/var/cache"])
        assert named.stdout == "", named.stdout
        again = builder.run(["bootagent", "seal"], timeout=120)
        assert again.code == 0, again.stderr
        builder.power_off()

    def test_an_instance_starts_from_the_release_of_the_image(self, shared, builder, sealed, commits):  # noqa: F811
        choose(shared)
        asked = len(shared.git.log)
        machine = shared.launch(disk_of=builder, user_data="#!/bin/sh\ntouch /root/user-data-ran\n")
        done = machine.run(["bootagent", "status", "--wait", "--timeout", "60s", "--output", "json"], timeout=90)
        told = done.json()
        assert (done.code, told["state"], told["serves"]["commit"]) == (0, "healthy", commits[0]), done
        assert told["last_run"]["instance"]["id"] == machine.instance.id != sealed["instance"]
        steps = {step["id"]: step["outcome"] for step in told["last_run"]["steps"]}
        assert {steps["checkout"], steps["install"]} == {"unchanged"}, steps
        # The git server was asked for the branch, and sent no objects.
        paths = [entry["path"] for entry in shared.git.log[asked:]]
        assert paths and not any(path.endswith("/git-upload-pack") for path in paths), paths
        assert ask(machine, "env")["TOKEN"] == "t"
        timings = machine.run(["bootagent", "status", "--timings"])
        assert timings.code == 0 and "health-check" in timings.stdout and " s before bootagent (" in timings.stdout, timings
        picture = machine.check(["bootagent", "status", "--timings", "--svg"])
        assert ElementTree.fromstring(picture).tag.endswith("svg")
        machine.wait_for_cloud_init()
        assert machine.exists("/root/user-data-ran"), "user-data runs on the image's instance"
        assert machine.read("/etc/machine-id").strip() not in ("", sealed["machine-id"])
        assert machine.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout != (sealed["host key"] or None)
        failed = machine.check(["systemctl", "--failed", "--plain", "--no-legend"])
        assert failed.strip() == "", failed
        machine.power_off()

    def test_an_instance_takes_a_newer_commit_than_the_image_s(self, shared, builder, sealed, commits):  # noqa: F811
        choose(shared)
        commits.append(shared.repo(SERVICE).commit("test", talking(note="new", **{"bootagent.toml": REQUIRED})))
        machine = shared.launch(disk_of=builder)
        done = machine.run(["bootagent", "status", "--wait", "--timeout", "60s", "--output", "json"], timeout=90)
        assert (done.code, done.json()["serves"]["commit"]) == (0, commits[1]), done
        machine.power_off()

    def test_a_pin_to_the_image_s_commit_needs_no_git_server(self, shared, builder, sealed, commits):  # noqa: F811
        choose(shared, **{"bootagent:ref": commits[0]})
        asked = len(shared.git.log)
        machine = shared.launch(disk_of=builder)
        done = machine.run(["bootagent", "status", "--wait", "--timeout", "60s", "--output", "json"], timeout=90)
        assert (done.code, done.json()["serves"]["commit"]) == (0, commits[0]), done
        assert len(shared.git.log) == asked
        machine.power_off()

    def test_while_the_git_server_is_silent_a_copy_is_read_after_origins_wait(self, shared, builder, sealed, commits):  # noqa: F811
        choose(shared)
        made = subprocess.run(["git", "bundle", "create", "-", "test"], cwd=shared.repo(SERVICE).path, capture_output=True)
        policy = {path: text + '[origins]\nwait = "5s"\ndirectory = "/usr/share/bundles"\n' for path, text in POLICY.items()}
        shared.unreachable(GIT, how="silent")
        bundle = {f"/usr/share/bundles/{SERVICE}/test.bundle": made.stdout}
        machine = shared.launch(disk_of=builder, files=policy | bundle)
        done = machine.run(["bootagent", "status", "--wait", "--timeout", "60s", "--output", "json"], timeout=90)
        shared.reachable(GIT)
        assert (done.code, done.json()["serves"]["commit"]) == (0, commits[1]), done
        assert done.json()["last_run"]["origin"]["kind"] == "image", done
        machine.power_off()


class TestInterruptedBake:
    def test_it_enables_nothing_is_not_sealed_and_can_be_repeated(self, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", lingering())
        machine = builder_in(shared, binary)
        machine.check(["systemd-run", "--unit=bake", "--collect", *BAKE])
        wait_for_install(machine)
        assert machine.run(["bootagent", "seal"]).code == 75
        machine.check(["systemctl", "kill", "--signal=SIGKILL", "bake.service"])
        machine.check(["sh", "-c", "while systemctl is-active --quiet bake.service; do sleep 0.1; done"])
        refused = machine.run(["bootagent", "seal"])
        assert refused.code == 77 and "E-BAKE-UNFINISHED" in refused.stderr, refused
        assert not machine.exists(ENABLED)
        machine.check(["sh", "-c", f"touch /var/cache/bootagent/{SERVICE}/go"])
        again = machine.run(BAKE, timeout=180)
        assert again.code == 0 and machine.exists(ENABLED), again.stderr
        assert machine.run(["bootagent", "seal", "--dry-run"]).code == 0

    def test_a_bake_that_fails_is_not_tried_again_and_serves_nothing(self, shared, binary):  # noqa: F811
        [machine] = [machine for machine in shared.machines if machine.running]
        machine.check(["rm", ENABLED])
        shared.repo(SERVICE).commit("test", talking(**{"bootagent.toml": 'install = "exit 3"\nport = 3000\n'}))
        failed = machine.run(BAKE, timeout=180)
        assert failed.code == 1 and "tried again" not in failed.stderr, failed.stderr
        assert machine.run(["systemctl", "is-active", "bootagent-retry.timer"]).code != 0
        assert not machine.exists(ENABLED)


class TestMachineThatServes:
    def test_it_is_neither_baked_nor_sealed(self, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", talking())
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary)
        assert run(machine).code == 0
        for command in (["bootagent", "bake", "--repository", REPOSITORY], ["bootagent", "seal"]):
            for why in (f"{SERVICE} runs on it", f"{SERVICE} was started on it"):
                refused = machine.run(command)
                assert refused.code == 77 and "E-BAKE-USED" in refused.stderr and why in refused.stderr, refused
                machine.check(["systemctl", "stop", SERVICE])
            machine.check(["systemctl", "start", SERVICE])
        told = json.loads(machine.run(["bootagent", "status", "--output", "json"]).stdout)
        assert told["serves"], told
