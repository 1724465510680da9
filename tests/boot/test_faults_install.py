"""What an installation meets: a registry, a disk and a memory that are not as one would wish. npm installs, because its words
are read here: test_installer.py has the same of bootagent's own installer."""

import json
import random

import pytest

import services
from stage import assert_failed
from test_bad_service import SHORT, assert_not_built, fails

pytestmark = pytest.mark.variants

KILLED = "kill -9 $$"
HEAP = "node --max-old-space-size=20 -e 'const all = []; for (;;) all.push(new Array(1e4).fill(0))'"


@pytest.fixture
def registry(stage):
    """A service with one package, from the lab's own registry."""
    npm = stage.world.npm
    npm.publish("brick", "1.0.0", {"index.js": "module.exports = 1;\n"})
    yield npm
    npm.heal()


BY_NPM = '[node]\ninstaller = "npm"\n'
NPMRC = "registry=https://npm.acme.test/\ncafile=/etc/ssl/certs/ca-certificates.crt\n"


def project(world, version: str = "1.0.0") -> dict:
    package = world.npm.project("sample", {"brick": version})
    return services.node(**{"bootagent.toml": SHORT + BY_NPM, ".npmrc": NPMRC} | package)


def test_a_registry_that_fails_for_a_while(stage, registry):
    """npm gives up after six questions, so the installation must have been done again."""
    name = stage.serve(project(stage.world), secret=None)
    registry.fail(503, times=8, only="*.tgz")
    result = stage.run()
    assert result.code == 0, result
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_a_registry_under_maintenance(stage, registry):
    """It answers 200, and what it answers is a page. Without a lockfile npm asks for the package's document, too."""
    files = project(stage.world) | {"bootagent.toml": 'install = "npm install"\n' + SHORT}
    files.pop("package-lock.json")
    name = stage.serve(files, secret=None)
    registry.page(times=1, only="/brick")
    before = len(registry.log)
    result = stage.run()
    assert result.code == 0, result
    assert [entry["fault"] for entry in registry.log[before:]].count("page") == 1
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_a_registry_that_fails_for_good(stage, registry):
    registry.fail(503, only="*.tgz")
    name, status = fails(
        stage, project(stage.world), 75, "E-REGISTRY-UNREACHABLE", "npm ci", "E503", "tried 3 times in "
    )
    assert status["error"]["fault"] == "registry-unreachable"
    assert any("npm error code E503" in line for line in status["error"]["output"]), status["error"]
    assert_not_built(stage, name)


@pytest.mark.parametrize(
    ("status", "code", "names"),
    [(401, "E-REGISTRY-REFUSED", "E401"), (403, "E-REGISTRY-REFUSED", "E403"), (404, "E-DEPENDENCY-MISSING", "E404")],
)
def test_a_registry_that_says_no_is_believed(stage, registry, status, code, names):
    registry.fail(status, only="*.tgz")
    before = len(registry.log)
    fails(stage, project(stage.world), 78, code, names)
    assert len(registry.log) - before < 6, "asked again, although the answer was clear"


def test_a_package_that_is_not_the_one_of_the_lockfile(stage, registry):
    files = project(stage.world)
    lock = json.loads(files["package-lock.json"])
    lock["packages"]["node_modules/brick"]["integrity"] = "sha512-" + "A" * 86 + "=="
    fails(stage, files | {"package-lock.json": json.dumps(lock)}, 78, "E-DEPENDENCY-ALTERED", "EINTEGRITY")


def test_a_registry_with_an_untrusted_certificate(stage, registry):
    stage.world.front.untrusted = {"npm.acme.test"}
    before = len(registry.log)
    _, status = fails(stage, project(stage.world), 75, "E-REGISTRY-UNREACHABLE", "npm ci")
    assert status["error"]["fault"] == "registry-untrusted" and len(registry.log) == before


def test_a_package_that_refuses_this_node(stage, registry):
    registry.publish("brick", "3.0.0", {"package.json": '{"engines": {"node": ">=99"}}'})
    files = project(stage.world, "3.0.0")
    lock = json.loads(files["package-lock.json"])
    lock["packages"]["node_modules/brick"]["engines"] = {"node": ">=99"}
    files |= {"package-lock.json": json.dumps(lock), ".npmrc": NPMRC + "engine-strict=true\n"}
    _, status = fails(stage, files, 78, "E-RUNTIME-MISSING", "EBADENGINE")
    assert status["error"]["fault"] == "engine-unfit"


