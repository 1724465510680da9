"""The applications below tests/fleet, and what the machine, the secret and the client of each are."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab import Executable, Machine, World, npm_packages
from lab.git_repository import Files, read_directory
from lab.machine import HttpAnswer
from registry import carries_pm2

FLEET = Path(__file__).resolve().parent.parent / "fleet"


@dataclass(frozen=True)
class Application:
    """A service of the fleet."""

    name: str
    # What its secret has, as JSON.
    secret: dict[str, str]
    # What a user of it would ask, and fails if the answer is wrong.
    client: Callable[[Machine], None]
    # The file that is started, and what a careless commit puts before its first line.
    start: str = "server.js"
    careless: str = "throw new Error('a careless commit');\n"
    port: int = 3000
    # Why a broken update fails, and what is named.
    fails: tuple[str, tuple[str, ...]] = ("E-SERVICE-EXITED", ("a careless commit",))
    policy: str = '[mirrors]\nnpm = "https://npm.acme.test"\n'
    layers: list[str] = field(default_factory=list)
    # Files of its AMI.
    image: dict[str, str | Executable] = field(default_factory=dict)
    # Whether its machine can run containers, and has docker's plugin for several.
    engine: bool = False
    compose: bool = False

    def files(self, **overrides: str) -> Files:
        return read_directory(FLEET / self.name) | overrides

    def broken(self) -> Files:
        return self.files(**{self.start: self.careless + self.text(self.start)})

    def text(self, path: str) -> str:
        return (FLEET / self.name / path).read_text()

    def carry(self, world: World) -> None:
        """What its machine installs is in the lab's registries."""
        lockfile = FLEET / self.name / "package-lock.json"
        if lockfile.exists():
            world.npm.carry(npm_packages.ensure(lockfile))
        if "pm2" in self.text("bootagent.toml"):
            carries_pm2(world)

    def ask(self, machine: Machine, path: str, body: object = None, **headers: str) -> HttpAnswer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = None if body is None else json.dumps(body).encode()
        if sent is not None:
            named = {"content-type": "application/json"} | named
        return machine.http(f"http://127.0.0.1:{self.port}{path}", 10, named, sent)


def jwt(key: str, subject: str) -> str:
    """A token as auth-service signs it."""
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head, claims = (part(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, {"sub": subject}))
    return f"{head}.{claims}.{part(hmac.digest(key.encode(), f'{head}.{claims}'.encode(), hashlib.sha256))}"


def _auth(machine: Machine) -> None:
    good, other = (jwt(key, "zoe@example.com") for key in (AUTH.secret["JWT_SECRET"], "another key"))
    answer = AUTH.ask(machine, "/me", authorization=f"Bearer {good}")
    assert (answer.status, json.loads(answer.body)) == (200, {"email": "zoe@example.com"})
    assert AUTH.ask(machine, "/me", authorization=f"Bearer {other}").status == 401


def _gmail(machine: Machine) -> None:
    data = base64.b64encode(json.dumps({"emailAddress": "zoe@example.com", "historyId": 17}).encode()).decode()
    token = GMAIL.secret["GMAIL_WEBHOOK_TOKEN"]
    assert GMAIL.ask(machine, f"/webhook/gmail?token={token}", {"message": {"data": data}}).status == 204
    assert GMAIL.ask(machine, "/webhook/gmail?token=wrong", {"message": {"data": data}}).status == 403
    kept = json.loads(GMAIL.ask(machine, "/notifications").body)
    assert kept[0] == {"emailAddress": "zoe@example.com", "historyId": 17}


def _calendar(machine: Machine) -> None:
    # The clock is put forward on this day. The workday is the manifest's.
    asked = {"day": "2026-03-29", "zone": "Europe/Berlin", "minutes": 120, "busy": [["2026-03-29T10:00+02:00", "2026-03-29T12:00+02:00"]]}
    answer = CALENDAR.ask(machine, "/free", asked)
    assert json.loads(answer.body) == ["2026-03-29T12:00:00+02:00", "2026-03-29T14:00:00+02:00"], answer.body
    assert CALENDAR.ask(machine, "/free", {"day": "soon"}).status == 400


def _reminder(machine: Machine) -> None:
    made = REMINDER.ask(machine, "/reminders", {"text": "tea", "at": "2026-01-01T08:00:00Z"})
    assert made.status == 201, made.body
    assert machine.check(["systemctl", "is-active", "reminder-service.send.timer"]).strip() == "active"
    # As the timer does, in five minutes at most.
    machine.check(["systemctl", "start", "reminder-service.send.service"])
    kept = {each["id"]: each for each in json.loads(REMINDER.ask(machine, "/reminders").body)}
    sent = kept[json.loads(made.body)["id"]]
    assert sent["sent"] and sent["by"] == REMINDER.secret["REMINDER_SENDER"], sent


