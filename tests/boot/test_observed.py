"""Health by observation: without a configured port, the run looks on which ports the service's own processes listen, and
says what it saw. A program that ended below a watcher, or that went to the background, fails the health check."""

import json
import re
import time

import pytest

import services
from stage import assert_failed

pytestmark = pytest.mark.variants

BRIEF = 'install = false\nsecret = false\n[health]\nsoak = "1s"\n'
SHORT = BRIEF + 'timeout = "4s"\n'
# Beside other boots Node may take more than a second to start, and to crash.
PATIENT = BRIEF.replace("1s", "5s") + 'timeout = "20s"\n'
LISTEN = """\
const http = require("http");
const answer = (request, response) => { response.writeHead(request.url === "/health" ? 200 : 404); response.end("ok\\n"); };
const listen = (port, host) => http.createServer(answer).listen(port, host);
"""
IDLE = "setInterval(() => {}, 1000);\n"
FOUND = "no port is configured; the service listens on port {0} (found by observation): set port = {0} in bootagent.toml"
NOTHING = "no port: only a live process was seen"
OUT_OF_REACH = "such as a load balancer, reaches it"


def files(server: str, manifest: str = BRIEF, web: bool = False, **more: object) -> dict:
    """A service whose only statement about its port is its program. A web framework need not be installed to be seen."""
    package = {"name": "sample", "version": "1.0.0", "scripts": {"start": "node server.js"}}
    if web:
        package["dependencies"] = {"express": "^5.1.0"}
    return services.node(
        **{"server.js": server, "package.json": json.dumps(package), "bootagent.toml": manifest} | more
    )


def started_by(script: str, manifest: str = SHORT) -> dict:
    """Files of a service whose program only the shell script knows."""
    return {"run.sh": script + "\n", "bootagent.toml": 'start = "sh run.sh"\n' + manifest}


@pytest.fixture(autouse=True)
def stops_what_it_started(stage):
    yield
    stage.machine.run(["systemctl", "stop", "svc-*.service"])


def last_run(stage) -> dict:
    return stage.machine.run(["bootagent", "status", "--output", "json"]).json()["last_run"]


def healthy(stage, files: dict, *flags: str) -> tuple[str, str]:
    """A run that ends well: its notes, and what the health check saw."""
    if not flags:
        stage.serve(files, secret=None)
    result = stage.run(*flags)
    assert result.code == 0, result.stderr
    run = last_run(stage)
    notes = "\n".join(run["notes"])
    missing = [note for note in run["notes"] if note not in result.stderr]
    assert not missing, f"in the status and not told by the run: {missing}\n{result.stderr}"
    (check,) = [step["detail"] for step in run["steps"] if step["id"] == "health-check"]
    return notes, check


def fails(stage, files: dict, code: str | list[str], *names: str) -> dict:
    stage.serve(files, secret=None)
    return assert_failed(stage.machine, stage.run(), 1, code, *names)["error"]


# Which port


def test_the_only_port_is_checked_and_told(stage):
    notes, check = healthy(stage, files(LISTEN + "listen(8080);\n"))
    assert FOUND.format(8080) in notes and OUT_OF_REACH not in notes, notes
    assert re.search(r"listening on .*:8080 after .* s, stayed healthy for 1 s", check), check


def test_the_port_that_the_processes_variable_names_is_taken_of_two(stage):
    server = LISTEN + "listen(9090); listen(Number(process.env.PORT));\n"
    notes, check = healthy(stage, files(server, **started_by("export PORT=3001\nexec node server.js")))
    assert FOUND.format(3001) in notes and "9090" not in notes + check, (notes, check)


def test_of_two_ports_without_a_variable_none_is_chosen(stage):
    notes, check = healthy(stage, files(LISTEN + "listen(9090); listen(3001);\n"))
    assert "listens on ports 3001 and 9090 (found by observation), and none of them was chosen" in notes, notes
    assert "listening on ports 3001 and 9090" in check, check


