"""The commit is well-formed, and still does not come into service: nothing half-made stays, and nothing runs."""

import json

import pytest

import services
from stage import assert_failed

SHORT = 'secret = false\nport = 3000\n[health]\npath = "/health"\ntimeout = "4s"\nanswer = "2s"\nsoak = "2s"\n'
ANSWER = 'require("http").createServer((request, response) => {{ {} }}).listen(3000);\n'


def fails(stage, files: dict, exit: int, codes: str | list[str], *names: str) -> tuple[str, dict]:
    """A run that fails after it has a plan: the service's name, and the status. Nothing is left that counts."""
    name = stage.serve({"bootagent.toml": SHORT} | files, secret=None)
    machine = stage.machine
    result = stage.run()
    status = assert_failed(machine, result, exit, codes, *names)
    assert machine.run(["systemctl", "is-active", f"{name}.service"]).stdout.strip() in ("inactive", "unknown")
    processes = machine.run(["ps", "-o", "pid,args", "-u", f"{name},{name}-build"]).stdout.splitlines()[1:]
    assert not processes, processes
    kept, records = (
        set(machine.run(["ls", "-A", place]).stdout.split())
        for place in (f"/opt/{name}/releases", f"/var/lib/bootagent/services/{name}/releases")
    )
    assert kept == records, f"unfinished: {kept - records}; finished, but not there: {records - kept}"
    assert not machine.exists(f"/var/lib/bootagent/services/{name}/good.json"), "a failed generation counts as good"
    assert "FAILED" in machine.console(), "the console was told nothing"
    return name, status


def assert_not_built(stage, name: str) -> None:
    for path in (f"/opt/{name}/current", f"/etc/systemd/system/{name}.service"):
        assert not stage.machine.exists(path), f"{path} stands, although nothing was built"
    assert not stage.machine.run(["ls", "-A", f"/opt/{name}/releases"]).stdout


def node(server: str = services.SERVER, **files: object) -> dict:
    return services.node(**{"server.js": server, "bootagent.toml": SHORT} | files)


# Install and build


def test_a_lockfile_that_is_out_of_step(stage):
    package = {"name": "sample", "version": "1.0.0", "dependencies": {"left-pad": "^1.3.0"}}
    files = node(**{"package.json": json.dumps(package)})
    name, _ = fails(stage, files, 78, "E-LOCKFILE-STALE", "npm ci", "in sync", "Missing: left-pad@1.3.0")
    assert_not_built(stage, name)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        ("sh -c 'echo built half; echo no such module >&2; exit 3'", ["status 3", "no such module"]),
        ("no-such-compiler --fast", ["no-such-compiler"]),
    ],
    ids=["exit-3", "no-program"],
)
def test_a_build_that_fails(stage, build, says):
    files = node(**{"bootagent.toml": f"install = false\nbuild = {json.dumps(build)}\n{SHORT}"})
    name, status = fails(stage, files, 1, "E-INSTALL-FAILED", build.split()[0])
    told = str(status["error"])
    assert all(word in told for word in says), told
    assert_not_built(stage, name)


def test_an_install_script_that_fails_is_as_good_as_none(stage):
    package = {
        "name": "sample",
        "version": "1.0.0",
        "scripts": {"start": "node server.js", "postinstall": "touch $HOME/half && exit 9"},
    }
    name, _ = fails(stage, node(**{"package.json": json.dumps(package)}), 1, "E-INSTALL-FAILED", "npm ci")
    assert_not_built(stage, name)


# The gate

CRASHES = ANSWER.format('response.end("well"); setTimeout(() => process.exit(7), 800)')
NO_HTTP = 'require("net").createServer((to) => to.on("error", () => {}).end("hello\\n")).listen(3000);\n'
ONCE_WELL = 'let asked = 0;\n' + ANSWER.format("response.writeHead(asked++ ? 500 : 200); response.end()")


