"""The repository's own ecosystem file: in each of its forms, and what it may not say or do."""

import json
import time

import pytest
from looks import SERVICE, USER_DATA, ask, current, leftovers, process, secret, shared, status  # noqa: F401
from pm2_services import HOME, POLICY as MIRROR
from pm2_services import SERVER, apps, ecosystem, processes
from poller import Poller
from registry import carries_pm2
from stage import POLICY, assert_failed

pytestmark = pytest.mark.variants

MODULE = json.dumps({"name": "sample", "version": "1.0.0", "type": "module", "scripts": {"start": "node server.js"}})
NAMES = ["ecosystem.config.js", "ecosystem.config.cjs", "ecosystem.config.mjs", "ecosystem.config.json", "ecosystem.json"]
APPS = 'module.exports = { apps: [{ name: "web", script: "server.js" }] };\n'
WORD = "the-very-secret-token"
# What the file finds when it is read becomes a variable of the service, which tells it: who reads it, its variables, what it
# can read of the places where values are kept, and where it can write.
TELLS = """\
const fs = require("fs");
const outcome = (attempt) => { try { return attempt(); } catch (error) { return error.code ?? error.name; } };
const seen = (path) => outcome(() => fs.statSync(path).isDirectory()
  ? Object.fromEntries(fs.readdirSync(path).map((name) => [name, seen(path + "/" + name)]))
  : fs.readFileSync(path, "utf8"));
const FOUND = JSON.stringify({
  user: process.getuid(),
  groups: process.getgroups(),
  variables: process.env,
  kept: Object.fromEntries(["/run/bootagent", "/var/lib/auth-service", ".env", "../../current/.env"].map((path) => [path, seen(path)])),
  parent: outcome(() => fs.readFileSync("/proc/" + process.ppid + "/environ", "latin1")),
  written: [__dirname, "/opt/auth-service", "/var/lib/auth-service"].filter((path) => outcome(() => fs.writeFileSync(path + "/stray", "")) === undefined),
});
module.exports = { apps: [{ name: "web", script: "server.js", env: { FOUND } }] };
"""
CLOCK = "0 4 1 1 *"
HIDDEN_CLOCK = f'module.exports = {{ apps: [{{ name: "web", script: "server.js", ["cron" + "_restart"]: "{CLOCK}" }}] }};\n'
# Asks PM2 itself, by the program's own client.
CLOCKS = """\
require(process.argv[1]).connect(async (call) => {
  const all = await call("getMonitorData", {});
  process.stdout.write(JSON.stringify(all.map((one) => one.pm2_env.cron_restart)));
  return [0];
});
"""

# What the file does or says, with the code and words of the failure.
BAD = {
    "throws": ({"text": 'throw new Error("no such stage");\n' + APPS}, "E-ECOSYSTEM-INVALID", ["no such stage"]),
    "ends its process": ({"text": "process.exit(0);\n" + APPS}, "E-ECOSYSTEM-INVALID", ["ends the process that evaluates it"]),
    "loops for ever": ({"text": "for (;;);\n" + APPS}, "E-ECOSYSTEM-INVALID", ["does not end within"]),
    "has a syntax error": ({"text": "module.exports = {\n"}, "E-ECOSYSTEM-INVALID", ["Unexpected end of input"]),
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
    "prints other things before its JSON": ({"name": "ecosystem.json", "text": 'Loading...\n{ "apps": [{ "script": "server.js" }] }\n'},
                                            "E-ECOSYSTEM-INVALID", ["Unexpected token"]),
    "asks for more processes than the policy allows": ({"instances": 3, "exec_mode": "cluster"}, "E-ECOSYSTEM-REFUSED", ["instances", "allows 2"]),
    "hides a clock from the plan": ({"text": HIDDEN_CLOCK}, "E-ECOSYSTEM-REFUSED", ["cron_restart"]),
}  # fmt: skip


def update(shared, machine, files):  # noqa: F811
    gone = {name: None for name in NAMES}
    shared.repo(SERVICE).commit("test", gone | files)
    return machine.run(["bootagent", "update"], timeout=180)


def clocks(machine) -> list[str]:
    """By which PM2 restarts each process."""
    client = machine.check(["sh", "-c", "ls /opt/bootagent/runtimes/pm2/*/client.js"]).strip()
    return json.loads(machine.check(["node", "-e", CLOCKS, client], user=SERVICE, env={"PM2_HOME": f"{HOME}/.pm2"}))


