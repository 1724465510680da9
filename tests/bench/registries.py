"""Where the packages of the cases come from, and how machines are told of it."""

import functools
import json
import subprocess
from pathlib import Path

from lab import World, image, python_index, python_packages
from lab.git_repository import Executable, Files

REQUIREMENTS = Path(__file__).resolve().parent / "python" / "service" / "requirements.txt"
POLICY = "/etc/bootagent/policy.toml"


def with_addresses(files: Files) -> Files:
    """A lockfile of npm's as npm writes it: with the address of each package at the registry that npm asks."""
    if "package-lock.json" not in files:
        return files
    lock = json.loads(files["package-lock.json"])
    for place, package in lock["packages"].items():
        if place:
            name = place.rpartition("node_modules/")[2]
            package["resolved"] = f"{_npm_registry()}{name}/-/{name.rpartition('/')[2]}-{package['version']}.tgz"
    return files | {"package-lock.json": json.dumps(lock, indent=2) + "\n"}


@functools.cache
def _npm_registry() -> str:
    command = ["chroot", str(image.path()), "npm", "config", "get", "registry"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.strip()


def global_programs(world: World) -> Files:
    """Of the two Nodes in the image neither has its directory in PATH, as an official archive has in /usr/local."""
    return {"/root/.npmrc": "prefix=/usr/local\n"}


def python(world: World) -> Files:
    """The lab's index, as pip and bootagent are told of a company's."""
    world.pypi.carry(python_packages.wheels(REQUIREMENTS))
    return {
        "/etc/pip.conf": f"[global]\nindex-url = {python_index.INDEX}\ncert = /etc/ssl/certs/ca-certificates.crt\n",
        POLICY: f'[mirrors]\npypi = "{python_index.INDEX}"\n',
    }


def python_with_uv(world: World) -> Files:
    files = python(world)
    return files | {POLICY: f'{files[POLICY]}\n[archives.uv]\nchecksums = {{ "{world.uv.name}" = "{world.uv.sha256}" }}\n'}


def uv() -> Files:
    """On a machine that has it already."""
    return {"/usr/local/bin/uv": Executable(python_packages.uv_program())}