@pytest.mark.parametrize(
    ("server", "codes", "names"),
    [
        ("process.exit(3);\n", ["E-SERVICE-EXITED"], []),
        ("process.exit(0);\n", ["E-SERVICE-EXITED"], []),
        ("throw new Error('no database')\n", ["E-SERVICE-EXITED"], ["status 1: Error: no database"]),
        (services.SERVER.replace("process.env.PORT", "80"), ["E-SERVICE-EXITED"], ["status 1: Error: listen EACCES"]),
        ("setInterval(() => {}, 1000);\n", ["E-HEALTH-NO-LISTENER"], ["nothing listens on port 3000"]),
        (services.SERVER.replace("process.env.PORT", "3001"), ["E-HEALTH-NO-LISTENER"], ["on 3001, not on 3000"]),
        (ANSWER.format("response.writeHead(500); response.end()"), ["E-HEALTH-BAD-ANSWER"], ["/health", "500"]),
        (ANSWER.format("response.writeHead(404); response.end()"), ["E-HEALTH-BAD-ANSWER"], ["/health", "404"]),
        (
            ANSWER.format('response.writeHead(302, { Location: "/login" }); response.end()'),
            ["E-HEALTH-BAD-ANSWER"],
            ["/health", "302"],
        ),
        (ANSWER.format(""), ["E-HEALTH-BAD-ANSWER"], ["/health", "no answer within 2 s"]),
        (NO_HTTP, ["E-HEALTH-BAD-ANSWER"], ["/health"]),
        (ONCE_WELL, ["E-HEALTH-BAD-ANSWER"], ["500"]),
        (CRASHES, ["E-SERVICE-EXITED", "E-HEALTH-FLAPPING"], []),
    ],
    ids=["exit-3", "exit-0", "throws", "port-80", "silent", "other-port", "500", "404", "redirect", "hangs", "no-http",
         "well-once", "crashes-in-the-soak"],
)  # fmt: skip
def test_a_service_that_is_not_well(stage, server, codes, names):
    files = node(server) | {"bootagent.toml": "install = false\n" + SHORT}
    name, _ = fails(stage, files, 1, codes, *names)
    assert stage.machine.exists(f"/etc/systemd/system/{name}.service"), "the unit shows what was tried"


def test_a_program_that_is_not_there(stage):
    manifest = 'install = false\nstart = "no-such-program"\n' + SHORT
    # Beside many other boots its shell has ended before systemd knows that it began.
    codes = ["E-SERVICE-EXITED", "E-UNIT-FAILED"]
    names = ["status 127", "no-such-program", "No such file or directory"]
    fails(stage, node(**{"bootagent.toml": manifest}), 1, codes, *names)


@pytest.fixture
def foreign_listener(stage):
    machine = stage.machine
    serve = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=3000)"
    machine.check(["mkdir", "-p", "/tmp/web/health"])
    machine.check(["systemd-run", "--unit=squatter", "--working-directory=/tmp/web", "python3", "-c", serve])
    machine.check(["sh", "-c", "until ss -Hltn sport = :3000 | grep -q .; do sleep 0.1; done"])
    yield
    machine.check(["systemctl", "stop", "squatter"])


def test_a_service_that_listens_and_accepts_nothing(stage):
    """As a server whose workers hang: the kernel completes the connections in its place."""
    manifest = 'install = false\nsecret = false\nport = 3000\nhealth = { timeout = "4s", soak = "2s" }\n'
    server = 'require("net").createServer().listen(3000, () => { for (;;); });\n'
    _, status = fails(stage, node(server) | {"bootagent.toml": manifest}, 1, "E-HEALTH-BAD-ANSWER", "accepted no connection")
    assert "hangs" in status["error"]["remedy"], status["error"]


