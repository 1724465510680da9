"""Compares what bootagent's installer makes of lockfiles with what `npm ci` makes of them: every path, byte, mode and link.

    compare.py BOOTAGENT [--seed N] [--lockfiles N] [--large] [--only NAME] [--node DIRECTORY ...] [--every-node] [--work DIRECTORY]
               [--scratch DIRECTORY] [--projects DIRECTORY]

The packages are those of the projects in projects.py, which npm fetches once. All lockfiles are made by npm of what is then in
the store: the projects, single packages, random sets, and projects with workspaces, aliases, links and optional packages, by a
seed. Each that has development packages is installed with and without them. `--node` is a directory with bin/node and bin/npm; of several, a
lockfile gets one in turn, or with `--every-node` all. `--scratch` is where both install: a tmpfs is several times as fast as ext4, which slows down where trees were removed lately.
`--projects` adds the real projects in the subdirectories
of a directory; with a `--work` of its own, because made lockfiles need the documents of all packages in the store. Scripts are npm's, so none runs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lockfiles
import store
from projects import ELSEWHERE, LARGE, SMALL
from local_registry import Registry
from trees import differences, tree

LIMIT = 600  # seconds
# Packages of a made lockfile: npm takes seconds for a hundred. The projects are larger.
MOST = 80
QUIET = ["--no-audit", "--no-fund"]
DEVELOPMENT = '"devDependencies"'
FOR_NPM = "npm installs, because "


class Comparison:
    def __init__(self, bootagent: str, work: Path, registry: Registry, node: str = "") -> None:
        self.bootagent, self.work, self.scratch = bootagent, work, work
        self.env = environment(work, node) | {
            "npm_config_registry": registry.url, "npm_config_cafile": str(registry.authority),
            "npm_config_cache": str(work / "own-cache"),
        }  # fmt: skip
        self.npm = shutil.which("npm", path=self.env["PATH"])
        self.stand_in = _stand_in(work, Path(self.npm))
        self.version = self._run([shutil.which("node", path=self.env["PATH"]), "--version"], work).stdout.strip().lstrip("v")

    def _run(self, argv, directory):
        return subprocess.run(argv, cwd=directory, env=self.env, capture_output=True, text=True, timeout=LIMIT)

    def locked(self, name, files):
        """The project with a lockfile, made once by the first npm that comes along. Without one: npm's error."""
        directory = self.work / "locked" / name
        if not (directory / "package-lock.json").exists():
            shutil.rmtree(directory, ignore_errors=True)
            store.write(directory, files)
            if "package-lock.json" not in files:
                done = self._run([self.npm, "install", "--package-lock-only", *QUIET], directory)
                if done.returncode:
                    return None, done.stderr
        return directory, ""

    def compare(self, name, files, omits):
        """A verdict, lines about it, and the seconds of both."""
        locked, why = self.locked(name, files)
        if locked is None:
            return "no lockfile", [why[-300:]], (0, 0)
        if "-" in name and name.split("-")[0] in lockfiles.SHAPE and _size(locked) > MOST:
            return "too large", [], (0, 0)
        ci = [self.npm, "ci", *QUIET, "--omit=dev" if omits else "--include=dev"]
        ours = [self.bootagent, "__child", "npm-tree", "--", f"--node={self.version}", self.stand_in, *ci[1:]]
        made = {}
        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            for who, argv in (("ours", ours), ("npm's", ci)):
                directory = Path(scratch, who)
                shutil.copytree(locked, directory, symlinks=True)
                began = time.monotonic()
                done = self._run(argv, directory)
                took = time.monotonic() - began
                reason = [line for line in done.stderr.splitlines() if FOR_NPM in line]
                if who == "ours" and reason:
                    return "npm", [reason[0].split(FOR_NPM, 1)[1]], (took, 0)
                made[who] = done, took, tree(directory)
        (our_end, our_time, mine), (npm_end, npm_time, theirs) = made["ours"], made["npm's"]
        times = our_time, npm_time
        if our_end.returncode or npm_end.returncode:
            told = [f"status {our_end.returncode}, npm's {npm_end.returncode}", our_end.stderr[-500:], npm_end.stderr[-500:]]
            return ("DIFFERENT" if not our_end.returncode or not npm_end.returncode else "both fail"), told, times
        found = list(differences(mine, theirs))
        return ("DIFFERENT" if found else "same"), found[:8], times


def _size(locked: Path) -> int:
    return len(json.loads((locked / "package-lock.json").read_text())["packages"]) - 1


