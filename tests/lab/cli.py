"""python -m lab image | gc | shell | push"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from . import cleanup, git_repository, image, node_archive, paths
from .world import World


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab", description="An EC2-like machine to test on.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("image", help="build the machine image, if the cache has none, and print its path")
    gc = commands.add_parser("gc", help="remove the worlds whose owner is dead")
    gc.add_argument("world", nargs="*", help="remove these, also if their owner still runs")
    shell = commands.add_parser("shell", help="launch a machine and open a root shell in it; leave it and all is gone")
    shell.add_argument("--user-data", type=Path, metavar="FILE", help="run by cloud-init, as on EC2")
    shell.add_argument("--binary", type=Path, metavar="FILE", help="copied to /usr/local/bin")
    shell.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="a tag of the instance")
    shell.add_argument("--repository", action="append", default=[], metavar="NAME=CLONE",
                       help="the HEAD of a git clone, served as https://github.com/acme/NAME.git on the branches test, "
                            "stage and main")  # fmt: skip
    shell.add_argument("--secret", action="append", default=[], metavar="NAME=FILE", help="put in Secrets Manager")
    push = commands.add_parser("push", help="push the HEAD of a clone to a world whose machine runs")
    push.add_argument("--world", metavar="ID", help="which one, if there are several: `shell` prints its id")
    push.add_argument("repository", metavar="NAME=CLONE")
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
        case "push":
            return _push(options)
    return 0


def _shell(options: argparse.Namespace) -> int:
    with World() as world:
        world.tags = dict(_pairs(options.tag))
        for name, clone in _pairs(options.repository):
            _told(name, Path(clone), world.repo(name).push(Path(clone)))
        for name, file in _pairs(options.secret):
            world.secret(name, Path(file).read_text())
        user_data = options.user_data.read_text() if options.user_data else None
        machine = world.launch(user_data, binary=options.binary)
        if user_data:
            for line in machine.follow_cloud_init():
                print(line, flush=True)
        print(f"{machine.instance.id} at {machine.instance.address} in world {world.id}; exit to remove it", file=sys.stderr)
        return subprocess.call(machine.shell_command())


def _push(options: argparse.Namespace) -> int:
    ((name, clone),) = _pairs([options.repository])
    worlds = [options.world] if options.world else cleanup.living()
    served = {world: bare for world in worlds if (bare := _bare(world, name)).is_dir()}
    if len(served) != 1:
        where = f"one of {', '.join(served)} (--world)" if served else "a world that serves it"
        print(f"lab: which world is meant? {name} needs {where}", file=sys.stderr)
        return 64
    (bare,) = served.values()
    _told(name, Path(clone), git_repository.push(bare, Path(clone)))
    return 0


def _bare(world: str, name: str) -> Path:
    return paths.RUN / world / "disk" / "git" / "acme" / f"{name}.git"


def _told(name: str, clone: Path, commit: str) -> None:
    print(f"{name} is at {commit}", file=sys.stderr)
    if left := git_repository.uncommitted(clone):
        print(f"lab: {len(left)} uncommitted or untracked files of {clone} are not in it", file=sys.stderr)


def _pairs(values: list[str]) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (each.partition("=") for each in values)]