def test_another_process_answers_on_the_port(stage, foreign_listener):
    """The service runs, and the port answers 200, but from another process: the health check fails."""
    files = node("setInterval(() => {}, 1000);\n") | {"bootagent.toml": "install = false\n" + SHORT}
    fails(stage, files, 1, "E-HEALTH-FOREIGN-LISTENER", "3000")
    assert stage.machine.http("http://127.0.0.1:3000/health/").status == 200


# A process outside the unit on the same port, that is not in its way or is.

ONLY_IPV6 = """\
require("http").createServer((request, response) => { response.writeHead(%d); response.end(); })
  .listen({ port: 3000, host: "::", ipv6Only: true });
"""
SHARED = """\
require("http").createServer((request, response) => response.end())
  .listen({ port: 3000, host: "0.0.0.0", reusePort: true });
"""
# With the uid of its first argument, once there is such a user: only processes of one user share a port. It listens on
# the second, and answers everybody with the third.
SQUATTER = """
import os, pwd, socket, sys, time
user, address, status = sys.argv[1:]
while user != "root":
    try: os.seteuid(pwd.getpwnam(user).pw_uid); break
    except KeyError: time.sleep(0.02)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind((address, 3000))
listener.listen(64)
while True:
    connection, _ = listener.accept()
    connection.recv(1024)
    connection.sendall(f"HTTP/1.1 {status} x\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n".encode())
    connection.close()
"""


@pytest.fixture
def squatter(stage):
    """squatter(user, address, status): such a process."""
    machine = stage.machine

    def squat(user: str, address: str, status: int) -> None:
        line = ["systemd-run", "--unit=squatter", "--property=Restart=on-failure", "--property=RestartSec=0.1"]
        machine.check([*line, "python3", "-c", SQUATTER, user, address, str(status)])
        if user == "root":
            machine.check(["sh", "-c", "until ss -Hltn sport = :3000 | grep -q .; do sleep 0.1; done"])

    yield squat
    machine.check(["systemctl", "stop", "squatter"])


def test_machines_have_an_ipv6_loopback(stage):
    assert "inet6 ::1/128" in stage.machine.check(["ip", "-6", "address", "show", "lo"])


def test_another_process_s_ipv4_does_not_answer_for_an_ipv6_service(stage, squatter):
    squatter("root", "0.0.0.0", 200)
    files = node(ONLY_IPV6 % 500) | {"bootagent.toml": "install = false\n" + SHORT}
    fails(stage, files, 1, "E-HEALTH-BAD-ANSWER", "http://[::1]:3000/health", "500")


def test_an_ipv6_service_is_well_beside_another_process_s_ipv4(stage, squatter):
    squatter("root", "0.0.0.0", 500)
    name = stage.serve(node(ONLY_IPV6 % 200) | {"bootagent.toml": "install = false\n" + SHORT}, secret=None)
    result = stage.run()
    assert result.code == 0 and "http://[::1]:3000/health: first 200 after" in result.stderr, result
    status = stage.machine.run(["bootagent", "status"])
    assert status.code == 0 and "[::1]" in status.stdout, status
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"], ids=["more-specific", "shared"])
def test_a_process_that_is_given_the_services_connections_is_named(stage, squatter, address):
    """It has the service's uid (another service of the same team, say), answers 200, and is not of the unit."""
    files = node(SHARED) | {"bootagent.toml": "install = false\n" + SHORT, ".nvmrc": "22\n"}
    name = stage.serve(files, secret=None)
    squatter(name, address, 200)
    result = stage.run()
    assert_failed(stage.machine, result, 1, "E-HEALTH-FOREIGN-LISTENER", f"{address}:3000", "outside the unit")
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_well_after_all(stage):
    """What failed before on this machine does not hinder the next deployment."""
    name = stage.serve(node(), secret=None)
    result = stage.run()
    assert result.code == 0, result
    assert stage.machine.run(["bootagent", "status"]).code == 0
    stage.machine.check(["systemctl", "stop", f"{name}.service"])
