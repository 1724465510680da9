"""Private package registries: a proxy adds the token, and no command and no service ever has it."""

import json

import pytest
from lab import npm_packages, python_index
from lab.world import may
from looks import SERVICE, ask, current, leftovers, process, shared, wait_until_it_answers  # noqa: F401
from python_services import POLICY as PYPI_MIRROR
from python_services import with_uv, with_venv, wsgi
from stage import POLICY, REPOSITORY, assert_failed
from test_managers import HERE, NODE_MODULES, PACKAGE, project

import services

TOKEN = "npm_Zq7hunter2hunter2Zq7"
SECRET = f"service_install_{SERVICE}_test"
NPM = '[registries.acme]\nkind = "npm"\nurl = "https://npm.acme.test/"\ntoken = "NPM_TOKEN"\n'
PYPI = f'[registries.python]\nkind = "pypi"\nurl = "https://{python_index.HOST}/"\ntoken = "PIP_TOKEN"\nusername = "__token__"\n'
# As people write it. npm itself would not trust the lab's certificates.
NPMRC = "registry=https://npm.acme.test/\n//npm.acme.test/:_authToken=${NPM_TOKEN}\nstrict-ssl=true\n"
# What an install script of a package finds: variables, processes and files of its own and of others.
LOOK = """\
const fs = require("fs"), https = require("https"), net = require("net");
const read = (path) => { try { return fs.readFileSync(path, "latin1"); } catch (error) { return ""; } };
const walk = (top) => { try { return fs.readdirSync(top, { withFileTypes: true }).map((entry) =>
  entry.isDirectory() ? walk(top + "/" + entry.name) : top + "/" + entry.name + "\\n" + read(top + "/" + entry.name)).join("\\n"); }
  catch { return ""; } };
const pids = fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name));
const processes = pids.map((pid) => read(`/proc/${pid}/cmdline`) + read(`/proc/${pid}/environ`)).join("\\n");
const proxy = new URL(process.env.https_proxy);
const found = { env: process.env, processes, files: walk("/run") + walk("/tmp") + walk(process.env.HOME), methods: {} };
const ask = (method, path) => new Promise((done) => {
  const socket = net.connect(proxy.port, proxy.hostname, () =>
    socket.write("CONNECT npm.acme.test:443 HTTP/1.1\\r\\nHost: npm.acme.test:443\\r\\n\\r\\n"));
  socket.once("data", () => {
    const options = { socket, method, path, host: "npm.acme.test", ca: read(process.env.NODE_EXTRA_CA_CERTS), agent: false };
    https.request(options, (answer) => { answer.resume(); answer.on("end", () => done(answer.statusCode)); })
      .on("error", (error) => done(error.code)).end();
  });
});
(async () => {
  found.methods.GET = await ask("GET", "/@acme%2fbrick");
  found.methods.PUT = await ask("PUT", "/@acme%2fbrick");
  found.methods.up = await ask("GET", "/@acme/..%2f..%2fx");
  fs.writeFileSync("found.json", JSON.stringify(found));
})();
"""


def files(world, **overrides) -> dict:
    package = world.npm.project("sample", {"@acme/brick": "1.0.0", "mortar": "1.0.0"}, scripts={"start": "node server.js"})
    return services.talking() | {"bootagent.toml": services.BRIEF, ".npmrc": NPMRC} | package | overrides


def tokens(world, **values) -> None:
    world.secret(SECRET, json.dumps(values))


def allowed(world) -> None:
    """The role may read the install secret, too."""
    world.aws.allow("instance", [may("secretsmanager:GetSecretValue", "*")])


def update(machine):
    return machine.run(["bootagent", "update"], timeout=180)


