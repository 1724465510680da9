"""The repository's own ecosystem file: in each of its forms, and what it may not say or do."""

import json
import time

import pytest
from looks import SERVICE, ask, current, leftovers, process, secret, shared, status  # noqa: F401
from pm2_services import POLICY as MIRROR
from pm2_services import apps, ecosystem, processes
from poller import Poller
from registry import carries_pm2
from stage import POLICY, REPOSITORY, assert_failed

MODULE = json.dumps({"name": "sample", "version": "1.0.0", "type": "module", "scripts": {"start": "node server.js"}})
NAMES = ["ecosystem.config.js", "ecosystem.config.cjs", "ecosystem.config.mjs", "ecosystem.config.json", "ecosystem.json"]
APPS = 'module.exports = { apps: [{ name: "web", script: "server.js" }] };\n'
# It ends with this, so that a child that answers without having evaluated it cannot pass for one that did.
TELLS = 'require("fs").writeFileSync("/tmp/ran-" + process.getuid(), JSON.stringify(process.env));\n'

# What the file does or says, with the code and words of the failure.
BAD = {
    "throws": ({"text": 'throw new Error("no such stage");\n' + APPS}, "E-ECOSYSTEM-INVALID", ["no such stage"]),
    "ends its process": ({"text": "process.exit(0);\n" + APPS}, "E-ECOSYSTEM-INVALID", []),
    "loops for ever": ({"text": "for (;;);\n" + APPS}, "E-ECOSYSTEM-INVALID", []),
    "has a syntax error": ({"text": "module.exports = {\n"}, "E-ECOSYSTEM-INVALID", []),
    "has no apps": ({"text": "module.exports = { apps: [] };\n"}, "E-ECOSYSTEM-INVALID", ["apps"]),
    "names another user": ({"user": "root"}, "E-ECOSYSTEM-REFUSED", ["user"]),
    "names another group": ({"gid": 0}, "E-ECOSYSTEM-REFUSED", ["gid"]),
    "has a script outside of the release": ({"script": "/usr/bin/env"}, "E-ECOSYSTEM-REFUSED", ["/usr/bin/env"]),
    "has a script above the release": ({"script": "../../elsewhere.js"}, "E-ECOSYSTEM-REFUSED", ["elsewhere.js"]),
    "works in another directory": ({"cwd": "/tmp"}, "E-ECOSYSTEM-REFUSED", ["cwd"]),
    "has npm as the script of a cluster": ({"script": "npm", "args": "start", "exec_mode": "cluster", "instances": 2},
                                            "E-ECOSYSTEM-REFUSED", ["npm"]),
    "deploys": ({"text": 'module.exports = { apps: [{ script: "server.js" }], deploy: { production: { user: "x" } } };\n'},
                "E-ECOSYSTEM-REFUSED", ["deploy"]),
    "prints other things before its JSON": ({"name": "ecosystem.json", "text": 'console.log("{}"), { "apps": [] }\n'},
                                            "E-ECOSYSTEM-INVALID", []),
}  # fmt: skip


def update(shared, machine, files):  # noqa: F811
    gone = {name: None for name in NAMES}
    shared.repo(SERVICE).commit("test", gone | files)
    return machine.run(["bootagent", "update"], timeout=180)


class TestEcosystem:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        carries_pm2(shared)
        secret(shared, TOKEN="the-very-secret-token")
        shared.repo(SERVICE).commit("test", ecosystem(env={"MODE": "of the file"}, max_memory_restart="300M"))
        machine = shared.launch(binary=binary, files={POLICY: MIRROR})
        first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
        assert first.code == 0, first.stderr
        return machine

    def test_it_serves_as_the_file_says(self, machine):
        variables = ask(machine, "env")
        assert variables["MODE"] == "of the file" and variables["TOKEN"] == "the-very-secret-token"
        assert len(apps(machine)) == 1 and {each["user"] for each in processes(machine)} == {SERVICE}

    @pytest.mark.parametrize("name", NAMES)
    def test_each_form_of_it(self, shared, machine, name):  # noqa: F811
        done = update(shared, machine, ecosystem(name, env={"MODE": name}))
        assert done.code == 0, done.stderr
        assert ask(machine, "env")["MODE"] == name and ask(machine, "release").endswith(current(machine))

    @pytest.mark.parametrize("name", ["ecosystem.config.cjs", "ecosystem.config.mjs"])
    def test_in_a_package_of_modules(self, shared, machine, name):  # noqa: F811
        server = 'import http from "node:http";\nhttp.createServer((_, answer) => answer.end(JSON.stringify(process.env.MODE))).listen(process.env.PORT);\n'
        done = update(shared, machine, ecosystem(name, env={"MODE": name}) | {"package.json": MODULE, "server.js": server})
        assert done.code == 0, done.stderr
        assert ask(machine, "anything") == name

    def test_a_cluster_of_it(self, shared, machine):  # noqa: F811
        done = update(shared, machine, ecosystem(instances=2, exec_mode="cluster"))
        assert done.code == 0, done.stderr
        assert len({ask(machine, "process")["pid"] for _ in range(12)}) == 2

    def test_it_is_evaluated_as_the_service_without_its_secrets(self, shared, machine):  # noqa: F811
        note = f'require("fs").writeFileSync(require("os").homedir() + "/evaluated", JSON.stringify([process.getuid(), process.env]));\n{APPS}'
        done = update(shared, machine, ecosystem(text=f"try {{ {note.splitlines()[0]} }} catch {{}}\n{APPS}"))
        assert done.code == 0, done.stderr
        found = machine.run(["sh", "-c", f"cat /var/lib/{SERVICE}/evaluated"]).stdout
        assert "the-very-secret-token" not in found or json.loads(found)[0] != 0, found

    @pytest.mark.parametrize("bad", BAD)
    def test_what_it_may_not_do_leaves_what_serves(self, shared, machine, bad):  # noqa: F811
        settings, code, words = BAD[bad]
        good, began = (current(machine), process(machine)), time.monotonic()
        with Poller(machine, "/") as poller:
            failed = update(shared, machine, ecosystem(**settings))
        said = assert_failed(machine, failed, 2, code)
        told = json.dumps(said["error"])
        assert "ecosystem" in told and all(word in told for word in words), told
        assert {word for _, word in poller.failures} <= {"answered 404"}, poller.failures
        assert (current(machine), process(machine)) == good and leftovers(machine) == []
        assert time.monotonic() - began < 90, "it was waited for too long"

    def test_cron_restart_is_named_in_the_plan(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", ecosystem(cron_restart="0 0 * * *"))
        plan = machine.run(["bootagent", "update", "--dry-run"], timeout=120)
        assert "cron_restart" in plan.stdout + plan.stderr, plan

    def test_and_a_good_one_again(self, shared, machine):  # noqa: F811
        done = update(shared, machine, ecosystem())
        assert done.code == 0, done.stderr
        assert status(machine)[1]["state"] == "healthy"
