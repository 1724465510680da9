"""The service that is measured: its repository with some history, and its secret."""

import functools
import json
import random
import subprocess
from pathlib import Path

from lab import World, image
from lab.git_repository import Files, read_directory

HERE = Path(__file__).resolve().parent
SERVICE, BRANCH, PORT = "orders", "test", 3000
COMMITS = 300
SECRET = {
    "DATABASE_URL": "mongodb://orders:k2Jq8vTz@db.internal:27017/orders?replicaSet=rs0",
    "JWT_SECRET": "dGhpcyBpcyBub3QgYSBzZWNyZXQ",
    "PASSWORD_HASH": "not-a-hash",
    "RATES_URL": "https://rates.internal/v1",
    "LOG_LEVEL": "info",
}


def furnish(world: World) -> None:
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": BRANCH}
    world.secret(f"service_env_{SERVICE}_{BRANCH}", json.dumps(SECRET))
    repository = world.repo(SERVICE)
    repository.git("fast-import", "--quiet", stdin=_history())
    repository.commit(BRANCH, service(), "what is measured")


@functools.cache
def service() -> Files:
    """The sample, its lockfile as npm writes it: with the address of each package at the registry that npm asks."""
    files = read_directory(HERE / "service")
    lock = json.loads(files["package-lock.json"])
    for place, package in lock["packages"].items():
        if place:
            name = place.rpartition("node_modules/")[2]
            package["resolved"] = f"{_registry()}{name}/-/{name.rpartition('/')[2]}-{package['version']}.tgz"
    return files | {"package-lock.json": json.dumps(lock, indent=2) + "\n"}


@functools.cache
def _registry() -> str:
    command = ["chroot", str(image.path()), "npm", "config", "get", "registry"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


@functools.cache
def _history() -> bytes:
    """A few hundred commits, the same ones each time: modules of some kilobytes that are written and rewritten."""
    chance = random.Random(1)
    words = ["order", "item", "price", "customer", "stock", "await", "const", "return", "function", "=>", "{", "}"]
    out = []
    for number in range(COMMITS):
        text = "\n".join(" ".join(chance.choices(words, k=9)) for _ in range(chance.randint(40, 160)))
        out.append(
            f"commit refs/heads/{BRANCH}\ncommitter Lab <lab@acme.test> {1735689600 + number * 3600} +0000\n"
            f"data {len(f'change {number}')}\nchange {number}\n"
            f"M 100644 inline lib/module-{chance.randrange(80)}.js\ndata {len(text)}\n{text}\n"
        )
    return "".join(out).encode()