def listened(stage) -> dict:
    service = stage.world.tags["bootagent:service"]
    return json.loads(stage.machine.read(f"/var/lib/bootagent/services/{service}/listened.json"))


def test_a_port_that_only_this_machine_reaches_is_told_and_not_expected_again(stage):
    notes, _ = healthy(stage, files(LISTEN + 'listen(8080, "127.0.0.1");\n'))
    assert FOUND.format(8080) in notes and f"127.0.0.1:8080 only: nothing outside of this machine, {OUT_OF_REACH}" in notes
    assert listened(stage)["ports"] == []


def test_a_listener_that_accepts_no_connection_is_not_healthy(stage):
    deaf = "import socket, time\ns = socket.create_server(('', 8080))\ntime.sleep(600)\n"
    served = files("", **{"deaf.py": deaf} | started_by("exec python3 deaf.py"))
    fails(stage, served, "E-HEALTH-BAD-ANSWER", "8080", "accepted no connection")


# Nothing listens


def test_only_a_live_process_is_told_after_the_soak(stage):
    notes, check = healthy(stage, files(IDLE))
    assert NOTHING in notes and "stayed healthy for 1 s" in check and "without a port" in check, (notes, check)


def test_a_web_service_has_longer_to_listen(stage):
    began = time.monotonic()
    notes, check = healthy(stage, files(IDLE, BRIEF + 'timeout = "9s"\n', web=True))
    assert time.monotonic() - began > 9 and "stayed healthy for 9 s" in check, check
    assert NOTHING in notes and "web framework" in notes, notes


def test_a_web_service_that_listens_late_is_checked_and_not_waited_for_to_the_end(stage):
    began = time.monotonic()
    notes, check = healthy(stage, files(LISTEN + "setTimeout(() => listen(8080), 4000);\n", web=True))
    assert time.monotonic() - began < 25, "it was waited for although it listened"
    assert FOUND.format(8080) in notes and "listening on" in check and "healthy for 1 s" in check, (notes, check)


# A path without a port


def test_a_path_is_requested_on_the_port_that_was_found(stage):
    path = 'path = "/health"\n'
    notes, check = healthy(stage, files(LISTEN + "listen(8080);\n", BRIEF + path))
    assert FOUND.format(8080) in notes and ":8080/health: first 200 after" in check, (notes, check)
    stage.heal()
    fails(stage, files(LISTEN + "listen(8080);\n", SHORT + 'path = "/other"\n'), "E-HEALTH-BAD-ANSWER", "8080/other", "404")
    stage.heal()
    fails(stage, files(IDLE, SHORT + path), "E-HEALTH-NO-LISTENER", "it listens on no port")
    stage.heal()
    two = files(LISTEN + "listen(8080); listen(9090);\n", SHORT + path)
    error = fails(stage, two, "E-HEALTH-NO-LISTENER", "listens on ports 8080 and 9090")
    assert "set port to one of 8080 and 9090" in error["remedy"], error


# What a service did before


STOPS_ON_A_SIGNAL = LISTEN + 'const server = listen(8080);\nprocess.on("SIGUSR2", () => server.close());\n' + IDLE


