"""Where it is measured: the service with its history and its secret, and the two kinds of machine."""

import functools
import hashlib
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab import Machine, World, image, paths
from lab.git_repository import Files, read_directory

HERE = Path(__file__).resolve().parent
SERVICE, BRANCH, PORT = "orders", "test", 3000
COMMITS = 300
PACKAGES = ["git", "curl", "jq", "awscli"]  # what the bash scripts need, and the "installed" machine has
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


def launch(world: World, installed: bool, user_data: str, binary: Path, files: Files) -> Machine:
    if installed:
        return world.launch(user_data=user_data, binary=binary, files=files, layers=[tools()])
    return world.launch(user_data=user_data, binary=binary, files=files, bare=True)


def tools() -> Path:
    """A layer over the lab's image that has what the bash scripts call; baked once, as an operator bakes an AMI."""
    recipe = hashlib.sha256(f"{image.path().name} {PACKAGES} 1".encode()).hexdigest()[:16]
    layer = paths.cache() / f"bench-tools-{recipe}"
    if layer.exists():
        return layer
    print(f"bench: baking the machine that has {', '.join(PACKAGES)}", flush=True)
    work = Path(tempfile.mkdtemp(dir=paths.cache(), prefix="building-"))
    try:
        with World() as world:
            machine = world.launch()
            machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
            apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]
            machine.check([*apt, "update"], timeout=120)
            machine.check([*apt, "install", "--yes", *PACKAGES], timeout=600)
            machine.check([*apt, "clean"])
            machine.power_off()
            machine.save_changes(work / "layer")
        _forget_the_machine(work / "layer")
        (work / "layer").rename(layer)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for old in paths.cache().glob("bench-tools-*"):
        if old != layer:
            shutil.rmtree(old, ignore_errors=True)
    return layer


def _forget_the_machine(layer: Path) -> None:
    """What would tell the next machines that they have booted before, or keep what each has to fetch anew."""
    for trace in ["etc/machine-id", "etc/hostname"]:
        (layer / trace).unlink(missing_ok=True)
    for trace in ["etc/cloud", "var/log", "var/lib/apt/lists", "var/lib/systemd"]:
        shutil.rmtree(layer / trace, ignore_errors=True)
    layer.chmod(0o755)


def warm(binary: Path) -> None:
    """Read all that the machines boot from, so that no run pays for the first reading of the host's disk."""
    for path in [binary, *image.path().rglob("*"), *tools().rglob("*")]:
        if path.is_file() and not path.is_symlink():
            path.read_bytes()