def _stand_in(work: Path, npm: Path) -> str:
    """What bootagent's installer takes for this npm, of its version and with its settings. It does nothing: where npm installs,
    there is nothing to compare."""
    package = npm.resolve().parent.parent
    version = json.loads((package / "package.json").read_text())["version"]
    made = work / f"stand-in-{version}"
    (made / "bin").mkdir(parents=True, exist_ok=True)
    (made / "package.json").write_text(json.dumps({"version": version}))
    (made / "npmrc").write_text((package / "npmrc").read_text() if (package / "npmrc").exists() else "")
    (made / "bin/npm").write_text("#!/bin/sh\n")
    (made / "bin/npm").chmod(0o755)
    return str(made / "bin/npm")


def environment(work: Path, node: Path | str = "") -> dict[str, str]:
    home = work / "home"
    home.mkdir(parents=True, exist_ok=True)
    path = f"{node}/bin:{os.environ['PATH']}" if node else os.environ["PATH"]
    return {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", "npm_config_ignore_scripts": "true",
            "npm_config_update_notifier": "false"}  # fmt: skip


def every(comparisons, cases, is_every_node, report):
    """Compares all cases, and returns how many lockfiles got which verdict."""
    counts = {}
    for index, (name, files) in enumerate(cases):
        for comparison in comparisons if is_every_node else [comparisons[index % len(comparisons)]]:
            for omits in (False, True) if DEVELOPMENT in json.dumps(files) else (True,):
                verdict, lines, times = comparison.compare(name, files, omits)
                counts[verdict] = counts.get(verdict, 0) + 1
                report(comparison.version, name, omits, verdict, lines, times)
    return counts


def prepared(work: Path, node: Path | str, projects: dict) -> dict[str, str]:
    """The store's answers, with the packages of at least these projects."""
    store.fill(work, projects, environment(work, node))
    return store.answers(work)


# What an installation reads of a commit.
READ = {"package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", "binding.gyp"}


def real(directory: Path | None) -> dict[str, dict]:
    """The projects with a lockfile in the subdirectories."""
    found = {}
    for project in sorted(directory.iterdir() if directory else []):
        files = [path for path in project.rglob("*") if path.name in READ and "node_modules" not in path.parts]
        texts = {str(path.relative_to(project)): path.read_text() for path in files}
        if {"package.json", "package-lock.json"} <= texts.keys():
            found[f"real_{project.name}"] = texts
    return found


def cases(answers, projects, seed, count):
    """The projects, and as many made ones, each of which has a name of its own."""
    return {**projects, **ELSEWHERE, **lockfiles.cases(store.versions(answers), seed, count)}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("bootagent")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--lockfiles", type=int, default=20, metavar="N")
    options.add_argument("--large", action="store_true")
    options.add_argument("--only")
    options.add_argument("--node", nargs="*", default=[""])
    options.add_argument("--every-node", action="store_true")
    options.add_argument("--work", type=Path, default=Path(".cache/installer"))
    options.add_argument("--scratch", type=Path)
    options.add_argument("--projects", type=Path)
    options.add_argument("--results", type=Path, help="a file for one line of JSON for each comparison")
    options = options.parse_args()
    work, results = options.work.absolute(), []
    projects = {**SMALL, **(LARGE if options.large else {})}
    for name, files in real(options.projects).items():
        try:
            store.fill(work, {name: files}, environment(work, options.node[0]))
            projects[name] = files
        except RuntimeError as error:
            print(error)
    answers = prepared(work, options.node[0], projects)

    def report(node, name, omits, verdict, lines, times):
        results.append({"node": node, "name": name, "omits": omits, "verdict": verdict, "lines": lines, "times": times})
        print(f"{verdict:12} {node} {name}{' --omit=dev' if omits else ''} ({times[0]:.1f} s, npm {times[1]:.1f} s)", *lines, sep="\n    ", flush=True)
        if options.results:
            options.results.write_text("".join(json.dumps(result) + "\n" for result in results))

    with Registry(work, answers) as registry:
        own = str(Path(options.bootagent).absolute())
        comparisons = [Comparison(own, work, registry, node) for node in options.node]
        for comparison in comparisons:
            comparison.scratch = options.scratch or work
        chosen = cases(answers, projects, options.seed, options.lockfiles).items()
        chosen = [(name, files) for name, files in chosen if not options.only or options.only in name]
        counts = every(comparisons, chosen, options.every_node, report)
    print(counts)
    return 0 if counts.get("same") and not counts.get("DIFFERENT") else 1


if __name__ == "__main__":
    sys.exit(main())
