"""What keeps a service from being healthy is named: who holds its port, where it listens instead, where a redirect leads,
what it said before a flood of lines, and what it may not write."""

import re
import time

import pytest

import services
from stage import assert_failed
from test_bad_service import SHORT, fails, node

pytestmark = pytest.mark.variants

ANSWER = 'require("http").createServer((request, response) => {{ {} }}).listen({});\n'
LONG = 'install = false\nsecret = false\nport = 3000\n[health]\npath = "/health"\nsoak = "1s"\n'


@pytest.fixture(autouse=True)
def stops_what_it_started(stage):
    """A service that runs on, as one of a test that failed does, would hold the next one's port."""
    yield
    stage.machine.run(["systemctl", "stop", "svc-*.service"])


def files(server: str, manifest: str = SHORT, **more: object) -> dict:
    return node(server, **{"bootagent.toml": "install = false\n" + manifest} | more)


def another(stage, files: dict) -> str:
    """A further service of the same instance, which has decided for the one before."""
    stage.heal()
    return stage.serve(files, secret=None)


def stopped(stage, name: str) -> None:
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


# Who holds the port


@pytest.fixture
def stranger(stage):
    machine = stage.machine
    serve = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=3000)"
    machine.check(["systemd-run", "--unit=stranger", "python3", "-c", serve])
    machine.check(["sh", "-c", "until ss -Hltn sport = :3000 | grep -q .; do sleep 0.1; done"])
    yield machine.systemctl_show("stranger.service")["MainPID"]
    machine.check(["systemctl", "stop", "stranger"])


def test_a_stranger_on_the_port_of_a_service_that_ends_for_it_is_named(stage, stranger):
    name, status = fails(stage, files(services.SERVER), 1, "E-HEALTH-FOREIGN-LISTENER", "3000", "outside the unit")
    told = str(status["error"])
    assert f"process {stranger} (python3, stranger.service)" in told and "EADDRINUSE" in told, told
    assert "systemctl disable --now stranger.service" in status["error"]["remedy"], told


def test_a_service_that_ends_for_another_reason_beside_a_stranger_says_its_own(stage, stranger):
    fails(stage, files('throw new Error("no database")\n'), 1, "E-SERVICE-EXITED", "Error: no database")


def test_a_service_that_the_budget_cuts_off_says_its_own_words(stage):
    """The time that its health check has is longer than what the installation left of the budget."""
    server = 'console.error("Error: DATABASE_URL is not set"); setInterval(() => {}, 1000)\n'
    name = stage.serve(node(server, **{"bootagent.toml": LONG}), secret=None)
    result = stage.run("--budget", "15s")
    assert_failed(
        stage.machine, result, 75, "E-DEADLINE",
        f"waiting until {name}.service is healthy", "the run's budget is spent", "nothing listens on port 3000",
    )  # fmt: skip
    assert "Error: DATABASE_URL is not set" in result.stderr


# Where it listens


def test_a_service_that_listens_elsewhere_is_not_waited_for_to_the_end(stage):
    name = stage.serve(node(ANSWER.format("response.end()", 3001), **{"bootagent.toml": LONG}), secret=None)
    began = time.monotonic()
    result = stage.run()
    assert time.monotonic() - began < 60, "it was waited for to the end"
    assert_failed(stage.machine, result, 1, "E-HEALTH-NO-LISTENER", "it listens on 3001, not on 3000 (after 15 s)")
    told = "told while it is waited for, and not only at the end"
    assert re.search(r"health-check: .* for [5-9] s: it listens on 3001, not on 3000", result.stderr), told


def test_one_that_listens_on_another_port_first_comes_into_service(stage):
    """Its metrics, say: the manifest says how long it may take."""
    server = (
        ANSWER.format("response.end()", 3001)
        + "setTimeout(() => {" + ANSWER.format("response.end()", 3000) + "}, 17000);\n"
    )  # fmt: skip
    name = stage.serve(node(server, **{"bootagent.toml": LONG + "timeout = 60\n"}), secret=None)
    result = stage.run()
    assert result.code == 0, result.stderr
    stopped(stage, name)


