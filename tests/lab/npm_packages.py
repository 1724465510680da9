"""The real packages that a lockfile of npm's names: fetched once by npm in a machine of the lab, and kept in the cache."""

import base64
import fcntl
import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from . import paths
from .world import World

LIMIT = 600  # seconds
# A lockfile names the binaries of all platforms, which together are ten times as large.
PLATFORM = {"os": "linux", "cpu": "x64", "libc": "glibc"}


def ensure(*lockfiles: Path) -> Path:
    """A directory of the tarballs of all these, for `world.npm.carry`."""
    packages: dict[str, str] = {}
    for lockfile in lockfiles:
        packages |= locked(lockfile)
    made = paths.cache() / "npm-packages" / hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()[:16]
    made.parent.mkdir(parents=True, exist_ok=True)
    # Two workers of a test run that need the same ones: the second waits for the first.
    with open(made.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            work = Path(tempfile.mkdtemp(dir=made.parent, prefix="fetching-"))
            try:
                _fetch(packages, work)
                work.rename(made)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return made


def locked(lockfile: Path) -> dict[str, str]:
    """{name@version: integrity} of all packages in it that npm installs in a machine of the lab."""
    packages = json.loads(lockfile.read_text())["packages"]
    found = {}
    for path, package in packages.items():
        if path and not package.get("link") and all(_fits(package.get(key), here) for key, here in PLATFORM.items()):
            name = package.get("name") or path.rpartition("node_modules/")[2]
            found[f"{name}@{package['version']}"] = package["integrity"]
    return found


def _fits(names: list[str] | None, here: str) -> bool:
    """As npm reads `os`, `cpu` and `libc`: names that it must be, or, after "!", must not be."""
    return not names or here in names or (all(name.startswith("!") for name in names) and f"!{here}" not in names)


def _fetch(packages: dict[str, str], work: Path) -> None:
    with World() as world:
        machine = world.launch()
        machine.check(["mkdir", "/root/tarballs"])
        quiet = {"npm_config_audit": "false", "npm_config_update_notifier": "false", "npm_config_loglevel": "error"}
        command = ["npm", "pack", "--ignore-scripts", "--pack-destination=/root/tarballs", *packages]
        machine.check(command, timeout=LIMIT, env=quiet)
        for tarball in (machine.root / "root/tarballs").iterdir():
            shutil.copy(tarball, work)
    there = {integrity(tarball.read_bytes()) for tarball in work.iterdir()}
    altered = [name for name, expected in packages.items() if expected not in there]
    if altered:
        raise RuntimeError(f"the registry's tarballs are not those of the lockfile: {', '.join(altered)}")


def integrity(tarball: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(tarball).digest()).decode()}"