class TestEcosystem:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        carries_pm2(shared)
        secret(shared, TOKEN=WORD)
        shared.repo(SERVICE).commit("test", ecosystem(env={"MODE": "of the file"}, max_memory_restart="300M"))
        machine = shared.launch(user_data=USER_DATA, binary=binary, files={POLICY: MIRROR + "[limits]\ninstances = 2\n"})
        done = machine.wait_for_cloud_init(timeout=240)
        assert (done.errors, done.user_data_code) == ([], 0), done.output
        assert status(machine)[1]["state"] == "healthy" and leftovers(machine) == []
        return machine

    def test_it_serves_as_the_file_says(self, machine):
        variables = ask(machine, "env")
        assert variables["MODE"] == "of the file" and variables["TOKEN"] == WORD
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

    def test_what_it_prints_is_not_what_it_says(self, shared, machine):  # noqa: F811
        done = update(shared, machine, ecosystem(text='console.log("{ \\"apps\\": [] }");\n' + APPS))
        assert done.code == 0, done.stderr
        assert ask(machine, "release").endswith(current(machine))

    def test_a_cluster_of_it(self, shared, machine):  # noqa: F811
        done = update(shared, machine, ecosystem(instances=2, exec_mode="cluster"))
        assert done.code == 0, done.stderr
        assert len({ask(machine, "process")["pid"] for _ in range(12)}) == 2

    def test_it_is_evaluated_as_the_service_without_its_secrets(self, shared, machine):  # noqa: F811
        """Twice: at the second time values are there to be found, those of what serves."""
        for note in ("one", "two"):
            done = update(shared, machine, ecosystem(text=TELLS) | {"note": note})
            assert done.code == 0, done.stderr
        found = json.loads(ask(machine, "env")["FOUND"])
        assert str(found["user"]) == machine.check(["id", "-u", SERVICE]).strip()
        assert set(map(str, found["groups"])) <= set(machine.check(["id", "-G", SERVICE]).split())
        assert "TOKEN" not in found["variables"] and found["variables"]["HOME"] == "/tmp", found["variables"]
        assert WORD not in json.dumps(found), found
        assert found["written"] == []

    @pytest.mark.parametrize("bad", BAD)
    def test_what_it_may_not_do_leaves_what_serves(self, shared, machine, bad):  # noqa: F811
        settings, code, words = BAD[bad]
        good, began = (current(machine), process(machine)), time.monotonic()
        with Poller(machine, "/") as poller:
            failed = update(shared, machine, ecosystem(**settings))
        assert_failed(machine, failed, 2, code, "ecosystem", *words)
        assert {word for _, word in poller.failures} <= {"answered 404"}, poller.failures
        assert (current(machine), process(machine)) == good and leftovers(machine) == []
        assert time.monotonic() - began < 90, "it was waited for too long"

    def test_cron_restart_is_named_in_the_plan_and_taken_by_pm2(self, shared, machine):  # noqa: F811
        files = {name: None for name in NAMES} | ecosystem(cron_restart=CLOCK)
        shared.repo(SERVICE).commit("test", files)
        plan = machine.run(["bootagent", "update", "--dry-run"], timeout=120)
        note = "ecosystem.config.js has cron_restart: PM2 restarts a process at these times"
        assert plan.code == 0 and note in plan.stdout, plan
        done = machine.run(["bootagent", "update"], timeout=180)
        assert done.code == 0, done.stderr
        assert note in status(machine)[1]["notes"] and clocks(machine) == [CLOCK]

    def test_a_broken_commit_leaves_the_previous_one(self, shared, machine):  # noqa: F811
        assert update(shared, machine, ecosystem(env={"MODE": "good"})).code == 0
        good = current(machine)
        failed = update(shared, machine, ecosystem(env={"MODE": "bad"}) | {"server.js": 'throw new Error("no database");\n'})
        said = assert_failed(machine, failed, 2, ["E-SERVICE-EXITED", "E-HEALTH-FLAPPING"])
        assert "no database" in json.dumps(said["error"]), said["error"]
        assert current(machine) == good and ask(machine, "release").endswith(good) and ask(machine, "env")["MODE"] == "good"
        assert leftovers(machine) == []

    def test_and_a_good_one_serves_again_also_after_a_reboot(self, shared, machine):  # noqa: F811
        done = update(shared, machine, ecosystem(env={"MODE": "repaired"}, cron_restart=CLOCK) | {"server.js": SERVER})
        assert done.code == 0, done.stderr
        shared.npm.fail(503)
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait"], timeout=120)
        assert waited.code == 0, waited.stdout
        shared.npm.heal()
        variables = ask(machine, "env")
        assert (variables["MODE"], variables["TOKEN"]) == ("repaired", WORD) and clocks(machine) == [CLOCK]
        assert ask(machine, "release").endswith(current(machine))
