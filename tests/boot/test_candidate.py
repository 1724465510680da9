"""An update whose commit proves itself beside the one that serves: what breaks there costs no request."""

import json
import secrets

import pytest
from lab.deadline import wait_for
from looks import (  # noqa: F401
    SERVICE,
    ask,
    beginning,
    current,
    leftovers,
    process,
    releases,
    search,
    secret,
    shared,
    status,
    whole,
)
from poller import Poller
from services import TALKING, talking
from stage import assert_failed, serving

REHEARSAL = f"bootagent-{SERVICE}-candidate.service"
RUN = f"/run/bootagent/{SERVICE}"
TRACES = [f"{RUN}/candidate", f"/run/systemd/system/{REHEARSAL}", f"/run/bootagent/bootagent-{SERVICE}-candidate.passed"]
MANIFEST = 'install = false\nport = 3000\nrehearsal.port = 13000\nhealth = { path = "/health", soak = "1s", timeout = "3s" }\n'
LONG = MANIFEST.replace('"1s"', '"60s"')

# Each start tells, in what the service keeps, how it was started.
STARTS = """{
const starts = require("fs"), outcome = (read) => { try { return read(); } catch (error) { return error.code; } };
starts.appendFileSync(process.env.HOME + "/starts", JSON.stringify({
  port: process.env.PORT, directory: process.cwd(), user: require("os").userInfo().username, groups: process.getgroups(),
  dotenv: outcome(() => require("util").parseEnv(starts.readFileSync(".env", "utf8")).PORT),
  former: ["env", "good-env", "candidate"].map((name) => outcome(() => starts.readdirSync("/run/bootagent/auth-service/" + name))),
  stray: outcome(() => starts.writeFileSync("stray", "x")),
}) + "\\n");
}
"""

SAYS = 'console.log("no way with " + process.env.TOKEN);\n'
# What the commit does wrong, with the code of the failure and what is told of it.
BROKEN = {
    "ends at once": (SAYS + "process.exit(3);\n", "E-SERVICE-EXITED", "no way with [TOKEN]"),
    "ends as if all were done": ("process.exit(0);\n", "E-SERVICE-EXITED", "it ended"),
    "answers 500": (TALKING.replace('"/health": () => "ok",', "").replace("404", "500"), "E-HEALTH-BAD-ANSWER", "500"),
    "never listens": ("setInterval(() => {}, 1000);\n", "E-HEALTH-NO-LISTENER", "13000"),
    "listens where it likes": (TALKING.replace("process.env.PORT", "3000"), "E-SERVICE-EXITED", "EADDRINUSE"),
    "is well and then ends": (TALKING + "setTimeout(() => process.exit(5), 700);\n", "E-SERVICE-EXITED", "status 5"),
}


def rehearsing(**overrides: object) -> dict[str, object]:
    return talking(**{"bootagent.toml": MANIFEST} | overrides)


def traces(machine) -> list[str]:
    return [path for path in TRACES if machine.exists(path)] + leftovers(machine)


def outcomes(machine) -> dict[str, str]:
    return {step["id"]: step["outcome"] for step in status(machine)[1]["steps"]}


def answers(machine) -> bool:
    try:
        return machine.http("http://127.0.0.1:13000/health").status == 200
    except OSError:
        return False


def update_until_it_is_rehearsed(machine, *flags: str) -> str:
    """An update that goes on in the background, soaking; the agent's pid."""
    machine.check(["systemd-run", "--quiet", "--unit=update", "--collect", "bootagent", "run", "--update", *flags])
    gate = lambda: outcomes(machine).get("candidate-health-check") == "running"  # noqa: E731
    wait_for("the candidate", gate, 60, every=0.1, evidence=machine.console_tail)
    wait_for("the candidate to answer", lambda: answers(machine), 20, every=0.1, evidence=machine.console_tail)
    return machine.systemctl_show("update.service")["MainPID"]