# In place of Telegram, which cannot be reached from here: it tells what was sent to it, and with which token.
BOT_API = """\
let last = "";
require("http").createServer((request, response) => {
  if (request.method === "GET") return response.end(last);
  let body = "";
  request.on("data", (piece) => (body += piece)).on("end", () => {
    last = JSON.stringify([request.url, JSON.parse(body)]);
    response.setHeader("content-type", "application/json");
    response.end('{"ok":true,"result":{}}');
  });
}).listen(9000, "127.0.0.1");
"""


def stand_in(machine: Machine, program: str) -> None:
    """A server on the machine at port 9000, until `systemctl stop stand-in`."""
    machine.run(["systemd-run", "--quiet", "--collect", "--unit=stand-in", "node", "-e", program])
    machine.check(["sh", "-c", "for i in $(seq 100); do ss -ltn | grep -q :9000 && exit; sleep 0.1; done; exit 1"])


def _telegram(machine: Machine) -> None:
    stand_in(machine, BOT_API)
    chat = {"id": 5, "type": "private", "first_name": "Zoe"}
    entities = [{"type": "bot_command", "offset": 0, "length": 6}]
    update = {"update_id": 1, "message": {"message_id": 2, "date": 0, "chat": chat, "text": "/start", "entities": entities}}
    secret = {"x_telegram_bot_api_secret_token": TELEGRAM.secret["TELEGRAM_WEBHOOK_SECRET"]}
    assert TELEGRAM.ask(machine, "/telegram", update, **secret).status == 200
    sent = machine.http("http://127.0.0.1:9000/").body
    assert json.loads(sent) == ["/bot1:t0ken/sendMessage", {"chat_id": 5, "text": "Hello! Send me /help."}]
    machine.check(["systemctl", "stop", "stand-in"])
    assert TELEGRAM.ask(machine, "/telegram", update, x_telegram_bot_api_secret_token="wrong").status == 403


def _mcp(machine: Machine) -> None:
    dates = {"from": "2026-02-28", "to": "2026-03-01"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "days-between", "arguments": dates}}
    accept = "application/json, text/event-stream"
    answer = MCP.ask(machine, "/mcp", call, accept=accept, authorization=f"Bearer {MCP.secret['MCP_API_KEY']}")
    assert json.loads(answer.body)["result"]["content"] == [{"type": "text", "text": "1"}], answer.body
    assert MCP.ask(machine, "/mcp", call, accept=accept, authorization="Bearer wrong").status == 401


# In place of the model's API, which cannot be reached from here: it answers in pieces, to the key alone.
MODEL = """\
require("http").createServer((request, response) => {
  if (request.headers["x-api-key"] !== "sk-model-key") return response.writeHead(401).end();
  response.writeHead(200, { "content-type": "text/event-stream" });
  request.on("data", (piece) => response.write("data: " + piece + "\\n\\n")).on("end", () => response.end("data: end\\n\\n"));
}).listen(9000, "127.0.0.1");
"""


def _ai_proxy(machine: Machine) -> None:
    stand_in(machine, MODEL)
    answer = AI_PROXY.ask(machine, "/v1/messages", {"model": "m"})
    expected = (200, 'data: {"model": "m"}\n\ndata: end\n\n', "text/event-stream")
    assert (answer.status, answer.body, answer.headers.get("Content-Type", "").split(";")[0]) == expected
    machine.check(["systemctl", "stop", "stand-in"])
    assert AI_PROXY.ask(machine, "/v1/messages", {"model": "m"}).status == 502


def _admin(machine: Machine) -> None:
    page = ADMIN.ask(machine, "/services/auth-service")
    assert page.status == 200 and '<div id="root"></div>' in page.body
    script = page.body.split('src="')[1].split('"')[0]
    assert "https://api.test.example.com" in ADMIN.ask(machine, script).body
    assert ADMIN.ask(machine, "/assets/gone-Aa11bB22.js").status == 404


# An AMI for containers has their base images. It stands for node:22-slim, which cannot be had here: its Node is the machine's.
BASE_IMAGE = """\
#!/bin/sh -e
docker image inspect node:22-slim >/dev/null 2>&1 && exit
root=$(mktemp -d)
mkdir -p "$root/bin" "$root/usr/local/bin" "$root/etc" "$root/tmp"
node=$(ls /usr/local/lib/nodejs/node-v22*/bin/node)
cp "$node" "$root/usr/local/bin/node"
cp "$(command -v busybox)" "$root/bin/busybox"
ln -s busybox "$root/bin/sh"
for file in $(ldd "$node" | grep -o '/[^ ]*'); do mkdir -p "$root/${file%/*}"; cp "$file" "$root/$file"; done
printf 'root:x:0:0::/root:/bin/sh\\nnode:x:1000:1000::/home/node:/bin/sh\\n' >"$root/etc/passwd"
printf 'root:x:0:\\nnode:x:1000:\\n' >"$root/etc/group"
tar -C "$root" -c . | docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - node:22-slim
rm -r "$root"
"""
BASE_IMAGE_UNIT = """\
[Unit]
Requires=docker.service
After=docker.service
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/base-image
"""


