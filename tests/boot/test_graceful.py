"""Whatever the start line looks like, the service hears SIGTERM once and finishes the request that it is answering."""

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import sweep
from killed import fresh
from lab.deadline import wait_for
from lab.git_repository import Executable
from looks import SERVICE, process, secret, shared, wait_until_it_answers  # noqa: F401
from services import talking
from stage import run

pytestmark = pytest.mark.variants

DATA = f"/var/lib/{SERVICE}"
# /slow is answered a little after SIGTERM. A second SIGTERM ends it, as with every service that calls `process.once`. It
# writes while it drains, so that a pipe which is gone by then ends it, too.
SERVER = """\
const fs = require("fs"), http = require("http"), path = require("path");
const note = (what) => fs.appendFileSync(path.join(process.env.HOME, "told-" + process.env.PORT), what + "\\n");
const waiting = [];
const server = http.createServer((request, response) => {
  if (request.url !== "/slow") return response.end("ok");
  waiting.push(response);
  note("asked");
}).listen(process.env.PORT);
process.once("SIGTERM", () => {
  note("SIGTERM");
  console.log("draining");
  setTimeout(() => waiting.forEach((response) => response.end("whole")), 300);
  server.close(() => { console.log("drained"); note("drained"); process.exit(0); });
  server.closeIdleConnections();
});
"""
SCRIPTS = {"pre": "node -e 0", "serve": "node server.js", "start": "node server.js"}
SHAPES = {
    "words": "node server.js",
    "quotes": "node server.js 'x y'",
    "variable": 'NAME="a b" node server.js "$NAME"',
    "exec": "exec node server.js",
    "list": "echo hi && node server.js",
    "npm-then-node": "npm run pre && node server.js",
    "npm-then-npm": "npm run pre && npm run serve",
    "pipeline": "node server.js | cat",
    "subshell": "(cd . && node server.js); echo over",
    "background": "node server.js & wait",
    "loop": "while node server.js; do sleep 1; done",
    "npm": "NODE_ENV=production npm run serve",
    "npm-elsewhere": "npm --prefix . run serve",
    "npx": "npx --yes node server.js",
    "script": "./start.sh",
}


def service(line: str, **settings: object) -> dict[str, object]:
    manifest = "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())
    manifest = f'{manifest}install = false\nstart = {json.dumps(line)}\nport = 3000\nhealth = {{ path = "/health", soak = "1s" }}\n'
    script = Executable(b"#!/bin/sh\necho begins\nnode server.js\n")
    return talking(SCRIPTS, **{"server.js": SERVER, "start.sh": script, "bootagent.toml": manifest})


def told(machine, port: int = 3000) -> list[str]:
    return machine.read(f"{DATA}/told-{port}").split() if machine.exists(f"{DATA}/told-{port}") else []


class InFlight:
    """A request that the service is answering while something is done to it."""

    def __init__(self, machine) -> None:
        self.machine = machine
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> "InFlight":
        self.machine.run(["rm", "-f", f"{DATA}/told-3000"])
        self._asked: Future = self._pool.submit(self.machine.http, "http://127.0.0.1:3000/slow", 60)
        wait_for("the request to reach the service", lambda: told(self.machine) == ["asked"], 30)
        return self

    def __exit__(self, kind, *_) -> None:
        self._pool.shutdown()
        if kind is None:
            answer = self._asked.result()
            assert (answer.status, answer.body) == (200, "whole")
            assert told(self.machine) == ["asked", "SIGTERM", "drained"]


@pytest.mark.parametrize("share", [0, 1])
class TestEachShape:
    """The shapes are shared out: a class is one worker's."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        secret(shared, TOKEN="t")
        return shared.launch(binary=binary)

    def test_a_request_in_flight_is_answered(self, shared, machine, share):  # noqa: F811
        before, wrong = None, []
        taken = sweep.sample(list(SHAPES.items())[share::2], every=3)
        for shape, line in taken:
            shared.repo(SERVICE).commit("test", service(line))
            try:
                # Each shape but the first replaces another one that is answering.
                if before is None:
                    assert run(machine).code == 0
                else:
                    with InFlight(machine):
                        updated = run(machine, "--update")
                        assert updated.code == 0, updated.stderr
                with InFlight(machine):
                    machine.check(["systemctl", "restart", f"{SERVICE}.service"])
                wait_until_it_answers(machine)
                with InFlight(machine):
                    machine.check(["systemctl", "stop", f"{SERVICE}.service"])
                shown = machine.systemctl_show(f"{SERVICE}.service")
                machine.check(["systemctl", "start", f"{SERVICE}.service"])
                wait_until_it_answers(machine)
                with InFlight(machine):
                    machine.reboot()
                again = machine.run(["bootagent", "status", "--wait"], timeout=60)
                assert again.code == 0, again.stdout
                assert shown["Result"] == "success", shown
            except AssertionError as error:
                wrong.append(f"{shape} (before it {before}): {error}")
            before = shape
        assert not wrong, sweep.told([shape for shape, _ in taken], wrong)


class TestCandidate:
    def test_the_candidate_of_an_update_drains_too(self, shared, binary):  # noqa: F811
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary)
        for number, shape in enumerate(["quotes", "pipeline", "npm-elsewhere"]):
            shared.repo(SERVICE).commit("test", service(SHAPES[shape], **{"rehearsal.port": 13000, "env.values.N": str(number)}))
            result = run(machine, "--update")
            assert result.code == 0, result.stderr
            if number:
                assert told(machine, 13000) == ["SIGTERM", "drained"], shape
            machine.run(["rm", "-f", f"{DATA}/told-13000"])


class TestSingleProgram:
    """What is one program is the unit's main process, with neither shell nor npm beside it."""

    def test_nothing_stands_between_systemd_and_the_service(self, shared, binary):  # noqa: F811
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary)
        for shape in ("quotes", "variable", "exec", "npm", "npx"):
            shared.repo(SERVICE).commit("test", service(SHAPES[shape]))
            result = run(machine, "--update")
            assert result.code == 0, result.stderr
            _, pid, _ = process(machine)
            assert machine.read(f"/proc/{pid}/comm").strip() == "node", shape
            group = machine.systemctl_show(f"{SERVICE}.service")["ControlGroup"]
            inside = machine.check(["sh", "-c", f"cat $(ls -d /sys/fs/cgroup/systemd{group} /sys/fs/cgroup/unified{group} "
                                    f"/sys/fs/cgroup{group} 2>/dev/null | head -n 1)/cgroup.procs"])  # fmt: skip
            assert inside.split() == [pid], shape


class TestDeaf:
    """A service that does not end has its time, once, and is told once."""

    @pytest.mark.parametrize("shape", ["words", "pipeline"])
    def test_its_time_ends(self, shared, binary, shape):  # noqa: F811
        secret(shared, TOKEN="t")
        machine = fresh(shared, binary)
        deaf = SERVER.partition('process.once("SIGTERM"')[0] + 'process.on("SIGTERM", () => note("SIGTERM"));\n'
        shared.repo(SERVICE).commit("test", service(SHAPES[shape]) | {"server.js": deaf})
        result = run(machine)
        assert result.code == 0, result.stderr
        began = time.monotonic()
        machine.check(["systemctl", "stop", f"{SERVICE}.service"], timeout=100)
        took = time.monotonic() - began
        assert told(machine) == ["SIGTERM"]
        # Twice its time would be close to a minute.
        assert 25 < took < 50, f"{took:.0f} s"
