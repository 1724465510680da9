"""What fails names its reason in the first line, and its remedy works: the tool's own words, no stack frame, no warning."""

import json

import pytest

import services
from stage import assert_failed
from test_bad_service import SHORT, fails, node

pytestmark = pytest.mark.variants

NO_INSTALL = "install = false\n"


def with_scripts(**scripts: str) -> dict:
    return node(**{"package.json": json.dumps({"name": "sample", "version": "1.0.0", "scripts": scripts})})


def causes(status: dict) -> str:
    return ": ".join(status["error"]["causes"])


# Of an installation and a build


def test_a_hook_whose_program_is_a_development_dependency(stage):
    files = with_scripts(start="node server.js", postinstall="husky")
    _, status = fails(stage, files, 1, "E-INSTALL-FAILED", "sh: 1: husky: not found")
    assert "devDependencies" in status["error"]["remedy"], status["error"]


def test_a_build_that_asks_git(stage):
    build = 'require("child_process").execSync("git rev-parse --short HEAD")'
    files = with_scripts(start="node server.js", build="node build.js") | {"build.js": build}
    _, status = fails(stage, files, 1, "E-INSTALL-FAILED", "git")
    assert "SOURCE_COMMIT" in status["error"]["remedy"], status["error"]
    assert "    at " not in causes(status) and "Error: Command failed" not in causes(status), causes(status)


def test_a_dependency_that_git_fetches_over_ssh(stage):
    address = "git+ssh://git@git.acme.test/acme/helper.git#0123456789abcdef0123456789abcdef01234567"
    package = {"name": "sample", "version": "1.0.0", "scripts": {"start": "node server.js"}, "dependencies": {"helper": address}}
    root = {"name": "sample", "version": "1.0.0", "dependencies": {"helper": address}}
    packages = {"": root, "node_modules/helper": {"version": "1.0.0", "resolved": address}}
    lock = {"name": "sample", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages}
    files = node(**{"package.json": json.dumps(package), "package-lock.json": json.dumps(lock)})
    _, status = fails(stage, files, 1, "E-INSTALL-FAILED", "git is not on the machine", "helper@git+ssh://", "acme/helper.git")
    assert all(words in status["error"]["remedy"] for words in ("git+https://", 'packages = ["git"]')), status["error"]


def test_npm_itself_is_what_does_not_fit(stage):
    package = {
        "name": "sample",
        "version": "1.0.0",
        "scripts": {"start": "node server.js"},
        "engines": {"node": ">=20", "npm": "^9"},
    }
    files = node(**{"package.json": json.dumps(package), ".npmrc": "engine-strict=true\n"})
    _, status = fails(stage, files, 78, "E-RUNTIME-MISSING", "EBADENGINE", "requires npm ^9, and this is npm ")
    assert "node" not in causes(status) and "engines.npm" in status["error"]["remedy"], status["error"]


# Of the service

CHECKER = """\
const missing = ["CONTACTS_TABLE", "CAMPAIGNS_TABLE", "PUBLIC_BASE_URL", "ADMIN_CREDENTIALS"];
class ConfigError extends Error {}
const issue = (name) => ({ code: "invalid_type", expected: "string", received: "undefined", path: [name], message: "Required" });
throw new ConfigError(JSON.stringify(missing.map(issue), null, 2));
"""


@pytest.mark.parametrize(
    ("server", "names", "remedy"),
    [
        (
            CHECKER,
            ["ConfigError: CONTACTS_TABLE, CAMPAIGNS_TABLE, PUBLIC_BASE_URL, ADMIN_CREDENTIALS"],
            "add CONTACTS_TABLE, CAMPAIGNS_TABLE",
        ),
        ('require("dotenv/config");\n', ["Error: Cannot find module 'dotenv/config'"], "devDependencies"),
        ('require("fs").mkdirSync("logs/today");\n', ["logs"], 'persist = ["logs/today"]'),
        (
            'console.error("Missing environment variables:\\n    DATABASE_URL: where it is"); process.exit(1);\n',
            ["Missing environment variables: DATABASE_URL"],
            "add DATABASE_URL to the service's secret",
        ),
    ],
    ids=["a-list-of-variables", "a-module", "a-read-only-directory", "a-variable-in-plain-words"],
)
def test_a_service_that_says_what_it_lacks(stage, server, names, remedy):
    files = node(server) | {"bootagent.toml": NO_INSTALL + SHORT}
    _, status = fails(stage, files, 1, "E-SERVICE-EXITED", *names)
    assert remedy in status["error"]["remedy"], status["error"]