def _links(machine: Machine) -> None:
    address, key = "https://example.com/a/long/address", LINKS.secret["LINKS_API_KEY"]
    url = f"http://127.0.0.1:{LINKS.port}/links/a-name"
    assert machine.http(url, 10, {"x-api-key": "wrong"}, address.encode()).status == 401
    assert machine.http(url, 10, {"x-api-key": key}, address.encode()).status == 201
    assert json.loads(machine.http(url).body) == {"address": address}
    # On the machine, where the next release's container finds it.
    assert address in machine.check(["sh", "-c", "cat /var/lib/bootagent/services/link-service/volumes/links/links.json"])


def _tasks(machine: Machine) -> None:
    url, key = f"http://127.0.0.1:{TASKS.port}/tasks/a-text", TASKS.secret["TASKS_API_KEY"]
    assert machine.http(url, 10, {"x-api-key": "wrong"}, b"a text").status == 401
    assert json.loads(machine.http(url, 10, {"x-api-key": key}, b"five words of a text").body) == {"words": 5}
    # In a volume, where the next release's worker finds it.
    assert json.loads(machine.http(url, 10, {"x-api-key": key}).body) == {"words": 5}


def _report(machine: Machine) -> None:
    bookings = [{"project": "b", "hours": 2}, {"project": "a", "hours": "1.5"}, {"project": "b", "hours": 1}]
    answer = REPORT.ask(machine, "/report", bookings, x_api_key=REPORT.secret["REPORT_API_KEY"])
    assert answer.body == "project,hours\na,1.5\nb,3.0\n"
    assert REPORT.ask(machine, "/report", bookings, x_api_key="wrong").status == 401


# PM2 does not end a process of a cluster whose module fails while it is imported.
AUTH = Application(
    "auth-service", {"JWT_SECRET": "k3y-of-auth", "MONGODB_URI": "mongodb://127.0.0.1:27017"}, _auth,
    fails=("E-HEALTH-NO-LISTENER", ("nothing listens on port 3000",)),
)  # fmt: skip
GMAIL = Application("gmail-service", {"GMAIL_WEBHOOK_TOKEN": "gm4il-push"}, _gmail)
CALENDAR = Application("calendar-service", {}, _calendar)
REMINDER = Application("reminder-service", {"REMINDER_SENDER": "reminders@example.com"}, _reminder)
TELEGRAM = Application(
    "telegram-bot", {"TELEGRAM_TOKEN": "1:t0ken", "TELEGRAM_WEBHOOK_SECRET": "w3bhook", "TELEGRAM_API_ROOT": "http://127.0.0.1:9000"},
    _telegram, start="bot.js",
)  # fmt: skip
MCP = Application("mcp-service", {"MCP_API_KEY": "mcp-k3y"}, _mcp, start="src/server.ts")
AI_PROXY = Application("ai-proxy-service", {"MODEL_API_KEY": "sk-model-key", "MODEL_API_URL": "http://127.0.0.1:9000"}, _ai_proxy)
ADMIN = Application(
    "admin-panel", {}, _admin, start="index.html", careless="<script type=module src=/src/gone.jsx></script>\n", port=8080,
    fails=("E-INSTALL-FAILED", ("npm run build", "gone.jsx")), layers=["nginx", "chromium-headless-shell"],
)  # fmt: skip
REPORT = Application(
    "report-service", {"REPORT_API_KEY": "rep0rt"}, _report, start="app.py", careless="raise SystemExit('a careless commit')  # which gunicorn answers with another worker\n",
    fails=("E-SERVICE-EXITED", ("its workers ended",)), policy='[mirrors]\npypi = "https://pypi.acme.test/simple"\n', layers=["python3-venv"],
)  # fmt: skip
CONTAINERS = ["busybox-static", "docker.io", "iptables"]
AMI_OF_CONTAINERS = {
    "/usr/local/sbin/base-image": Executable(BASE_IMAGE), "/etc/systemd/system/base-image.service": BASE_IMAGE_UNIT,
    "/etc/systemd/system/cloud-final.service.d/base-image.conf": "[Unit]\nWants=base-image.service\nAfter=base-image.service\n",
}  # fmt: skip
LINKS = Application(
    "link-service", {"LINKS_API_KEY": "l1nks"}, _links, policy="", layers=CONTAINERS, engine=True, image=AMI_OF_CONTAINERS,
)  # fmt: skip
TASKS = Application(
    "task-service", {"TASKS_API_KEY": "t4sks"}, _tasks, policy="", layers=CONTAINERS, engine=True, compose=True, image=AMI_OF_CONTAINERS,
)  # fmt: skip
ALL = [AUTH, GMAIL, CALENDAR, REMINDER, TELEGRAM, MCP, AI_PROXY, ADMIN, REPORT, LINKS, TASKS]
