"""What a repository gets without a line about it in its manifest: files that an installation leaves in its home, the commit, npm's variables."""

import json

import pytest
from looks import SERVICE, shared  # noqa: F401
from services import BRIEF
from stage import assert_failed, run

# As puppeteer does: what is downloaded at the installation is in the home of the user who installs.
FETCH = """\
const fs = require("fs"), os = require("os"), path = require("path");
for (const name of ["browser", "with a blank"]) {
  const at = path.join(os.homedir(), ".cache", name);
  fs.mkdirSync(at, { recursive: true });
  fs.writeFileSync(path.join(at, "chrome"), process.env.SOURCE_COMMIT);
}
"""
BUILD = 'require("fs").writeFileSync("built.json", JSON.stringify({ url: process.env.NEXT_PUBLIC_URL, mode: process.env.NODE_ENV }));\n'
SERVER = """\
const fs = require("fs"), http = require("http"), os = require("os"), path = require("path");
const read = (name) => fs.readFileSync(path.join(os.homedir(), ".cache", name, "chrome"), "utf8");
fs.mkdirSync(path.join(os.homedir(), ".cache", "own"), { recursive: true });
http.createServer((request, response) => response.end(JSON.stringify({
  browser: read("browser"), blank: read("with a blank"), built: require("./built.json"),
  arguments: process.argv.slice(2), npm: process.env.npm_package_version,
}))).listen(process.env.PORT);
"""
PACKAGE = {
    "name": "sample",
    "version": "1.2.3",
    "config": {"color": "green"},
    "scripts": {
        "postinstall": "node fetch.js",
        "build": "node build.js",
        "start": "nodemon server.js --color $npm_package_config_color",
    },
}
LOCK = {"name": "sample", "version": "1.2.3", "lockfileVersion": 3, "requires": True, "packages": {"": {"name": "sample", "version": "1.2.3"}}}
MANIFEST = f"secret = false\n{BRIEF.replace('/health', '/')}env.values = {{ NEXT_PUBLIC_URL = 'https://api.acme.test' }}\n"
FILES = {
    "package.json": json.dumps(PACKAGE),
    "package-lock.json": json.dumps(LOCK),
    "fetch.js": FETCH,
    "build.js": BUILD,
    "server.js": SERVER,
    "bootagent.toml": MANIFEST,
}


class TestByConvention:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", FILES)
        machine = shared.launch(binary=binary)
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    def told(self, machine):
        return json.loads(machine.http("http://127.0.0.1:3000/").body)

    def test_the_build_sees_public_values_and_the_service_what_it_left(self, shared, machine):  # noqa: F811
        commit = shared.repo(SERVICE).sha("test")
        told = self.told(machine)
        assert told["built"] == {"url": "https://api.acme.test", "mode": "production"}
        assert (told["browser"], told["blank"]) == (commit, commit)

    def test_npm_s_variables_are_expanded_and_no_watcher_runs(self, machine):
        told = self.told(machine)
        assert (told["arguments"], told["npm"]) == (["--color", "green"], "1.2.3")
        tree = machine.check(["systemd-cgls", "--no-pager", "--full", f"/system.slice/{SERVICE}.service"])
        assert "nodemon" not in tree and "npm" not in tree, tree

    def test_an_update_has_the_files_of_its_own_installation_and_the_service_s_own_stay(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", {"note": "an update"})
        updated = machine.run(["bootagent", "run", "--update"], timeout=180)
        assert updated.code == 0, updated.stderr
        assert self.told(machine)["browser"] == shared.repo(SERVICE).sha("test")
        assert machine.check(["stat", "-c", "%F", f"/var/lib/{SERVICE}/.cache/own"]).strip() == "directory"

    def test_a_development_server_is_refused_before_anything_is_installed(self, shared, machine):  # noqa: F811
        scripts = PACKAGE["scripts"] | {"start": "vite dev"}
        shared.repo(SERVICE).commit("test", {"package.json": json.dumps(PACKAGE | {"scripts": scripts})})
        failed = machine.run(["bootagent", "run", "--update"], timeout=180)
        assert_failed(machine, failed, 2, "E-MANIFEST-INVALID", "vite dev", "development server")
        assert self.told(machine)["npm"] == "1.2.3"