class TestRehearsal:
    """On a machine that serves, one update after the other."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, rehearsing(), TOKEN="the-very-secret-token")

    def harmless(self, machine, code: str, *names: str, flags: tuple[str, ...] = ("--update",)) -> dict:
        """A run that fails in the rehearsal: no request does, and what served is not touched."""
        before = self.looks(machine)
        with Poller(machine) as poller:
            failed = machine.run(["bootagent", "run", *flags], timeout=120)
        said = assert_failed(machine, failed, 2, code, "candidate")
        assert poller.asked > 5 and not poller.failures, (poller.asked, poller.failures)
        assert self.looks(machine) == before
        assert traces(machine) == []
        assert all(name in failed.stderr for name in names), failed.stderr
        assert "serves on" in failed.stderr and "the-very-secret-token" not in failed.stderr, failed.stderr
        assert said["serving"] == said["passed"] == said["attempted"], said
        steps = [step["id"] for step in said["steps"]]
        assert not {"environment", "unit", "attempt", "switch", "start"} & set(steps), steps
        return said

    def looks(self, machine) -> tuple:
        files = [f"/etc/systemd/system/{SERVICE}.service", f"{RUN}/env", f"{RUN}/dotenv"]
        return process(machine), current(machine), releases(machine), [machine.read(path) for path in files]

    def test_on_a_first_boot_there_is_none(self, machine):
        assert not [step for step in outcomes(machine) if step.startswith("candidate")]

    def test_a_second_run_has_none(self, machine):
        again = machine.run(["bootagent", "run"])
        assert again.code == 0, again.stderr
        assert not [step for step in outcomes(machine) if step.startswith("candidate")]

    @pytest.mark.parametrize("broken", BROKEN)
    def test_a_broken_commit_costs_no_request(self, shared, machine, broken):  # noqa: F811
        server, code, name = BROKEN[broken]
        shared.repo(SERVICE).commit("test", rehearsing(**{"server.js": server}))
        self.harmless(machine, code, name)

    def test_the_answer_of_another_process_does_not_count(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", rehearsing(**{"server.js": "setInterval(() => {}, 1000);\n"}))
        machine.check(["systemd-run", "--quiet", "--unit=foreign", "--collect", "python3", "-m", "http.server", "13000"])
        try:
            self.harmless(machine, "E-HEALTH-FOREIGN-LISTENER", "13000")
        finally:
            machine.check(["systemctl", "stop", "foreign"])

    def test_a_good_commit_is_rehearsed_and_then_served(self, shared, machine):  # noqa: F811
        commit = shared.repo(SERVICE).commit("test", rehearsing(**{"server.js": STARTS + TALKING}))
        updated = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert updated.code == 0, updated.stderr
        assert current(machine).startswith(commit) and ask(machine, "env")["PORT"] == "3000"
        assert traces(machine) == []
        code, said = status(machine)
        assert (code, said["gate"]["unit"]) == (0, f"{SERVICE}.service")
        rehearsed, served = map(json.loads, machine.read(f"/var/lib/{SERVICE}/starts").splitlines())
        release = f"/opt/{SERVICE}/releases/{current(machine)}"
        assert (rehearsed["port"], rehearsed["dotenv"], rehearsed["directory"]) == ("13000", "13000", release)
        assert rehearsed["former"] == ["ENOENT"] * 3
        assert (served["port"], served["dotenv"]) == ("3000", "3000")
        for alike in ("user", "groups", "stray"):
            assert rehearsed[alike] == served[alike], alike

    def test_new_values_are_rehearsed_too(self, shared, machine):  # noqa: F811
        picky = 'if (process.env.MODE === "bad") process.exit(7);\n' + TALKING
        shared.repo(SERVICE).commit("test", rehearsing(**{"server.js": picky}))
        assert machine.run(["bootagent", "run", "--update"], timeout=120).code == 0
        secret(shared, TOKEN="the-very-secret-token", MODE="bad")
        self.harmless(machine, "E-SERVICE-EXITED", "status 7", flags=())
        secret(shared, TOKEN="the-very-secret-token")
        assert machine.run(["bootagent", "run"], timeout=120).code == 0

    def test_while_it_lasts_it_is_within_the_services_walls_and_its_secrets_in_its_files(self, shared, machine):  # noqa: F811
        value, since = secrets.token_hex(24), beginning()
        good = whole(machine)
        secret(shared, TOKEN=value)
        shared.repo(SERVICE).commit("test", rehearsing(**{"bootagent.toml": LONG}))
        agent = update_until_it_is_rehearsed(machine)
        ours, theirs = (machine.systemctl_show(unit) for unit in (REHEARSAL, f"{SERVICE}.service"))
        walls = {name for name in theirs if name.startswith(("Private", "Protect", "Restrict", "Limit", "SystemCall", "Capab"))}
        walls |= {"User", "Group", "NoNewPrivileges", "UMask", "TasksMax", "ReadWritePaths", "ReadOnlyPaths", "RemoveIPC"}
        assert {name: ours[name] for name in walls} == {name: theirs[name] for name in walls} and len(walls) > 30
        assert (ours["Restart"], ours["NRestarts"]) == ("no", "0")
        yields = ("OOMScoreAdjust", "CPUWeight", "IOWeight")
        assert [ours[name] for name in yields] == ["500", "50", "50"] and theirs["OOMScoreAdjust"] == "0"
        expected = {f"{RUN}/candidate/env", f"{RUN}/candidate/dotenv", f"/proc/{ours['MainPID']}/environ"}
        # The running agent's memory has it in no place of these.
        assert search(shared, machine, value, since) == expected
        modes = machine.check(["stat", "--format=%a %U:%G", *(f"{RUN}/candidate{name}" for name in ("", "/env", "/dotenv"))])
        assert modes.split("\n")[:3] == ["700 root:root", "600 root:root", f"640 root:{SERVICE}"]

        # Told to stop, it takes all of that back.
        machine.check(["kill", "-TERM", agent])
        wait_for("the agent to end", lambda: not machine.exists(f"/proc/{agent}"), 60, every=0.1)
        assert traces(machine) == [] and search(shared, machine, value, since) == set()
        secret(shared, TOKEN="the-very-secret-token")
        assert machine.run(["bootagent", "run"], timeout=120).code == 0
        assert whole(machine) == good

    @pytest.mark.parametrize("flags", [(), ("--update",)], ids=["given up", "gone on with"])
    def test_killed_in_the_middle(self, shared, machine, flags):  # noqa: F811
        good = whole(machine)
        commit = shared.repo(SERVICE).commit("test", rehearsing(**{"bootagent.toml": LONG}, note=str(flags)))
        agent = update_until_it_is_rehearsed(machine)
        machine.check(["kill", "-KILL", agent])
        wait_for("the agent to end", lambda: not machine.exists(f"/proc/{agent}"), 60, every=0.1)
        assert machine.systemctl_show(REHEARSAL)["ActiveState"] == "active", "it went with the agent: this shows nothing"
        if flags:
            commit = shared.repo(SERVICE).commit("test", {"bootagent.toml": MANIFEST})
        again = machine.run(["bootagent", "run", *flags], timeout=120)
        assert again.code == 0, again.stderr
        assert traces(machine) == []
        if flags:
            assert current(machine).startswith(commit)
        else:
            assert whole(machine) == good

    def test_after_a_reboot_there_is_none(self, machine):
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
        assert waited.code == 0, waited.stdout + waited.stderr
        assert not [step for step in outcomes(machine) if step.startswith("candidate")]