def test_variables_of_the_example_that_are_not_set_are_named(stage):
    """The service's own words name none."""
    example = "PORT=3000\nDISCORD_TOKEN=\nPUBLIC_KEY=\n# GUILD_ID=1\n"
    manifest = NO_INSTALL + 'env.values.PUBLIC_KEY = "x"\n' + SHORT
    files = node('throw new Error("You must specify a client token");\n') | {".env.example": example, "bootagent.toml": manifest}
    stage.serve(files, secret=None)
    result = stage.run()
    error = assert_failed(stage.machine, result, 1, "E-SERVICE-EXITED", "You must specify a client token")["error"]
    assert "note: .env.example names DISCORD_TOKEN, which the service does not get" in result.stderr, result.stderr
    assert "that .env.example names it does not get DISCORD_TOKEN: add" in error["remedy"], error


def test_a_guessed_file_that_ends_at_once_is_named_with_its_convention(stage):
    """A library's main file."""
    package = json.dumps({"name": "sample", "version": "1.0.0", "main": "lib.js"})
    files = {"lib.js": "module.exports = {};\n", "package.json": package, "bootagent.toml": SHORT}
    _, status = fails(stage, files, 1, "E-SERVICE-EXITED", "last with status 0")
    assert status["error"]["remedy"].startswith("the start line was node lib.js (main in package.json)"), status["error"]


DATABASE = 'require("net").connect(5432, "127.0.0.1").on("error", (error) => { console.error(error); %s });\nsetInterval(() => {}, 1000);\n'
NO_ANSWER = "the service gets no answer from 127.0.0.1:5432 (PostgreSQL?)"


@pytest.mark.parametrize(("then", "code"), [("process.exit(1);", "E-SERVICE-EXITED"), ("process.exit(0);", "E-SERVICE-EXITED"), ("", "E-HEALTH-NO-LISTENER")])
def test_a_database_that_does_not_answer_is_named(stage, then, code):
    files = node(DATABASE % then) | {"bootagent.toml": NO_INSTALL + SHORT}
    _, status = fails(stage, files, 1, code, "Error: connect ECONNREFUSED 127.0.0.1:5432")
    assert status["error"]["remedy"].startswith(NO_ANSWER), status["error"]


def test_a_service_that_listens_on_no_port_and_logs_an_error_is_not_explained_by_it(stage):
    server = 'console.error(new Error("no user jane@example.com"));\nsetInterval(() => {}, 1000);\n'
    _, status = fails(stage, node(server) | {"bootagent.toml": NO_INSTALL + SHORT}, 1, "E-HEALTH-NO-LISTENER")
    assert "jane" not in json.dumps(status["error"]["causes"]), status["error"]


def test_variables_with_names_that_only_begin_like_the_loader_s(stage):
    """Of a secret: they reach the service."""
    values = {
        "LD_SDK_KEY": "sdk-0000",
        "LISTEN_PORT": "x",
        "ENV": "x",
        "MALLOC_ARENA_MAX": "2",
        "WATCHDOG_INTERVAL": "x",
        "GIT_SHA": "x",
    }
    server = f"const wanted = {json.dumps(values)};\nfor (const name in wanted) if (process.env[name] !== wanted[name]) process.exit(3);\n"
    manifest = NO_INSTALL + services.BRIEF
    name = stage.serve(node(server + services.SERVER) | {"bootagent.toml": manifest}, secret=json.dumps(values))
    result = stage.run()
    assert result.code == 0, result
    stage.machine.check(["systemctl", "stop", f"{name}.service"])
