"""bootagent's own installer in place of `npm ci`: the same tree, npm where only npm is certain, and a registry that fails."""

import json
import random

import pytest

import services
from lab.deadline import wait_for
from looks import status
from stage import REPOSITORY, assert_failed
from test_bad_service import SHORT, assert_not_built, fails

NPMRC = "registry=https://npm.acme.test/\ncafile=/etc/ssl/certs/ca-certificates.crt\n"


@pytest.fixture
def registry(stage):
    npm = stage.world.npm
    npm.publish("brick", "1.0.0", {"index.js": "", "cli.js": "#!/usr/bin/env node\r\n", "package.json": '{"bin": "cli.js"}', "a/.gitignore": "x"})
    npm.publish("@acme/wall", "2.0.0", {"index.js": "", "lib/deep/x.js": "1", "package.json": '{"dependencies": {"brick": "1.0.0"}}'})
    npm.publish("scripted", "1.0.0", {"package.json": '{"scripts": {"install": "echo ran > made-by-install"}}'})
    yield npm
    npm.heal()


def project(world, *names: str, npmrc: str = NPMRC, **more) -> dict:
    versions = {"brick": "1.0.0", "@acme/wall": "2.0.0", "scripted": "1.0.0"}
    package = world.npm.project("sample", {name: versions[name] for name in names}, **more)
    return services.node(**{"bootagent.toml": SHORT, ".npmrc": npmrc} | package)


def install_step(stage, name: str) -> dict:
    return next(step for step in status(stage.machine)[1]["steps"] if step["id"] == "install")


def test_the_same_tree_as_npm_s(stage, registry):
    name = stage.serve(project(stage.world, "brick", "@acme/wall"), secret=None)
    before = len(registry.log)
    result = stage.run()
    assert result.code == 0, result
    asked = [entry["path"] for entry in registry.log[before:]]
    assert asked and all(path.endswith(".tgz") for path in asked), asked
    assert "npm installs" not in json.dumps(install_step(stage, name))
    listing = "find node_modules -printf '%p %m %y %l\\n' | sort; find node_modules -type f | sort | xargs sha256sum"
    script = f"""set -e
release=$(systemctl show --property=WorkingDirectory --value {name}.service); cd "$(readlink -f "$release")"
{listing} > /tmp/ours; rm -rf /tmp/npm; mkdir /tmp/npm; cp package.json package-lock.json .npmrc /tmp/npm; cd /tmp/npm
PATH=$(echo /usr/local/lib/nodejs/*/bin | cut -d' ' -f1):$PATH npm ci --omit=dev --no-audit --no-fund > /tmp/npm.log 2>&1
{listing} > /tmp/theirs; diff /tmp/theirs /tmp/ours"""
    stage.machine.check(["sh", "-c", script])
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_install_scripts_are_run_by_npm(stage, registry):
    name = stage.serve(project(stage.world, "scripted"), secret=None)
    result = stage.run()
    assert result.code == 0, result
    assert "npm runs the install scripts of scripted" in json.dumps(install_step(stage, name))
    script = f'cat "$(systemctl show --property=WorkingDirectory --value {name}.service)"/node_modules/scripted/made-by-install'
    assert stage.machine.run(["sh", "-c", script]).stdout == "ran\n"
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_an_optional_package_whose_script_fails_is_left_out(stage, registry):
    """`npm rebuild` fails, and `npm ci` begins anew, which goes on without the package."""
    registry.publish("fragile", "1.0.0", {"package.json": '{"scripts": {"install": "exit 3"}}'})
    package = registry.project("sample", {"brick": "1.0.0", "fragile": "1.0.0"})
    own, lock = json.loads(package["package.json"]), json.loads(package["package-lock.json"])
    for requires in (own, lock["packages"][""]):
        requires["optionalDependencies"] = {"fragile": requires["dependencies"].pop("fragile")}
    lock["packages"]["node_modules/fragile"]["optional"] = True
    files = {"package.json": json.dumps(own), "package-lock.json": json.dumps(lock), ".npmrc": NPMRC, "bootagent.toml": SHORT}
    name = stage.serve(services.node(**files), secret=None)
    result = stage.run()
    assert result.code == 0, result
    assert "npm installs, because the install script of an optional package" in json.dumps(install_step(stage, name))
    modules = f"/opt/{name}/current/node_modules"
    assert stage.machine.exists(f"{modules}/brick/index.js") and not stage.machine.exists(f"{modules}/fragile")
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_what_is_not_certain_is_npm_s(stage, registry):
    name = stage.serve(project(stage.world, "brick", npmrc=NPMRC + "install-links=true\n"), secret=None)
    result = stage.run()
    assert result.code == 0, result
    assert "npm installs, because npm's setting install-links" in json.dumps(install_step(stage, name))
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_a_registry_that_fails_for_a_while(stage, registry):
    name = stage.serve(project(stage.world, "brick"), secret=None)
    registry.fail(503, times=2, only="*.tgz")
    result = stage.run()
    assert result.code == 0, result
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_a_registry_that_fails_for_good(stage, registry):
    registry.fail(503, only="*.tgz")
    name, status = fails(
        stage, project(stage.world, "brick"), 75, "E-REGISTRY-UNREACHABLE", "npm ci", "answers 503 for brick@1.0.0", "tried 3 times in "
    )
    assert status["error"]["fault"] == "registry-unreachable"
    assert_not_built(stage, name)