@pytest.mark.parametrize(("script", "says"), [(KILLED, "SIGKILL"), (HEAP, "heap")], ids=["killed", "heap"])
def test_an_installation_without_enough_memory(stage, script, says):
    package = {"name": "sample", "version": "1.0.0", "scripts": {"start": "node server.js", "postinstall": script}}
    files = services.node(**{"bootagent.toml": SHORT, "package.json": json.dumps(package)})
    name, status = fails(stage, files, 1, "E-OUT-OF-MEMORY", says, "MiB of memory")
    assert status["error"]["fault"] == "out-of-memory"
    assert_not_built(stage, name)


def test_a_lockfile_that_git_left_in_conflict(stage):
    torn = "<<<<<<< HEAD\n{\n=======\n[\n>>>>>>> test\n"
    _, status = fails(stage, services.node(**{"bootagent.toml": SHORT, "package-lock.json": torn}), 78, "E-LOCKFILE-STALE")
    assert "then try again." in status["error"]["causes"][0], status["error"]


def test_a_shell_for_scripts_that_is_not_there(stage):
    package = {"name": "sample", "version": "1.0.0", "scripts": {"start": "node server.js", "postinstall": "true"}}
    npmrc = "prefix=/opt/none\nscript-shell=/opt/none/sh\n"
    files = services.node(**{"bootagent.toml": SHORT, "package.json": json.dumps(package), ".npmrc": npmrc})
    fails(stage, files, 1, "E-INSTALL-FAILED", "spawn /opt/none/sh ENOENT")


def test_an_etc_that_cannot_be_written(stage):
    stage.serve(services.node(**{"bootagent.toml": SHORT}), secret=None)
    stage.machine.check(["sh", "-c", "mount --bind /etc /etc && mount -o remount,bind,ro /etc"])
    try:
        assert_failed(stage.machine, stage.run(), 1, "E-IO", "systemd-sysusers", "status 1: ", "Read-only file system")
    finally:
        stage.machine.check(["umount", "/etc"])


# Room


@pytest.fixture
def small(stage):
    """small(place, options) lays a small file system over a directory of the machine."""
    laid = []

    def lay(place: str, options: str) -> None:
        stage.machine.check(["mkdir", "-p", place])
        # systemd wants its private directories to be that.
        mode = "0700" if place.endswith("/private") else "0755"
        stage.machine.check(["mount", "-t", "tmpfs", "-o", f"mode={mode},{options}", "small", place])
        laid.append(place)

    yield lay
    for place in reversed(laid):
        stage.machine.check(["umount", "-l", place])


@pytest.mark.parametrize(
    ("place", "options", "files"),
    [
        ("/opt", "size=2m", {"big.bin": b"\x5a\xa5" * (2 << 20)}),
        ("/opt", "nr_inodes=30", {f"many/{n}": str(n) for n in range(100)}),
        ("/var/lib/bootagent", "nr_inodes=2", {}),
        ("/var/cache/private", "nr_inodes=4", {}),
    ],
    ids=["the-releases", "the-releases-inodes", "the-records-inodes", "the-fetch-inodes"],
)
def test_no_room(stage, small, place, options, files):
    stage.serve(services.node(**{"bootagent.toml": "install = false\n" + SHORT} | files), secret=None)
    small(place, options)
    result = stage.run()
    status = assert_failed(stage.machine, result, 1, "E-DISK-FULL", f"tmpfs at {place}", "inodes")
    assert status["error"]["fault"] == "disk-full"


def test_no_room_for_packages(stage, registry, small):
    registry.publish("brick", "2.0.0", {"noise.bin": random.Random(1).randbytes(3 << 20)})
    stage.serve(project(stage.world, "2.0.0"), secret=None)
    small("/var/cache/bootagent", "size=1m")
    result = stage.run()
    assert_failed(stage.machine, result, 1, "E-DISK-FULL", "npm ci", "tmpfs at /var/cache/bootagent")
