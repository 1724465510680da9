"""An Auto Scaling group of three instances: each in a world of its own, with the AWS, the git server and the operator of one
more. A balancer sends requests to those that are in service, and an engine carries out instance refreshes."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from lab import World
from lab.deadline import wait_for
from lab.http_server import Request, Response
from lab.refresh import ACTIVE, Group
from lab.world import may

import services
from stage import POLICY, REPOSITORY

SERVICE, GROUP, BUCKET = "auth-service", "auth-service-test", "acme-group"
TAGS = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
TEXT = f"""\
repository = "{REPOSITORY}"
[lifecycle]
hook = "ready"
[fleet]
prefix = "s3://{BUCKET}"
[watch]
hook = "drain"
heartbeat_timeout = "60s"
"""
WATCH = "/var/lib/bootagent/watch.json"
# /slow takes a second, also if the service is told to end meanwhile.
SERVER = """\
const fs = require("fs"), http = require("http");
const note = fs.readFileSync("note", "utf8");
const server = http.createServer((request, response) => {
  const told = JSON.stringify({ note, token: process.env.TOKEN });
  setTimeout(() => response.end(told), request.url === "/slow" ? 1000 : 0);
}).listen(process.env.PORT);
process.once("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
"""


def files(note: str) -> dict[str, object]:
    return services.node(**{"server.js": SERVER, "note": note, "bootagent.toml": services.NOTHING + services.BRIEF})


class Slot:
    """A place of the group, and the instance that has it now."""

    def __init__(self, world: World, operator: World, binary: Path) -> None:
        self.world, self._binary = world, binary
        world.tags = dict(TAGS)
        world.imds.credentials = operator.imds.credentials
        world.front.hosts |= {"github.com": operator.git.respond, "*.amazonaws.com": self._route(operator)}
        self.machine = None

    def _route(self, operator: World):
        """Auto Scaling is this world's own, which has the instance's states."""

        def respond(request: Request) -> Response:
            own = request.host.startswith("autoscaling.")
            return self.world.autoscaling.respond(request) if own else operator.aws.respond(request)

        return respond

    @property
    def in_service(self) -> bool:
        return self.machine is not None and self.world.autoscaling.state == "InService"

    def launch(self) -> None:
        self.world.tags = dict(TAGS)
        self.world.autoscaling.launch(GROUP)
        machine = self.world.launch(binary=self._binary, files={POLICY: TEXT})
        machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
        result = machine.run(["bootagent", "run"], timeout=120)
        assert result.code == 0, result.stderr
        # The watcher looks more often than it does by itself.
        machine.write(WATCH, json.dumps(json.loads(machine.read(WATCH)) | {"every": 1}), 0o600)
        machine.check(["systemctl", "restart", "bootagent-watch"])
        self.machine = machine

    def terminate(self) -> None:
        """From this moment the balancer sends no more requests."""
        self.world.autoscaling.terminate(GROUP, begins_after=0.5)
        wait_for("CONTINUE", lambda: self.world.autoscaling.state == "Terminated", 60)
        machine, self.machine = self.machine, None
        machine.power_off()

    def told(self) -> dict:
        return json.loads(self.machine.http("http://127.0.0.1:3000/").body)


class Instances:
    """Open it with `with`."""

    def __init__(self, binary: Path) -> None:
        self._binary, self._worlds = binary, ExitStack()

    def __enter__(self) -> "Instances":
        self.operator = self._worlds.enter_context(World())
        aws = self.operator.aws
        aws.bucket(BUCKET)
        self.rotate("one")
        allowed = ["secretsmanager:GetSecretValue", "s3:*", "autoscaling:*", "elasticloadbalancing:*"]
        self.operator.role([may(allowed, "*")])
        self.commits = [self.commit("first")]
        self.laptop = self.operator.launch(binary=self._binary, files={POLICY: TEXT})
        self.laptop.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
        worlds = [self._worlds.enter_context(World()) for _ in range(3)]
        self.slots = [Slot(world, self.operator, self._binary) for world in worlds]
        self.group = Group(GROUP, instances=3, tags=TAGS)
        self.operator.autoscaling.groups = [self.group]
        self._ends = threading.Event()
        self._engine = threading.Thread(target=self._refresh, daemon=True)
        self._engine.start()
        return self

    def __exit__(self, *error) -> None:
        self._ends.set()
        self._engine.join(120)
        self._worlds.__exit__(*error)

    def rotate(self, value: str) -> None:
        self.operator.secret(f"service_env_{SERVICE}_test", json.dumps({"TOKEN": value}))

    def commit(self, note: str) -> str:
        self.operator.repo(SERVICE).commit("test", files(note))
        return self.operator.repo(SERVICE).sha("test")

    def launch(self, *numbers: int) -> None:
        with ThreadPoolExecutor(len(numbers)) as pool:
            list(pool.map(lambda number: self.slots[number].launch(), numbers))

    def told(self) -> list[dict]:
        return [slot.told() for slot in self.slots]

    def rollout(self, *flags: str):
        """In the background."""
        named = ["--service", SERVICE, "--environment", "test", "--yes"]
        return ThreadPoolExecutor(1).submit(self.laptop.run, ["bootagent", "rollout", *named, *flags], timeout=300)

    def _refresh(self) -> None:
        """One instance after the other, for as long as the refresh is active."""
        while not self._ends.wait(0.2):
            refresh = self.group.active
            if refresh is None:
                continue
            for done, slot in enumerate(self.slots, 1):
                if refresh.status not in ACTIVE:
                    break
                slot.terminate()
                slot.launch()
                if refresh.status in ACTIVE:
                    self.group.move("InProgress" if done < 3 else "Successful", done * 100 // 3 if done < 3 else 100)


class Load:
    """Requests by a balancer to instances that are in service, one after the other, for as long as the `with` lasts."""

    def __init__(self, instances: Instances) -> None:
        self._slots, self._next = instances.slots, itertools.count()
        self.asked, self.failures = 0, []
        self._stop = threading.Event()
        paths = ("/", "/slow", "/slow")
        self._threads = [threading.Thread(target=self._ask, args=(path,), daemon=True) for path in paths]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, path: str) -> None:
        began = time.monotonic()
        while not self._stop.wait(0.02):
            ready = [slot for slot in self._slots if slot.in_service]
            machine = ready[next(self._next) % len(ready)].machine if ready else None
            try:
                said = "no instance is in service" if machine is None else self._answer(machine, path)
            except OSError as error:
                said = repr(error)
            self.asked += 1
            if said:
                self.failures.append((round(time.monotonic() - began, 2), path, said))

    def _answer(self, machine, path: str) -> str:
        answer = machine.http(f"http://127.0.0.1:3000{path}", timeout=10)
        return "" if answer.status == 200 and "token" in answer.body else f"answered {answer.status}"