def test_a_service_that_listened_must_listen_again(stage):
    name = stage.serve(files(STOPS_ON_A_SIGNAL, SHORT), secret=None)
    machine, unit = stage.machine, stage.world.tags["bootagent:service"] + ".service"
    assert stage.run().code == 0
    record, current = listened(stage), machine.check(["readlink", f"/opt/{name}/current"]).strip()
    assert (record["ports"], record["release"]) == ([8080], current)

    stage.repository.commit("test", files(IDLE, SHORT))
    planned = machine.run(["bootagent", "run", "--dry-run", "--update"], timeout=60)
    assert "it must listen: the last healthy deployment listened on 8080" in planned.stdout, planned
    assert_failed(
        machine, stage.run("--update"), 2, "E-HEALTH-NO-LISTENER", "the last healthy deployment listened on port 8080"
    )
    assert machine.http("http://127.0.0.1:8080/health").status == 200, "the former deployment does not serve"

    stage.repository.commit("test", files(LISTEN + "listen(8081);\n", SHORT))
    notes, _ = healthy(stage, {}, "--update")
    assert "the port moved from 8080 to 8081" in notes and FOUND.format(8081) in notes, notes

    stage.repository.commit("test", files(STOPS_ON_A_SIGNAL, SHORT))
    healthy(stage, {}, "--update")
    machine.reboot()
    asked = machine.run(["bootagent", "status", "--wait", "--timeout", "60s"], timeout=70)
    assert asked.code == 0 and ":8080" in asked.stdout, asked
    assert FOUND.format(8080) in "\n".join(last_run(stage)["notes"]), "the reboot observed nothing"
    machine.check(["systemctl", "kill", "--kill-whom=main", "--signal=SIGUSR2", unit])
    asked = machine.run(["bootagent", "status"])
    assert asked.code == 1 and "nothing listens; the last healthy deployment listened on port 8080" in asked.stdout, asked

    stage.repository.commit("test", files(IDLE, SHORT + 'check = "process"\n'))
    notes, _ = healthy(stage, {}, "--update")
    assert "becomes weaker, as health.check says" in notes and NOTHING not in notes, notes


# A live process that is not the service


def test_a_program_that_crashed_below_a_watcher_is_an_error_that_names_the_watcher(stage):
    crash = files('throw new Error("no database");\n', **started_by("exec node --watch server.js", PATIENT))
    error = fails(stage, crash, "E-SERVICE-EXITED", "the program that node --watch started has ended")
    assert "no database" in str(error["causes"]), error
    assert "without node --watch" in error["remedy"], error


def test_the_case_of_a_watch_mode_over_a_crash(stage):
    package = {"name": "sample", "version": "1.0.0", "scripts": {"start": "node --watch server.js"}}
    crash = files('throw new Error("no database");\n', SHORT, **{"package.json": json.dumps(package)})
    error = fails(stage, crash, "E-SERVICE-EXITED")
    assert "no database" in str(error["causes"]), error


def test_a_program_that_lives_below_a_watcher_is_a_service(stage):
    notes, _ = healthy(stage, files(LISTEN + "listen(8080);\n", **started_by("exec node --watch server.js")))
    assert FOUND.format(8080) in notes, notes
    stage.heal()
    notes, _ = healthy(stage, files(IDLE, **started_by("exec node --watch server.js")))
    assert NOTHING in notes, notes


DAEMONIZE = """\
require("child_process").spawn(process.execPath, ["server.js"], { detached: true, stdio: "ignore" }).unref();
setTimeout(() => process.exit(0), 500);
"""


@pytest.mark.parametrize("port", ["", "port = 3000\n"], ids=["observed", "configured"])
def test_a_start_command_that_goes_to_the_background_is_told_to_stay(stage, port):
    package = {"name": "sample", "version": "1.0.0", "scripts": {"start": "node bin/daemonize.js"}}
    more = {"package.json": json.dumps(package), "bin/daemonize.js": DAEMONIZE}
    server = LISTEN + "listen(process.env.PORT || 3000);\n"
    # Until the command ends, its process is alive.
    codes = ["E-SERVICE-EXITED", "E-HEALTH-FLAPPING"]
    error = fails(stage, files(server, port + SHORT, **more), codes, "status 0")
    assert "The start command must stay in the foreground" in error["remedy"], error


def test_one_that_ends_with_an_error_is_not(stage):
    error = fails(stage, files("process.exit(3);\n", SHORT), "E-SERVICE-EXITED", "status 3")
    assert "foreground" not in error["remedy"], error
