"""Each package manager installs what its own lockfile says: in the version that fits the lockfile, and frozen. Without a line of manifest."""

import json
from pathlib import Path

import pytest
from lab import npm_packages
from looks import SERVICE, releases, status
from pm2_services import POLICY as MIRROR
from stage import POLICY, assert_failed, run

pytestmark = pytest.mark.variants

HERE = Path(__file__).parent / "managers"
PACKAGE = {
    "name": "sample",
    "version": "1.2.3",
    "config": {"color": "green"},
    "private": True,
    "scripts": {"build": "node build.js", "start": "node server.js"},
    "dependencies": {"ms": "2.1.3"},
    "devDependencies": {"isarray": "2.0.5"},
}
# The build needs a package for development, and so does the service not.
BUILD = 'require("fs").writeFileSync("built.json", JSON.stringify({ array: require("isarray")([]), commit: process.env.SOURCE_COMMIT, mode: process.env.NODE_ENV }));\n'
SERVER = """\
const has = (name) => { try { require.resolve(name); return true; } catch { return false; } };
const body = () => JSON.stringify({
  day: require("ms")("1d"), development: has("isarray"), built: require("./built.json"),
  version: process.env.npm_package_version, bun: typeof Bun !== "undefined",
});
require("http").createServer((request, response) => response.end(body())).listen(process.env.PORT);
"""
LOCKFILES = {"yarn-classic": "yarn.lock", "yarn-berry": "yarn.lock", "pnpm": "pnpm-lock.yaml", "bun": "bun.lock"}
NODE_MODULES = {".yarnrc.yml": "nodeLinker: node-modules\n"}


def project(manager: str, **more: str) -> dict[str, str]:
    name = LOCKFILES[manager]
    files = {"package.json": json.dumps(PACKAGE), "build.js": BUILD, "server.js": SERVER, name: (HERE / manager / name).read_text()}
    return files | more


@pytest.fixture
def registry(world):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.npm.carry(npm_packages.ensure(HERE / "package-lock.json"))
    world.secret(f"service_env_{SERVICE}_test", json.dumps({"PORT": "3000"}))
    return world


def booted(world, binary, files):
    world.repo(SERVICE).commit("test", files)
    machine = world.launch(binary=binary, files={POLICY: MIRROR})
    return machine, run(machine)


class TestEachManager:
    @pytest.mark.parametrize(
        ("manager", "more", "prunes"),
        [
            ("yarn-classic", {}, True),
            ("yarn-berry", NODE_MODULES, True),
            ("yarn-berry", {}, True),
            ("pnpm", {}, True),
            ("bun", {"package.json": json.dumps(PACKAGE | {"scripts": {"build": "node build.js", "start": "bun server.js"}})}, False),
        ],
        ids=["yarn-classic", "yarn-berry", "yarn-pnp", "pnpm", "bun"],
    )
    def test_a_build_a_start_and_an_update(self, registry, binary, manager, more, prunes):
        machine, first = booted(registry, binary, project(manager, **more))
        assert first.code == 0, first.stderr
        told = json.loads(machine.http("http://127.0.0.1:3000/").body)
        commit = status(machine)[1]["commit"]
        assert told["built"] == {"array": True, "commit": commit, "mode": "production"}
        assert (told["day"], told["version"], told["bun"]) == (86_400_000, "1.2.3", manager == "bun")
        assert told["development"] is not prunes
        # The tool is there: an update installs only the packages.
        registry.npm.log.clear()
        registry.repo(SERVICE).commit("test", {"note": "an update"})
        updated = machine.run(["bootagent", "run", "--update"], timeout=180)
        assert updated.code == 0, updated.stderr
        tools = [entry["path"] for entry in registry.npm.log if any(tool in entry["path"] for tool in ("yarn", "pnpm", "bun"))]
        assert tools == []
        assert json.loads(machine.http("http://127.0.0.1:3000/").body)["day"] == 86_400_000

    @pytest.mark.parametrize("manager", ["yarn-classic", "yarn-berry", "pnpm", "bun"])
    def test_a_lockfile_that_is_out_of_date_is_not_written_anew(self, registry, binary, manager):
        # One package less; for yarn 1, which ignores what a lockfile has too much, another range.
        changed = {"ms": "^2.1.0" if manager == "yarn-classic" else "2.1.3"}
        stale = PACKAGE | {"dependencies": changed, "devDependencies": {}}
        machine, failed = booted(registry, binary, project(manager, **NODE_MODULES, **{"package.json": json.dumps(stale)}))
        assert_failed(machine, failed, 78, "E-LOCKFILE-STALE", manager.partition("-")[0])
        assert releases(machine) == []


class TestAHash:
    """`packageManager` with the hash that corepack wrote: of yarn's program, and of pnpm's archive."""

    YARN = "yarn@3.2.3+sha224.953c8233f7a92884eee2de69a1b92d1f2ec1655e66d08071ba9a02fa"
    PNPM = "pnpm@8.6.0+sha224.d6e460ea5adba895e4002d26532036854ba9fa659302f68929e1c65d"
    SERVER = 'require("http").createServer((_, response) => response.end("up")).listen(process.env.PORT);\n'

    def test_a_program_with_it_is_taken_and_no_other(self, registry, binary):
        def of(manager: str) -> dict[str, str]:
            return {"package.json": json.dumps({"name": "sample", "packageManager": manager}), "server.js": self.SERVER}

        registry.npm.carry(npm_packages.ensure(HERE / "others-lock.json"))
        machine, failed = booted(registry, binary, of(self.YARN[:-1] + "b"))
        assert_failed(machine, failed, 78, "E-DEPENDENCY-ALTERED", "yarn.js", "packageManager")
        assert not machine.exists("/opt/bootagent/runtimes/yarn")
        registry.repo(SERVICE).commit("test", of(self.PNPM[:-1] + "e"))
        assert_failed(machine, machine.run(["bootagent", "run"], timeout=120), 78, "E-DEPENDENCY-ALTERED")
        assert not machine.exists("/opt/bootagent/runtimes/pnpm")
        for manager in (self.YARN, self.PNPM):
            registry.repo(SERVICE).commit("test", of(manager))
            done = machine.run(["bootagent", "run", "--update"], timeout=120)
            assert done.code == 0, done.stderr
            name, _, version = manager.partition("+")[0].partition("@")
            program = machine.check(["sh", "-c", f"echo /opt/bootagent/runtimes/{name}/*/node_modules/.bin/{name}"]).strip()
            assert machine.check([program, "--version"]).strip() == version
