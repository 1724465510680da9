"""`directory`: a service that is in a directory of its repository, on one machine: updates, a reboot, records of an older agent."""

import json

import pytest
from looks import SERVICE, ask, process, shared, status  # noqa: F401
from services import talking
from stage import GIT, assert_failed, serving

MANIFEST = 'directory = "services/api"\nport = 3000\nhealth = { path = "/health", soak = "1s" }\npersist = ["uploads"]\n'


def repository(manifest: str = MANIFEST, **more: object) -> dict[str, object]:
    """A talking service in services/api, and in the root another one, which ends at once."""
    of_service = {f"services/api/{name}": text for name, text in talking(installs=True).items() if name != "bootagent.toml"}
    of_root = {"package.json": '{"scripts": {"start": "node none.js"}}', "Procfile": "web: node none.js\n", ".nvmrc": "22\n"}
    return of_root | of_service | {"bootagent.toml": manifest} | more


def forget_the_directory(machine) -> None:
    """The records that an agent would have written which did not know the key `directory`."""
    paths = machine.check(["sh", "-c", "ls /var/lib/bootagent/instances/*/decision.json /var/lib/bootagent/services/*/kept/*"])
    for path in paths.split():
        record = json.loads(machine.read(path))
        source = record["source"]
        assert "services/api/package.json" in source["evidence"] and source["listing"] == {"directories": ["services/api"]}
        del source["listing"]
        source["entries"] = [entry for entry in source["entries"] if "/" not in entry["path"]]
        source["evidence"] = {name: text for name, text in source["evidence"].items() if "/" not in name}
        source.pop("absent", None)
        machine.check(["sh", "-c", 'cat > "$1"', "sh", path], stdin=json.dumps(record))


class TestDirectory:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, repository(), TOKEN="t")

    def test_the_service_sees_its_directory_as_if_it_were_the_root(self, machine):
        assert ask(machine, "release").endswith("/services/api")
        assert ask(machine, "dotenv")["TOKEN"] == "t"
        assert ask(machine, "write?path=uploads/x") == "written" and machine.exists(f"/var/lib/{SERVICE}/uploads/x")
        assert ask(machine, "write?path=../../x") == "EROFS", "the rest of the release is read-only"
        plan = machine.run(["bootagent", "--dry-run", "--output", "json"]).json()
        assert {"name": "directory", "value": "services/api", "origin": "directory in bootagent.toml"} in plan["settings"]

    def test_after_a_reboot_it_serves_although_git_does_not_answer(self, shared, machine):  # noqa: F811
        shared.unreachable(GIT)
        machine.reboot()
        again = machine.run(["bootagent", "run"], timeout=180)
        shared.reachable(GIT)
        assert again.code == 0, again.stderr
        assert ask(machine, "release").endswith("/services/api")

    def test_a_record_without_the_directory_is_not_taken_for_a_repository_without_it(self, shared, machine):  # noqa: F811
        forget_the_directory(machine)
        before = process(machine)
        shared.unreachable(GIT)
        offline = machine.run(["bootagent", "run", "--budget", "8s"], timeout=60)
        shared.reachable(GIT)
        assert_failed(machine, offline, 2, "E-GIT-UNREACHABLE")
        again = machine.run(["bootagent", "run"], timeout=180)
        assert again.code == 0, again.stderr
        assert process(machine) == before, "it is the same deployment"

    def test_a_commit_without_the_directory_is_refused_and_the_former_one_serves(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", repository(MANIFEST.replace("services/api", "service/api")))
        update = machine.run(["bootagent", "update"], timeout=180)
        assert_failed(machine, update, 2, "E-MANIFEST-INVALID", "service/api", "it has services/api")
        assert ask(machine, "release").endswith("/services/api")

    def test_a_service_that_moves_to_another_directory_is_another_release(self, shared, machine):  # noqa: F811
        moved = MANIFEST.replace("services/api", "api")
        files = {f"api/{name}": text for name, text in talking(installs=True).items() if name != "bootagent.toml"}
        shared.repo(SERVICE).commit("test", repository(moved, **files))
        update = machine.run(["bootagent", "update"], timeout=180)
        assert update.code == 0, update.stderr
        assert ask(machine, "release").endswith("/api") and "/services/" not in ask(machine, "release")
        assert ask(machine, "read?path=uploads/x") == "x", "persistent directories are those of the service"
        assert status(machine)[1]["state"] == "healthy"


# Of a front end and of a library beside the service, each with packages of its own.
WEB = 'require("mortar"); const fs = require("fs"); fs.mkdirSync("dist"); const { VITE_API, TOKEN } = process.env;\n' + (
    'fs.writeFileSync("dist/index.html", [VITE_API, TOKEN ?? "no secret", process.cwd().split("/").pop()].join());\n'
)
FIRST = 'port = 3000\nhealth = { path = "/health", soak = "1s" }\nenv.values = { VITE_API = "/api" }\n'
FIRST += 'build_first = [{ directory = "lib", build = "node -e \'require(`fs`).writeFileSync(`made`, `lib`)\'" }, "web"]\n'


def several(world, **more: str) -> dict[str, object]:
    """A service at the root, a front end in web, and lib."""
    web = world.npm.project("web", {"mortar": "1.0.0"}, scripts={"build": "node build.js"})
    lib = world.npm.project("lib", {"mortar": "1.0.0"})
    files = {f"web/{name}": text for name, text in (web | {"build.js": WEB}).items()} | {f"lib/{name}": text for name, text in lib.items()}
    return talking(installs=True) | files | {"bootagent.toml": FIRST} | more


class TestBuildFirst:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.npm.publish("mortar", "1.0.0")
        return serving(shared, binary, several(shared), TOKEN="t")

    def test_each_directory_is_installed_and_built_before_the_service(self, machine):
        release = ask(machine, "release")
        assert ask(machine, "read?path=web/dist/index.html") == "/api,no secret,web" and ask(machine, "read?path=lib/made") == "lib"
        for path in ("lib/node_modules/mortar/index.js", "web/node_modules/mortar/index.js"):
            assert machine.exists(f"{release}/{path}"), path
        plan = machine.run(["bootagent", "--dry-run", "--output", "json"]).json()
        assert [line["value"].split()[0] for line in plan["settings"] if line["name"] == "built first"] == ["lib", "web"]

    def test_a_build_that_fails_names_its_directory_and_the_former_release_serves(self, shared, machine):  # noqa: F811
        before = process(machine)
        shared.repo(SERVICE).commit("test", several(shared) | {"web/build.js": "process.exit(3)\n"})
        update = machine.run(["bootagent", "update"], timeout=180)
        assert_failed(machine, update, 2, "E-INSTALL-FAILED", "npm run build in web")
        assert process(machine) == before and ask(machine, "read?path=web/dist/index.html").startswith("/api")

    def test_a_reboot_needs_no_git(self, shared, machine):  # noqa: F811
        shared.unreachable(GIT)
        machine.reboot()
        again = machine.run(["bootagent", "run"], timeout=180)
        shared.reachable(GIT)
        assert again.code == 0, again.stderr
        assert ask(machine, "read?path=lib/made") == "lib"
