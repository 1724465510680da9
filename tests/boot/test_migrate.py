"""What a release wants done once, before anything is switched to it; and what the records say of attempts."""

import json

import pytest
from lab.deadline import wait_for
from looks import SERVICE, ask, beginning, current, leftovers, process, releases, search, secret, shared, status  # noqa: F401
from poller import Poller
from services import BRIEF, NOTHING, TALKING, talking
from stage import REPOSITORY, assert_failed, serving

DATA = f"/var/lib/{SERVICE}"
RECORDS = f"/var/lib/bootagent/services/{SERVICE}"
SCRATCH = f"/run/bootagent/{SERVICE}/migrate"
MIGRATING = NOTHING + BRIEF + 'migrate = "npm run migrate"\n'

# Writes a line about itself into what the service keeps, and waits there while ~/wait is and ~/go is not.
MIGRATE = """
const fs = require("fs"), net = require("net"), os = require("os"), util = require("util");
const home = process.env.HOME, outcome = (attempt) => { try { return attempt() ?? "done"; } catch (error) { return error.code; } };
const imds = () => new Promise((done) => {
  const socket = net.connect({ host: "169.254.169.254", port: 80 });
  socket.setTimeout(1500, () => { socket.destroy(); done("timeout"); });
  socket.on("connect", () => { socket.destroy(); done("connected"); }).on("error", (error) => done(error.code));
});
(async () => {
  fs.appendFileSync(home + "/migrations", JSON.stringify({
    user: os.userInfo().username, groups: process.getgroups(), directory: process.cwd(), env: process.env, imds: await imds(),
    dotenv: outcome(() => util.parseEnv(fs.readFileSync(".env", "utf8"))), stray: outcome(() => fs.writeFileSync("stray", "x")),
    peeks: ["env", "good-env", "migrate/env"].map((name) => outcome(() => fs.readFileSync("/run/bootagent/auth-service/" + name, "utf8"))),
    records: outcome(() => fs.readdirSync("/var/lib/bootagent")),
    yields: fs.readFileSync("/proc/self/oom_score_adj", "utf8").trim(),
  }) + "\\n");
  while (fs.existsSync(home + "/wait") && !fs.existsSync(home + "/go")) await new Promise((done) => setTimeout(done, 20));
  if (fs.existsSync("fails")) {
    console.log("cannot alter table sessions with " + process.env.TOKEN);
    process.exit(3);
  }
})();
"""
SCRIPTS = {"migrate": "node migrate.js"}


def migrating(**overrides):
    return talking(SCRIPTS, **{"migrate.js": MIGRATE, "bootagent.toml": MIGRATING} | overrides)


def migrations(machine) -> list[dict]:
    path = f"{DATA}/migrations"
    # A line that is still being written has no end yet.
    lines = machine.read(path).split("\n")[:-1] if machine.exists(path) else []
    return [json.loads(line) for line in lines]


def record(machine, name: str) -> dict:
    return json.loads(machine.read(f"{RECORDS}/{name}.json"))