def test_a_certificate_that_is_not_trusted_is_npm_s_to_judge(stage, registry):
    """Node has a list of its own. npm's word is reported."""
    stage.world.front.untrusted = {"npm.acme.test"}
    before = len(registry.log)
    _, status = fails(stage, project(stage.world, "brick"), 75, "E-REGISTRY-UNREACHABLE", "npm ends with")
    assert status["error"]["fault"] == "registry-untrusted" and len(registry.log) == before
    assert any("npm installs, because npm.acme.test is not trusted" in line for line in status["error"]["output"]), status["error"]


def test_no_room_for_packages(stage, registry):
    registry.publish("brick", "2.0.0", {"noise.bin": random.Random(1).randbytes(3 << 20)})
    package = registry.project("sample", {"brick": "2.0.0"})
    stage.serve(services.node(**{"bootagent.toml": SHORT, ".npmrc": NPMRC} | package), secret=None)
    stage.machine.check(["mount", "-t", "tmpfs", "-o", "mode=0755,size=2m", "small", "/opt"])
    try:
        assert_failed(stage.machine, stage.run(), 1, "E-DISK-FULL", "npm ci", "tmpfs at /opt")
    finally:
        stage.machine.check(["umount", "-l", "/opt"])


@pytest.mark.parametrize(
    ("answer", "code"), [(401, "E-REGISTRY-REFUSED"), (404, "E-DEPENDENCY-MISSING")]
)
def test_a_registry_that_says_no_is_believed(stage, registry, answer, code):
    registry.fail(answer, only="*.tgz")
    name, _ = fails(stage, project(stage.world, "brick"), 78, code, "bootagent's installer", f"answers {answer} for brick@1.0.0")
    assert_not_built(stage, name)


def test_a_package_that_is_not_the_one_of_the_lockfile(stage, registry):
    files = project(stage.world, "brick")
    lock = json.loads(files["package-lock.json"])
    lock["packages"]["node_modules/brick"]["integrity"] = "sha512-" + "A" * 86 + "=="
    name, _ = fails(stage, files | {"package-lock.json": json.dumps(lock)}, 78, "E-DEPENDENCY-ALTERED", "brick@1.0.0")
    assert_not_built(stage, name)


def test_a_lockfile_that_leads_elsewhere(stage, registry):
    files = project(stage.world, "brick")
    lock = json.loads(files["package-lock.json"])
    lock["packages"]["node_modules/../../../../../tmp/x"] = lock["packages"]["node_modules/brick"]
    name, _ = fails(stage, files | {"package-lock.json": json.dumps(lock)}, 78, "E-DEPENDENCY-ALTERED", "leads elsewhere")
    assert_not_built(stage, name)


def test_a_killed_installation_is_done_again(stage, registry):
    """The agent and its unit are killed while one package is there and the other one is awaited."""
    name = stage.serve(project(stage.world, "brick", "@acme/wall"), secret=None)
    registry.stall(only="/@acme/*")
    before = len(registry.log)
    stage.machine.check(["systemd-run", "--quiet", "--unit=killed", "bootagent", "run", "--repository", REPOSITORY])
    asked = lambda: any(entry["fault"] == "stall" for entry in registry.log[before:])  # noqa: E731
    wait_for("a package to be asked for", asked, 60, evidence=stage.machine.console_tail)
    stage.machine.check(["systemctl", "kill", "--signal=KILL", "killed.service"])
    wait_for("the agent's death", lambda: stage.machine.systemctl_show("killed.service")["ActiveState"] == "failed", 20)
    stage.machine.check(["systemctl", "reset-failed", "killed.service"])
    registry.heal()
    assert not stage.machine.exists(f"/opt/{name}/current")
    result = stage.run()
    assert result.code == 0, result
    assert "npm installs" not in json.dumps(install_step(stage, name))
    for path in ("brick/index.js", "@acme/wall/lib/deep/x.js", ".package-lock.json", ".bin/brick"):
        assert stage.machine.exists(f"/opt/{name}/current/node_modules/{path}"), path
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_an_update_downloads_only_what_changed(stage, registry):
    name = stage.serve(project(stage.world, "brick"), secret=None)
    result = stage.run()
    assert result.code == 0, result
    stage.repository.commit("test", project(stage.world, "brick", "@acme/wall"))
    before = len(registry.log)
    result = stage.machine.run(["bootagent", "update"], timeout=180)
    assert result.code == 0, result
    assert [entry["path"] for entry in registry.log[before:]] == ["/@acme/wall/-/wall-2.0.0.tgz"]
    assert stage.machine.exists(f"/opt/{name}/current/node_modules/brick/index.js")
    stage.machine.check(["systemctl", "stop", f"{name}.service"])