@pytest.mark.parametrize(("host", "is_told"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_a_service_that_only_this_machine_reaches_is_told(stage, host, is_told):
    name = stage.serve(files(ANSWER.format("response.end()", f'3000, "{host}"')), secret=None)
    result = stage.run()
    assert result.code == 0, result.stderr
    notes = stage.machine.run(["bootagent", "status", "--output", "json"]).json()["last_run"]["notes"]
    for said in (result.stderr, " ".join(notes)):
        assert ("such as a load balancer, reaches it" in said) == is_told, said
    stopped(stage, name)


# How it is asked


REDIRECTS = ANSWER.format(
    'response.writeHead(request.headers.host === "api.example.com" ? 200 : 301, '
    '{ Location: "https://api.example.com/health?token=hunter2" }); response.end()', 3000
)  # fmt: skip


def test_a_redirect_names_its_target_and_a_host_may_be_said(stage):
    _, status = fails(stage, files(REDIRECTS), 1, "E-HEALTH-BAD-ANSWER", "301", "leads to https://api.example.com/health")
    assert "hunter2" not in str(status) and "health.host" in status["error"]["remedy"], status["error"]
    name = another(stage, files(REDIRECTS, SHORT + 'host = "api.example.com"\n'))
    result = stage.run()
    assert result.code == 0, result.stderr
    stopped(stage, name)


# Why it ended


def test_a_reason_before_a_flood_of_lines_is_told(stage):
    server = 'console.error("RangeError: no such tenant\\n    at boot");\n' \
        'for (let n = 0; n < 300; n++) console.log("state " + n);\nprocess.exitCode = 3;\n'
    _, status = fails(stage, files(server), 1, "E-SERVICE-EXITED", "status 3: RangeError: no such tenant")
    assert "    at boot" in status["error"]["output"] or "at boot" in str(status["error"]["output"]), status["error"]


def test_lines_that_the_journal_dropped_are_told(stage):
    name = stage.serve(files('for (let n = 0; n < 900; n++) console.log("x" + n);\nprocess.exit(3);\n'), secret=None)
    limits = "[Service]\nLogRateLimitIntervalSec=1s\nLogRateLimitBurst=100\n"
    stage.machine.write(f"/etc/systemd/system/{name}.service.d/limits.conf", limits)
    result = stage.run()
    status = assert_failed(stage.machine, result, 1, "E-SERVICE-EXITED", "journald dropped")
    assert "LogRateLimitBurst" in str(status["error"]["causes"]), status["error"]


def test_a_kill_that_is_not_the_kernels_is_not_called_want_of_memory(stage):
    _, status = fails(stage, files('process.kill(process.pid, "SIGKILL");\n'), 1, "E-SERVICE-EXITED", "by SIGKILL")
    assert "memory" not in str(status["error"]), status["error"]


def test_a_heap_that_is_too_small_is_want_of_memory(stage):
    server = "const all = []; for (;;) all.push(new Array(1000).fill(all.length));\n"
    manifest = 'start = "node --max-old-space-size=20 server.js"\n' + SHORT.replace('"4s"', '"20s"')
    _, status = fails(stage, files(server, manifest), 1, "E-OUT-OF-MEMORY", "Node reached the limit of its heap")
    assert "max-old-space-size" in status["error"]["remedy"], status["error"]


# What it may write


LOGS = 'require("fs").mkdirSync("logs", { recursive: true });\nrequire("fs").writeFileSync("logs/a", "x");\n' + services.SERVER


def test_a_write_into_the_release_is_told_with_the_directory_that_persist_keeps(stage):
    _, status = fails(stage, files(LOGS), 1, "E-SERVICE-EXITED", "mkdir 'logs'")
    assert 'persist = ["logs"]' in status["error"]["remedy"], status["error"]
    name = another(stage, files(LOGS, 'persist = ["logs"]\n' + SHORT))
    result = stage.run()
    assert result.code == 0, result.stderr
    assert stage.machine.read(f"/var/lib/{name}/logs/a") == "x"
    stopped(stage, name)


# A first boot


COUNTS = """\
const fs = require("fs"), tries = process.env.HOME + "/tries";
fs.appendFileSync(tries, "x");
if (fs.readFileSync(tries, "utf8").length < 7) process.exit(1);
"""


def test_on_a_first_boot_a_service_may_fall_over_as_often_as_its_time_allows(stage):
    manifest = SHORT.replace('"4s"', '"60s"')
    name = stage.serve(files(COUNTS + services.SERVER, manifest), secret=None)
    result = stage.run()
    assert result.code == 0, result.stderr
    # Now there is a deployment to go back to: the fourth exit is enough.
    stage.repository.commit("test", files("process.exit(1);\n", manifest))
    began = time.monotonic()
    result = stage.run("--update")
    assert result.code in (1, 2) and "E-SERVICE-EXITED" in result.stderr, result
    assert time.monotonic() - began < 50, "a crash loop was waited for to the end"
    stopped(stage, name)