class TestMigration:
    """One machine, from its first boot on; each test is the next thing that happens to it."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, migrating(), TOKEN="first-token")

    def test_it_ran_once_as_the_service_with_its_environment(self, machine):
        (ran,) = migrations(machine)
        assert (ran["user"], ran["directory"]) == (SERVICE, f"/opt/{SERVICE}/releases/{current(machine)}")
        assert ran["groups"] == [int(machine.check(["id", "--group", SERVICE]))]
        serving = ask(machine, "env")
        assert ran["dotenv"] == ask(machine, "dotenv")
        for name in ("TOKEN", "PORT", "NODE_ENV", "HOME"):
            assert ran["env"][name] == serving[name]

    def test_its_walls_are_the_services(self, machine):
        (ran,) = migrations(machine)
        assert ran["stray"] == "EROFS"
        assert ran["imds"] == "connected"
        assert set(ran["peeks"]) <= {"ENOENT", "EACCES"}, ran["peeks"]
        assert ran["records"] == "EACCES"
        assert ran["yields"] == "0", "killed half-way it would leave its data half changed"
        assert machine.check(["stat", "--format=%a %U", f"{DATA}/migrations"]).strip() == f"600 {SERVICE}"
        assert not machine.exists(f"{DATA}/.npm"), "npm's own files stand in what the service keeps"

    def test_neither_a_second_run_nor_a_reboot_runs_it_again(self, machine):
        again = machine.run(["bootagent", "run"], timeout=120)
        assert again.code == 0, again.stderr
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
        assert waited.code == 0, waited.stdout
        assert len(migrations(machine)) == 1

    def test_one_that_fails_leaves_the_good_one_alone(self, shared, machine):  # noqa: F811
        good, running, attempted = current(machine), process(machine), record(machine, "attempt")
        shared.repo(SERVICE).commit("test", {"fails": ""})
        secret(shared, TOKEN="second-token")
        with Poller(machine) as poller:
            failed = machine.run(["bootagent", "run", "--update"], timeout=120)
        said = assert_failed(machine, failed, 2, "E-MIGRATE-FAILED", "npm run migrate", SERVICE)
        assert poller.asked and poller.failures == [], poller.failures
        assert (current(machine), process(machine), releases(machine)) == (good, running, [good])
        assert ask(machine, "env")["TOKEN"] == "first-token" == ask(machine, "dotenv")["TOKEN"]
        assert migrations(machine)[-1]["dotenv"]["TOKEN"] == "second-token"
        assert "cannot alter table sessions with [TOKEN]" in said["error"]["output"], said["error"]
        assert "second-token" not in failed.stderr + json.dumps(said)
        assert "serves on" in failed.stderr and "serves again" not in failed.stderr, failed.stderr
        assert record(machine, "attempt") == attempted, "nothing was put to run"
        assert leftovers(machine) == [] and not machine.exists(SCRATCH)

    def test_it_is_run_again_until_it_ends_well(self, shared, machine):  # noqa: F811
        before = len(migrations(machine))
        for _ in range(2):
            assert machine.run(["bootagent", "run", "--update"], timeout=120).code == 2
        shared.repo(SERVICE).commit("test", {"fails": None})
        fixed = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert fixed.code == 0, fixed.stderr
        assert len(migrations(machine)) == before + 3
        assert ask(machine, "env")["TOKEN"] == "second-token"
        kept = machine.check(["ls", f"{RECORDS}/migrated"]).split()
        assert sorted(kept) == releases(machine), "records of what is gone"

    def test_policy_keeps_it_from_metadata_as_the_service(self, shared, machine):  # noqa: F811
        machine.check(["mkdir", "-p", "/etc/bootagent"])
        machine.write("/etc/bootagent/policy.toml", "[imds]\nservice = false\n")
        shared.repo(SERVICE).commit("test", {"note": "imds"})
        try:
            assert machine.run(["bootagent", "run", "--update"], timeout=120).code == 0
        finally:
            machine.check(["rm", "/etc/bootagent/policy.toml"])
        assert migrations(machine)[-1]["imds"] != "connected"

    def test_a_list_ends_with_its_first_failure(self, shared, machine):  # noqa: F811
        commands = NOTHING + BRIEF + 'migrate = ["npm run migrate", "false", "touch /var/lib/auth-service/never"]\n'
        shared.repo(SERVICE).commit("test", {"bootagent.toml": commands})
        before = len(migrations(machine))
        failed = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert_failed(machine, failed, 2, "E-MIGRATE-FAILED", "false")
        assert len(migrations(machine)) == before + 1 and not machine.exists(f"{DATA}/never")

    def test_what_was_attempted_and_what_passed_are_told_apart(self, shared, machine):  # noqa: F811
        passed = record(machine, "good")["generation"]["commit"]
        unwell = TALKING.replace('"/health": () => "ok",', "")
        brief = NOTHING + 'port = 3000\nhealth = { path = "/health", soak = "1s", timeout = "2s" }\n'
        commit = shared.repo(SERVICE).commit("test", {"bootagent.toml": brief, "server.js": unwell})
        failed = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert_failed(machine, failed, 2, "E-HEALTH-BAD-ANSWER")
        assert "serves again" in failed.stderr, failed.stderr
        assert record(machine, "attempt")["commit"] == commit
        said = status(machine)[1]
        assert (said["attempted"], said["passed"], said["serving"]) == (commit, passed, passed)
        text = machine.run(["bootagent", "status", "--steps"]).stdout
        assert f"attempted {commit}" in text and f"passed    {passed}" in text, text
        # The next one knows it from the records.
        shared.repo(SERVICE).commit("test", {"package.json": "{"})
        assert machine.run(["bootagent", "run", "--update"], timeout=120).code == 2
        said = status(machine)[1]
        assert (said["attempted"], said["passed"]) == (commit, passed)
        good = machine.run(["bootagent", "run"], timeout=120)
        assert good.code == 0, good.stderr
        assert record(machine, "attempt")["commit"] == passed
        assert "attempted" not in machine.run(["bootagent", "status", "--steps"]).stdout


    def test_one_that_was_killed_and_given_up_leaves_nothing(self, shared, machine):  # noqa: F811
        good, before = current(machine), len(migrations(machine))
        machine.write(f"{DATA}/wait", "")
        shared.repo(SERVICE).commit("test", migrating(note="given up"))
        killed_while(machine, "the migration to wait", lambda: len(migrations(machine)) > before, "--update")
        assert machine.exists(f"{SCRATCH}/env"), "the agent's death took it along: this test shows nothing"
        again = machine.run(["bootagent", "run"], timeout=120)
        assert again.code == 0, again.stderr
        machine.run(["systemctl", "reset-failed", "killed.service"])
        assert leftovers(machine) == [] and not machine.exists(SCRATCH)
        assert current(machine) == good


def begin(world, files):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", files)
    secret(world, TOKEN="the-very-secret-token")


def test_a_first_boot_whose_migration_fails_starts_nothing(world, boot):
    begin(world, migrating(fails=""))
    machine, failed = boot(world)
    said = assert_failed(machine, failed, 1, "E-MIGRATE-FAILED", "npm run migrate")
    assert len(migrations(machine)) == 1, "tried again"
    assert [step["id"] for step in said["steps"] if step["id"] in ("environment", "unit", "switch", "start")] == []
    assert machine.systemctl_show(f"{SERVICE}.service")["ActiveState"] == "inactive"
    for path in (f"/opt/{SERVICE}/current", f"/etc/systemd/system/{SERVICE}.service", f"/run/bootagent/{SERVICE}/env", SCRATCH):
        assert not machine.exists(path), path
    assert leftovers(machine) == []


def killed_while(machine, what: str, happens, *flags: str) -> None:
    machine.check(["systemd-run", "--quiet", "--unit=killed", "bootagent", "run", *(flags or ("--repository", REPOSITORY))])
    wait_for(what, happens, 60, every=0.1, evidence=machine.console_tail)
    machine.check(["kill", "-KILL", machine.systemctl_show("killed.service")["MainPID"]])
    # Until then it holds the lock that a run takes.
    wait_for("the agent's death", lambda: machine.systemctl_show("killed.service")["ActiveState"] == "failed", 20)


def test_a_run_killed_in_the_middle_runs_it_again(world, binary):
    since = beginning()
    waits = 'require("fs").writeFileSync(process.env.HOME + "/wait", "");'
    begin(world, migrating(**{"migrate.js": waits + MIGRATE}))
    machine = world.launch(binary=binary)
    killed_while(machine, "the migration to wait", lambda: len(migrations(machine)) == 1)
    found = search(world, machine, "the-very-secret-token", since)
    strays = {place for place in found if not place.startswith((SCRATCH, "/proc/", f"{DATA}/migrations"))}
    assert strays == set() and not any("cmdline" in place for place in found), found
    modes = machine.check(["stat", "--format=%a %U:%G", SCRATCH, f"{SCRATCH}/env", f"{SCRATCH}/dotenv"])
    assert modes.split("\n")[:3] == ["700 root:root", "600 root:root", f"640 root:{SERVICE}"]
    machine.write(f"{DATA}/go", "")
    again = machine.run(["bootagent", "run"], timeout=120)
    assert again.code == 0, again.stderr
    assert len(migrations(machine)) == 2
    assert leftovers(machine) == [] and not machine.exists(SCRATCH)


def test_a_run_killed_after_it_does_not(world, binary):
    begin(world, migrating(**{"bootagent.toml": MIGRATING.replace("1s", "6s")}))
    machine = world.launch(binary=binary)

    def soaks() -> bool:
        steps = status(machine)[1]["steps"] if machine.exists("/run/bootagent/status.json") else []
        return any(step["id"] == "health-check" and step["outcome"] == "running" for step in steps)

    killed_while(machine, "the gate to soak", soaks)
    again = machine.run(["bootagent", "run"], timeout=120)
    assert again.code == 0, again.stderr
    assert len(migrations(machine)) == 1
