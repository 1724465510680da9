"""python -m lab image | gc | shell"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from . import cleanup, image, node_archive
from .world import World


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab", description="An EC2-like machine to test on.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("image", help="build the machine image, if the cache has none, and print its path")
    gc = commands.add_parser("gc", help="remove the worlds whose owner is dead")
    gc.add_argument("world", nargs="*", help="remove these, whoever owns them")
    shell = commands.add_parser("shell", help="launch a machine and open a root shell in it; leave it and all is gone")
    shell.add_argument("--user-data", type=Path, metavar="FILE", help="run by cloud-init, as on EC2")
    shell.add_argument("--binary", type=Path, metavar="FILE", help="copied to /usr/local/bin")
    shell.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="a tag of the instance")
    shell.add_argument("--repository", action="append", default=[], metavar="NAME=DIRECTORY",
                       help="served as https://github.com/acme/NAME.git, branch test")  # fmt: skip
    shell.add_argument("--secret", action="append", default=[], metavar="NAME=FILE", help="put in Secrets Manager")
    options = parser.parse_args(arguments)

    if os.geteuid() != 0:
        print("lab: must run as root: it makes network namespaces and mounts", file=sys.stderr)
        return 77
    match options.command:
        case "image":
            made = image.ensure()
            node_archive.ensure()
            print(made)
        case "gc":
            for world in options.world or cleanup.orphans():
                cleanup.remove(world)
                print(f"removed {world}")
        case "shell":
            return _shell(options)
    return 0


def _shell(options: argparse.Namespace) -> int:
    with World() as world:
        world.tags = dict(_pairs(options.tag))
        for name, directory in _pairs(options.repository):
            world.repo(name).commit("test", Path(directory))
        for name, file in _pairs(options.secret):
            world.secret(name, Path(file).read_text())
        user_data = options.user_data.read_text() if options.user_data else None
        machine = world.launch(user_data, binary=options.binary)
        if user_data:
            for line in machine.follow_cloud_init():
                print(line, flush=True)
        print(f"{machine.instance.id} at {machine.instance.address}; exit to remove it", file=sys.stderr)
        return subprocess.call(machine.shell_command())


def _pairs(values: list[str]) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (each.partition("=") for each in values)]
