"""npm itself, with a lockfile made for the lab's registry."""

import json
from pathlib import Path

import pytest

import lab
from lab import Executable, npm_packages
from lab.machine import Machine

pytestmark = pytest.mark.variants

pytest_plugins = ["lab.fixtures"]

QUICK = {
    "npm_config_registry": "https://npm.acme.test/", "npm_config_fetch_retry_mintimeout": "100",
    "npm_config_fetch_timeout": "3000", "npm_config_audit": "false", "npm_config_update_notifier": "false",
}  # fmt: skip


@pytest.fixture
def machine(world) -> Machine:
    world.npm.publish("left", "1.0.0", {"index.js": "module.exports = 'left'", "cli": Executable("#!/bin/sh\necho cli\n"),
                                        "package.json": '{"bin": "cli", "dependencies": {"@acme/right": "^2.0.0"}}'})  # fmt: skip
    world.npm.publish("@acme/right", "2.0.0", {"index.js": "module.exports = 'right'"})
    world.npm.publish("@acme/right", "2.1.0")
    script = {"scripts": {"postinstall": "echo ran > ran"}}
    world.npm.publish("scripted", "0.1.0", {"package.json": json.dumps(script), "index.js": ""})
    files = world.npm.project("service", {"left": "1.0.0", "@acme/right": "2.0.0", "scripted": "0.1.0"})
    return world.launch(files={f"/opt/s/{name}": text for name, text in files.items()})


def npm(machine: Machine, *command: str, **env: str) -> lab.Result:
    machine.run(["rm", "-rf", "/root/.npm", "/opt/s/node_modules"])
    return machine.run(["npm", "--prefix", "/opt/s", *command], env=QUICK | env, timeout=60)


def test_npm_installs_what_the_lockfile_says(world, machine):
    result = npm(machine, "ci")
    assert result.code == 0, result.stderr
    assert machine.read("/opt/s/node_modules/@acme/right/index.js") == "module.exports = 'right'"
    assert machine.check(["/opt/s/node_modules/.bin/left"]) == "cli\n"
    assert machine.read("/opt/s/node_modules/scripted/ran") == "ran\n", "install scripts are known to the lockfile"
    assert sum(entry["path"].endswith(".tgz") for entry in world.npm.log) == 3


def test_packuments_resolve_a_range_and_the_absent_is_404(world, machine):
    assert npm(machine, "view", "@acme/right@^2.0.0", "version").stdout.strip().endswith("'2.1.0'")
    assert "E404" in npm(machine, "view", "absent", "version").stderr
    assert "E404" in npm(machine, "view", "left", "version", npm_config_registry="https://npm.acme.test/other/").stderr


def test_it_fails_so_often_and_then_no_more(world, machine):
    world.npm.fail(503, times=2, only="*.tgz")
    assert npm(machine, "ci").code == 0
    world.npm.fail(503)
    assert "503" in npm(machine, "ci").stderr


@pytest.mark.parametrize("how, said", [("reset", "ECONNRESET"), ("stall", "timeout"), ("truncate", "")])
def test_a_tarball_that_does_not_arrive(world, machine, how, said):
    getattr(world.npm, how)(after=50, only="*left*.tgz")
    result = npm(machine, "ci", npm_config_fetch_retries="0")
    assert result.code != 0 and said in result.stderr
    world.npm.heal()
    assert npm(machine, "ci").code == 0


def test_a_tarball_that_the_lockfile_does_not_know(world, machine):
    world.npm.publish("left", "1.0.0", {"index.js": "another"})
    assert "EINTEGRITY" in npm(machine, "ci").stderr


def test_the_real_packages_of_a_lockfile_are_carried(world):
    """Byte for byte, so that the checksums of the lockfile hold."""
    lockfile = Path(__file__).parents[1] / "boot/express/package-lock.json"
    world.npm.carry(npm_packages.ensure(lockfile))
    files = {f"/opt/s/{name}": (lockfile.parent / name).read_text() for name in ("package.json", "package-lock.json")}
    machine = world.launch(files=files)
    result = npm(machine, "ci", npm_config_fetch_retries="0")
    assert result.code == 0, result.stderr
    assert "express" in machine.check(["ls", "/opt/s/node_modules"]).split()
    assert sum(entry["path"].endswith(".tgz") for entry in world.npm.log) > 50