class TestNpm:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        package = json.dumps({"scripts": {"install": "node look.js"}})
        shared.npm.publish("@acme/brick", "1.0.0", {"index.js": "", "look.js": LOOK, "package.json": package})
        shared.npm.publish("mortar", "1.0.0")
        shared.npm.token = TOKEN
        shared.secret(f"service_env_{SERVICE}_test", json.dumps({"TOKEN": "t"}))
        tokens(shared, NPM_TOKEN=TOKEN, OTHER="x")
        shared.repo(SERVICE).commit("test", files(shared))
        machine = shared.launch(binary=binary, files={POLICY: NPM})
        allowed(shared)
        first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
        assert first.code == 0, first.stderr
        return machine

    @pytest.fixture(autouse=True)
    @classmethod
    def healed(cls, shared, machine):  # noqa: F811
        yield
        tokens(shared, NPM_TOKEN=TOKEN)

    def fails(self, machine, code: str, *words: str, helps: str) -> dict:
        """What served serves on."""
        good = current(machine), process(machine)
        said = assert_failed(machine, update(machine), 2, code, *words)
        assert helps in said["error"]["remedy"], said["error"]
        assert (current(machine), process(machine)) == good and ask(machine, "health") == "ok"
        assert leftovers(machine) == []
        return said

    def test_a_scope_s_package_is_installed_and_the_token_is_sent_to_its_registry(self, shared, machine):  # noqa: F811
        asked = [entry for entry in shared.npm.log if entry["path"].endswith("brick-1.0.0.tgz")]
        assert asked and all(entry["authorization"] == f"Bearer {TOKEN}" for entry in asked)
        assert machine.exists(f"/opt/{SERVICE}/current/node_modules/mortar/package.json")

    def test_no_script_and_no_service_has_the_token(self, machine):
        found = machine.read(f"/opt/{SERVICE}/current/node_modules/@acme/brick/found.json")
        assert TOKEN not in found
        said = json.loads(found)
        assert said["env"]["NPM_TOKEN"] == "added-by-bootagent"
        # A script can read packages, as npm can. It can publish none, and leave the registry's path on no other way.
        assert said["methods"] == {"GET": 200, "PUT": 405, "up": 400}
        assert "NPM_TOKEN" not in ask(machine, "env")
        for command in (
            ["grep", "-rlF", TOKEN, "/run", "/opt", "/etc", "/var", "/tmp", "/root"],
            ["sh", "-c", f"journalctl --no-pager -o export | grep -cF {TOKEN} | grep -v ^0"],
            ["sh", "-c", f"cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -a {TOKEN[:-1]}[{TOKEN[-1]}]"],
        ):
            result = machine.run(command)
            assert result.code != 0, result.stdout
        assert not machine.exists(f"/run/bootagent-registries/{SERVICE}/ca.pem") and leftovers(machine) == []

    def test_the_plan_names_the_registry_and_no_token(self, machine):
        plan = machine.check(["bootagent", "--dry-run", "-v"])
        assert f"https://npm.acme.test (NPM_TOKEN of {SECRET})" in plan and TOKEN not in plan

    def test_a_complete_release_needs_no_install_secret(self, shared, machine):  # noqa: F811
        shared.aws.delete_secret(SECRET)
        again = machine.run(["bootagent", "run"], timeout=60)
        assert again.code == 0, again.stderr

    def test_a_missing_token_is_named(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", files(shared, x="missing"))
        tokens(shared, OTHER="x")
        self.fails(machine, "E-SECRET-KEY-MISSING", "NPM_TOKEN", SECRET, helps=f"store NPM_TOKEN in the secret {SECRET}")
        shared.aws.delete_secret(SECRET)
        self.fails(machine, "E-SECRET-MISSING", SECRET, helps=f"store NPM_TOKEN in the secret {SECRET}")
        assert machine.run(["bootagent", "--dry-run", "--update"]).code == 78

    def test_a_token_that_is_refused_is_not_tried_again(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", files(shared, x="refused"))
        tokens(shared, NPM_TOKEN="npm_of_another_time")
        # The tarball of the first installation is in npm's cache.
        machine.check(["rm", "-rf", f"/var/cache/bootagent/{SERVICE}/npm"])
        before = len(shared.npm.log)
        said = self.fails(machine, "E-REGISTRY-REFUSED", "answers 401", helps=f"the secret {SECRET} has NPM_TOKEN for https://npm.acme.test")
        assert len(shared.npm.log) - before < 6, "asked again, although the answer was clear"
        assert "npm_of_another_time" not in json.dumps(said)

    def test_a_repository_that_names_another_registry_gets_no_token(self, shared, machine):  # noqa: F811
        other = python_index.HOST
        npmrc = f"registry=https://{other}/\n//{other}/:_authToken=${{NPM_TOKEN}}\nhttps-proxy=http://{other}:443\nnoproxy=npm.acme.test\n"
        lock = json.loads(files(shared)["package-lock.json"])
        lock["packages"]["node_modules/mortar"]["resolved"] = f"https://{other}/mortar/-/mortar-1.0.0.tgz"
        changed = {".npmrc": npmrc, "package-lock.json": json.dumps(lock)}
        shared.repo(SERVICE).commit("test", files(shared, **changed))
        machine.check(["rm", "-rf", f"/var/cache/bootagent/{SERVICE}/npm"])
        before = len(shared.pypi.log)
        self.fails(machine, "E-DEPENDENCY-MISSING", "E404", helps="lockfile")
        sent = {entry["authorization"] for entry in shared.pypi.log[before:]}
        assert sent == {"Bearer added-by-bootagent"}


@pytest.mark.variants
class TestPypi:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.pypi.token = TOKEN
        shared.secret(f"service_env_{SERVICE}_test", json.dumps({"TOKEN": "t"}))
        tokens(shared, PIP_TOKEN=TOKEN)
        shared.repo(SERVICE).commit("test", wsgi())
        machine = shared.launch(binary=binary, files={POLICY: with_uv(shared) + PYPI}, layers=with_venv())
        allowed(shared)
        first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
        assert first.code == 0, first.stderr
        return machine

    def test_an_index_with_a_login_is_read(self, shared, machine):  # noqa: F811
        assert ask(machine, "health") == "ok" and "PIP_TOKEN" not in ask(machine, "env")
        asked = [entry for entry in shared.pypi.log if entry["path"].startswith("/simple/gunicorn")]
        assert asked and all(entry["authorization"].startswith("Basic ") for entry in asked)

    def test_a_login_that_is_refused_is_named(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", wsgi(x="refused"))
        tokens(shared, PIP_TOKEN="pypi-of-another-time")
        machine.check(["rm", "-rf", f"/var/cache/bootagent/{SERVICE}/uv"])
        said = assert_failed(machine, update(machine), 2, "E-REGISTRY-REFUSED", "401")
        assert f"{SECRET} has PIP_TOKEN" in said["error"]["remedy"]
        assert ask(machine, "health") == "ok"


@pytest.mark.variants
class TestOtherManagers:
    """Each of them asks for the private packages, `ms` and `isarray`, through the proxy, on one machine after another."""

    BRIEF = 'port = 3000\nsecret = false\nhealth = { path = "/", soak = "1s" }\n'

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        for lockfile in ("package-lock.json", "others-lock.json"):
            shared.npm.carry(npm_packages.ensure(HERE / lockfile))
        shared.npm.private, shared.npm.token = ("ms", "isarray"), TOKEN
        tokens(shared, NPM_TOKEN=TOKEN)
        shared.repo(SERVICE).commit("test", project("yarn-classic", **{"bootagent.toml": cls.BRIEF}))
        machine = shared.launch(binary=binary, files={POLICY: '[mirrors]\nnpm = "https://npm.acme.test"\n' + NPM})
        allowed(shared)
        first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
        assert first.code == 0, first.stderr
        return machine

    def installed(self, shared, machine) -> None:  # noqa: F811
        """The packages came with the token, and only the proxy had it."""
        asked = [entry for entry in shared.npm.log if entry["path"].startswith(("/ms/-/", "/isarray/-/"))]
        assert len(asked) >= 2 and all(entry["authorization"] == f"Bearer {TOKEN}" for entry in asked)
        assert json.loads(machine.http("http://127.0.0.1:3000/").body)["day"] == 86_400_000
        shared.npm.log.clear()

    def test_yarn_classic(self, shared, machine):  # noqa: F811
        self.installed(shared, machine)

    # pnpm reads other variables for the mirror since its version 11, and no token of the project's own .npmrc.
    PNPM_11 = {"package.json": json.dumps(PACKAGE | {"packageManager": "pnpm@11.28.11"}), ".npmrc": NPMRC.partition("\n")[2]}

    @pytest.mark.parametrize(
        ("manager", "more"),
        [("yarn-berry", NODE_MODULES), ("pnpm", {}), ("pnpm", PNPM_11), ("bun", {})],
        ids=["yarn-berry", "pnpm", "pnpm-11", "bun"],
    )
    def test_another_manager(self, shared, machine, manager, more):  # noqa: F811
        shared.repo(SERVICE).git("update-ref", "-d", "refs/heads/test")
        shared.repo(SERVICE).commit("test", project(manager, **more, **{"bootagent.toml": self.BRIEF}))
        shared.npm.log.clear()
        updated = update(machine)
        assert updated.code == 0, updated.stderr
        self.installed(shared, machine)

    def test_a_token_that_is_refused_is_named(self, shared, machine):  # noqa: F811
        tokens(shared, NPM_TOKEN="npm_of_another_time")
        machine.check(["rm", "-rf", f"/var/cache/bootagent/{SERVICE}"])
        shared.repo(SERVICE).git("update-ref", "-d", "refs/heads/test")
        shared.repo(SERVICE).commit("test", project("pnpm", **{"bootagent.toml": self.BRIEF, "x": "refused"}))
        said = assert_failed(machine, update(machine), 2, "E-REGISTRY-REFUSED", "401")
        assert f"{SECRET} has NPM_TOKEN" in said["error"]["remedy"]


@pytest.mark.variants
def test_pip_asks_through_the_proxy(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.pypi.token = TOKEN
    world.secret(f"service_env_{SERVICE}_test", json.dumps({"TOKEN": "t"}))
    tokens(world, PIP_TOKEN=TOKEN)
    world.repo(SERVICE).commit("test", wsgi())
    machine = world.launch(binary=binary, files={POLICY: PYPI_MIRROR + PYPI}, layers=with_venv())
    allowed(world)
    first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
    assert first.code == 0, first.stderr
    asked = [entry for entry in world.pypi.log if entry["path"].startswith("/simple/gunicorn")]
    assert asked and all(entry["authorization"].startswith("Basic ") and "pip/" in entry["user_agent"] for entry in asked)
