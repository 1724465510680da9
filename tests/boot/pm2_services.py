"""Sample services below PM2, as dicts of files for `world.repo(...).commit(branch, files)`."""

import json

from lab import Machine
from looks import SERVICE
from services import TALKING, talking

# Packages, and PM2's own, come from the lab's registry.
POLICY = '[mirrors]\nnpm = "https://npm.acme.test"\n'
HOME = f"/var/lib/{SERVICE}"
# The talking service, which tells as well which of PM2's processes it is, and ends in peace when it is told to: PM2 sends SIGINT.
SERVER = (
    TALKING.replace(
        '  "/health": () => "ok",\n',
        '  "/health": () => "ok",\n'
        '  "/process": () => ({ pid: process.pid, instance: process.env.NODE_APP_INSTANCE, mode: process.env.exec_mode }),\n'
        '  "/stuck": () => { fs.appendFileSync(process.env.HOME + "/stuck", `${process.pid}\\n`); for (;;); },\n'
        # A child holds the channel to PM2: it does not end with the worker.
        '  "/held": () => {\n'
        '    require("child_process").spawn("sleep", ["30"], { stdio: ["ignore", "ignore", "ignore", process.channel.fd] });\n'
        '    answers["/stuck"]();\n'
        '  },\n'
        '  "/slow": () => new Promise((resolve) => setTimeout(() => resolve("whole"), 1000)),\n',
    )
    .replace("http.createServer(", "const server = http.createServer(")
    .replace(
        "}).listen(process.env.PORT);\n",
        "}).listen(process.env.PORT, () => process.send?.(\"ready\"));\n"
        'for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => {\n'
        '  fs.appendFileSync(process.env.HOME + "/told", signal + "\\n");\n'
        "  server.close(() => process.exit(0));\n"
        "  server.closeIdleConnections();\n"
        "});\n",
    )
)


def pm2(*settings: str, **overrides: object) -> dict[str, object]:
    """The talking service below PM2; `settings` are lines of the table [pm2]."""
    return talking(**{"server.js": SERVER, "bootagent.toml": manifest(*settings)} | overrides)


def manifest(*settings: str, health: str = 'path = "/health", soak = "1s"') -> str:
    lines = ["install = false", 'supervisor = "pm2"', "port = 3000", f"health = {{ {health} }}"]
    return "\n".join([*lines, *(["", "[pm2]", *settings] if settings else [])]) + "\n"


def cluster(instances: int = 2, **overrides: object) -> dict[str, object]:
    return pm2('mode = "cluster"', f"instances = {instances}", **overrides)


def ecosystem(name: str = "ecosystem.config.js", text: str = "", **app: object) -> dict[str, object]:
    """A service with an ecosystem file of its own: of that text, or of one app with these settings in the form of that name."""
    apps = json.dumps({"apps": [{"name": "web", "script": "server.js"} | app]}, indent=2)
    forms = {"json": apps, "mjs": f"export default {apps};\n", "js": f"module.exports = {apps};\n", "cjs": f"module.exports = {apps};\n"}
    return pm2(f'ecosystem = "{name}"', **{name: text or forms[name.rpartition(".")[2]]})


def processes(machine: Machine) -> list[dict]:
    """All processes of the unit's cgroup, children of children included: pid, parent, user, arguments."""
    group = machine.systemctl_show(f"{SERVICE}.service")["ControlGroup"]
    tops = " ".join(f"/sys/fs/cgroup/{top}{group}" for top in ("systemd", "unified", "."))
    pids = machine.check(["sh", "-c", f"cat $(ls -d {tops} 2>/dev/null | head -n 1)/cgroup.procs"]).split()
    listed = machine.check(["ps", "-o", "pid=,ppid=,user:32=,args=", "--pid", ",".join(pids)])
    return [dict(zip(("pid", "parent", "user", "args"), line.split(None, 3))) for line in listed.splitlines()]


def apps(machine: Machine) -> list[dict]:
    """The processes of the service itself, below PM2's own."""
    return [each for each in processes(machine) if "server.js" in each["args"]]
