"""Writes docs/microservices.md from the applications beside this file. Usage: document.py BOOTAGENT >docs/microservices.md"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
# In the order of the architecture; the others are what may stand beside them.
ORDER = [
    "auth-service", "gmail-service", "calendar-service", "reminder-service", "telegram-bot", "mcp-service", "ai-proxy-service",
    "admin-panel", "report-service", "link-service", "task-service",
]  # fmt: skip
PAGE = """\
# The services of a fleet, and their manifests

An architecture of small services, each in an Auto Scaling group of its own: together they are an assistant that reads mail and calendar, sends reminders, and answers over Telegram. Each is
an application below [`tests/fleet`](../tests/fleet). The tests (`tests/boot/test_fleet.py`) boot it from its two tags through cloud-init, send it requests, update it, deploy a commit that fails, and
reboot the machine. `tests/fleet/document.py` writes this page from these applications and from the output of `bootagent validate`.

All have the same line of user-data, and differ in two tags:
```sh
#!/bin/sh
exec bootagent run --repository 'https://github.com/acme/{{service}}.git'
```
The tags are `bootagent:service`, with the name in the first column, and `bootagent:environment`: `test`, `stage` or `prod`. With the default policy they choose the branch `test`, `stage` or `main`, and the secret
`service_env_<service>_<environment>`, which is all that the role of an instance [may read](how-to/set-up-an-instance.md).

| Service | What it does | Built by | Started by | Health check | Its secret must have |
|---|---|---|---|---|---|
{rows}

## The manifests
{manifests}
### mongodb
The host of the database has no repository: this is the operator's file `/etc/bootagent/services/mongodb.toml` ([run a database host](how-to/run-a-database-host.md)). Its secret has `MONGO_INITDB_ROOT_PASSWORD`. `tests/boot/test_data_host_mongodb.py` boots it: auth-service
registers and logs in its users there, from a machine of its own and with MongoDB's driver, before and after a reboot of the host. The server behind it only speaks MongoDB's protocol: the test has no real `mongod`.
```toml
{mongodb}```
"""


def page(bootagent: str) -> str:
    missing = {path.name for path in HERE.iterdir() if (path / "bootagent.toml").exists()} ^ set(ORDER)
    if missing:
        raise SystemExit(f"ORDER and the directories differ: {', '.join(sorted(missing))}")
    rows = "\n".join(row(bootagent, name) for name in ORDER)
    mongodb = (HERE / "mongodb/mongodb.toml").read_text()
    return PAGE.format(rows=rows, manifests="\n".join(map(manifest, ORDER)), mongodb=mongodb)


def row(bootagent: str, name: str) -> str:
    said = subprocess.run([bootagent, "validate", "--output", "json", str(HERE / name)], stdout=subprocess.PIPE, check=True)
    plan = {each["name"]: each["value"] for each in json.loads(said.stdout)["plan"]}
    manifest = tomllib.loads((HERE / name / "bootagent.toml").read_text())
    required = ", ".join(f"`{name}`" for name in manifest.get("env", {}).get("required", []))
    secret = required or ("no secret" if manifest.get("secret") is False else "nothing")
    built = plan.get("image") or " and ".join(f"`{short(plan[step])}`" for step in ("install", "build") if step in plan)
    runs = f"`{plan['start']}`" if plan.get("start", "").count(" ") in (1, 2) else plan.get("start") or f"nginx, which serves `{plan['serve'].split(',')[0]}`"
    if "image" in plan:
        runs, built = plan["start"], plan["image"].replace("Dockerfile", "`Dockerfile`")
    by = f"{plan['supervisor'].upper()}: " if "supervisor" in plan else ""
    return f"| [{name}](../tests/fleet/{name}) | {description(name)} | {built} | {by}{runs} | {plan['health check']} | {secret} |"


def short(command: str) -> str:
    """Without the flags that only change what is printed."""
    return re.sub(r" --no-audit| --no-fund", "", command)


def description(name: str) -> str:
    package = HERE / name / "package.json"
    if package.exists():
        return json.loads(package.read_text())["description"]
    program = next((HERE / name).glob("*.py")).read_text()
    return program.split('"""')[1].rstrip(".")


def manifest(name: str) -> str:
    compose = HERE / name / "compose.yaml"
    containers = f"```yaml\n# compose.yaml\n{compose.read_text()}```\n" if compose.exists() else ""
    return f"### {name}\n```toml\n{(HERE / name / 'bootagent.toml').read_text()}```\n{containers}"


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1]))
