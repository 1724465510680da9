"""Compares what bootagent's installer makes of lockfiles with what `npm ci` makes of them: every path, byte, mode and link.

    compare.py BOOTAGENT [--seed N] [--sets N] [--only NAME] [--npm DIRECTORY ...] [--work DIRECTORY]

The lockfiles are made by npm, from lists of much used packages: alone, in random sets, and in projects with workspaces,
aliases, links and optional packages for other machines. Without `--ignore-scripts` nothing is compared: scripts are npm's.
`--npm` is a directory with bin/node and bin/npm of another version; several are tried in turn.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from packages import MOST_USED, PROJECTS


def environment(home, npm):
    own = {"HOME": str(home), "npm_config_cache": str(home / "cache"), "npm_config_ignore_scripts": "true",
           "npm_config_update_notifier": "false", "npm_config_omit_lockfile_registry_resolved": "false", "LANG": "C.UTF-8"}
    path = os.environ["PATH"]
    return {**own, "PATH": f"{npm}:{path}" if npm else path}


def run(argv, directory, env):
    began = time.monotonic()
    done = subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, timeout=600)
    return done, time.monotonic() - began


def tree(directory):
    """Every path below the node_modules of a project, with what it is."""
    found = {}
    for at, directories, files in os.walk(directory):
        for name in directories + files:
            path = Path(at, name)
            relative = str(path.relative_to(directory))
            mode = path.lstat().st_mode
            if path.is_symlink():
                found[relative] = ("link", os.readlink(path))
            elif path.is_dir():
                found[relative] = ("directory", oct(mode))
            else:
                found[relative] = (oct(mode), hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def differences(ours, theirs):
    for path in sorted(ours.keys() | theirs.keys()):
        if ours.get(path) != theirs.get(path):
            yield f"{path}: ours {ours.get(path)}, npm's {theirs.get(path)}"


def write(directory, files):
    for path, content in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n")


class Comparison:
    def __init__(self, bootagent, work, npm):
        self.bootagent, self.work, self.npm = bootagent, work, npm
        self.env = environment(work, npm)
        locked = {name: value for name, value in self.env.items() if name != "npm_config_omit_lockfile_registry_resolved"}
        self.installing = locked
        self.node = run(["node", "--version"], work, self.env)[0].stdout.strip().lstrip("v")
        self.program = shutil.which("npm", path=self.env["PATH"])

    def locked(self, name, files):
        """The project with a lockfile; npm makes it once."""
        directory = self.work / "locked" / name
        if not (directory / "package-lock.json").exists():
            shutil.rmtree(directory, ignore_errors=True)
            write(directory, files)
            argv = [self.program, "install", "--package-lock-only", "--no-audit", "--no-fund", "--legacy-peer-deps=false"]
            done, _ = run(argv, directory, self.env)
            if done.returncode:
                return None, done.stderr
        return directory, ""

    def compare(self, name, files, omit):
        locked, why = self.locked(name, files)
        if locked is None:
            return "no lockfile", [why[-300:]], (0, 0)
        flag = "--omit=dev" if omit else "--include=dev"
        made = {}
        with tempfile.TemporaryDirectory(dir=self.work) as scratch:
            ci = [self.program, "ci", "--no-audit", "--no-fund", flag]
            for who, argv in (("npm", ci), ("ours", [self.bootagent, "__child", "npm-tree", "--", f"--node={self.node}", *ci])):
                directory = Path(scratch, who)
                shutil.copytree(locked, directory, symlinks=True)
                done, took = run(argv, directory, self.installing)
                made[who] = done, took, tree(directory)
        (npm, npm_took, theirs), (ours, ours_took, mine) = made["npm"], made["ours"]
        times = (ours_took, npm_took)
        by_npm = [line for line in ours.stderr.splitlines() if "npm installs, because" in line]
        if ours.returncode != npm.returncode:
            return "DIFFERENT", [f"status {ours.returncode}, npm's {npm.returncode}", ours.stderr[-500:], npm.stderr[-500:]], times
        if by_npm:
            return "npm", [by_npm[0].split("because ", 1)[1]], times
        found = list(differences(mine, theirs))
        return ("DIFFERENT" if found else "same"), found[:8], times


def found(directory):
    """Projects with lockfiles below a directory, such as this repository's own."""
    for lockfile in sorted(Path(directory).rglob("package-lock.json")):
        package = lockfile.with_name("package.json")
        if "node_modules" in lockfile.parts or lockfile.read_text().count('"integrity"') < 2 or not package.exists():
            continue
        name = str(lockfile.parent.relative_to(directory)).replace("/", "-")
        yield name, {"package.json": package.read_text(), "package-lock.json": lockfile.read_text()}


def cases(seed, sets):
    chosen = random.Random(seed)
    for index in range(sets):
        names = chosen.sample(MOST_USED, chosen.randint(1, 12))
        half = len(names) // 2
        package = {"name": f"set-{seed}-{index}", "version": "1.0.0", "private": True,
                   "dependencies": dict.fromkeys(names[half:], "*"), "devDependencies": dict.fromkeys(names[:half], "*")}
        yield f"set-{seed}-{index}", {"package.json": package}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("bootagent")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--sets", type=int, default=0)
    options.add_argument("--lockfiles", nargs="*", default=[], help="directories with projects that have lockfiles")
    options.add_argument("--only")
    options.add_argument("--projects", action="store_true")
    options.add_argument("--npm", nargs="*", default=[""])
    options.add_argument("--work", type=Path, default=Path("/tmp/installer"))
    options = options.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    all_cases = dict(cases(options.seed, options.sets)) | (PROJECTS if options.projects else {})
    for directory in options.lockfiles:
        all_cases |= dict(found(directory))
    counts = {}
    for npm in options.npm:
        comparison = Comparison(str(Path(options.bootagent).resolve()), options.work, npm)
        version = run([comparison.program, "--version"], options.work, comparison.env)[0].stdout.strip()
        print(f"node {comparison.node}, npm {version}", flush=True)
        for name, files in all_cases.items():
            if options.only and options.only not in name:
                continue
            for omit in (False, True):
                result, details, (ours, theirs) = comparison.compare(name, files, omit)
                counts[result] = counts.get(result, 0) + 1
                print(f"{result:12} {name}{' --omit=dev' if omit else ''} ({ours:.1f} s, npm {theirs:.1f} s)", *details, sep="\n    ", flush=True)
    print(counts)
    return 1 if counts.get("DIFFERENT") else 0


if __name__ == "__main__":
    sys.exit(main())
