"""A commit is read from a copy of its repository while the git server cannot be reached, and only then."""

import json
import subprocess

import pytest
import services
from looks import flat
from stage import GIT, POLICY, REPOSITORY, assert_failed
from test_fleet_memory import BUCKET, FLEET, HEALTHY, commit, memory  # noqa: F401

MIRROR = "https://git.acme.test/mirror/{service}.git"
BUNDLES = FLEET + '[origins]\nwait = "5s"\nbundles = "write"\n'
IMAGE = "/usr/share/bundles"
DIRECTORY = f'[origins]\nwait = "5s"\ndirectory = "{IMAGE}"\n'


def bundle(stage, branch: str = "test") -> bytes:
    made = subprocess.run(
        ["git", "bundle", "create", "-", branch], cwd=stage.repository.path, capture_output=True, check=True
    )
    return made.stdout


def cut_off(stage) -> None:
    stage.world.unreachable(GIT, how="refused")


def origin(stage) -> dict:
    said = flat(stage.machine.run(["bootagent", "status", "--output", "json"]).json())
    assert said["state"] == "healthy", said
    return said["last_run"]["origin"]


def test_the_first_instance_writes_the_bundle_and_others_serve_from_it(stage, memory):  # noqa: F811
    stage.serve(HEALTHY)
    memory.policy(BUNDLES)
    good = stage.repository.sha("test")
    assert stage.run().code == 0
    assert f"bundles/{good}.bundle" in memory.names()
    denied = [call for call in stage.world.aws.log if call["service"] == "s3" and call["error"] == "AccessDenied"]
    assert not [call for call in denied if "bundles/" not in call["key"] and not call["key"].endswith(".json")], denied
    # A new machine, during an outage: the group's last good commit, and not the branch's head, which no server tells.
    name = stage.world.tags["bootagent:service"]
    stage.machine.check(["systemctl", "stop", f"{name}.service"])
    stage.machine.check(["sh", "-c", f"rm -rf /var/lib/bootagent /opt/{name} /run/bootagent/*"])
    commit(stage)
    cut_off(stage)
    result = stage.run("--budget=90s")
    assert result.code == 0, result.stderr
    told = origin(stage)
    assert told["kind"] == "bundle" and told["place"].endswith(f"bundles/{good}.bundle") and told["age"] < 600, told
    assert "the git server could not be reached" in result.stderr and memory.report()["commit"] == good


def test_a_damaged_bundle_is_refused_and_the_image_s_is_taken(stage, memory):  # noqa: F811
    name = stage.serve(HEALTHY)
    memory.policy(BUNDLES.replace("write", "read") + f'directory = "{IMAGE}"\n')
    whole = bundle(stage)
    stage.world.aws.s3("PUT", BUCKET, f"{memory.below}/branch.bundle", whole[:-30] + bytes(30))
    stage.machine.check(["mkdir", "-p", f"{IMAGE}/{name}"])
    (stage.machine.root / IMAGE[1:] / name / "test.bundle").write_bytes(whole)
    cut_off(stage)
    result = stage.run("--budget=90s")
    assert result.code == 0, result.stderr
    assert (origin(stage)["kind"], origin(stage)["place"]) == ("image", f"{IMAGE}/{name}/test.bundle")
    # Another user who can write the image's bundle could choose the commit.
    stage.machine.check(["chmod", "o+w", f"{IMAGE}/{name}/test.bundle"])
    stage.machine.check(["sh", "-c", f"systemctl stop {name}; rm -rf /var/lib/bootagent /opt/{name}"])
    result = stage.run("--budget=30s")
    assert_failed(stage.machine, result, 75, "E-GIT-UNREACHABLE", "branch.bundle", "damaged", "users other than root")


def test_a_mirror_is_asked_in_an_outage_and_never_after_a_refusal(stage):
    name = stage.serve(services.node(**{"bootagent.toml": services.NOTHING + services.BRIEF}))
    mirror = MIRROR.replace("https://git.acme.test/mirror/", "https://github.com/mirror/")
    stage.machine.write(POLICY, f'repository = "{REPOSITORY}"\n[origins]\nwait = "5s"\nmirror = "{mirror}"\n')
    stage.world.repo(name, owner="mirror").commit("test", HEALTHY)
    for status, code in [(403, "E-GIT-REFUSED"), (404, "E-GIT-NOT-FOUND")]:
        stage.repository.fail(status)
        assert_failed(stage.machine, stage.run("--budget=20s"), 78, code)
    stage.repository.fail(503)
    result = stage.run("--budget=90s")
    stage.repository.release()
    assert result.code == 0, result.stderr
    assert origin(stage) == {"kind": "mirror", "place": mirror.format(service=name)}
    # What serves is never replaced by what a copy has as its newest commit: that may be older.
    stage.world.repo(name, owner="mirror").commit("test", HEALTHY | {"late": "x"})
    before = stage.machine.readlink(f"/opt/{name}/current")
    stage.repository.fail(503)
    update = stage.run("--update", "--budget=20s")
    stage.repository.release()
    assert_failed(stage.machine, update, 2, "E-GIT-UNREACHABLE")
    assert stage.machine.readlink(f"/opt/{name}/current") == before
