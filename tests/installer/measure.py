"""bootagent's installer against `npm ci`, for 50 to 2,000 packages: wall time, processor time and peak memory, as ratios within
one round, and a picture of them.

    measure.py BOOTAGENT [--rounds N] [--sizes N ...] [--node DIRECTORY] [--work DIRECTORY] [--scratch DIRECTORY] [--filled] [--picture FILE]

Both install from a registry on this machine, with empty caches and without install scripts. An idle machine is needed. On ext4
the removal of a tree makes the next one several times as slow for minutes (it looks at inodes that were freed lately), so
that the file system is what is measured; a tmpfs has no such memory: --scratch /dev/shm."""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import compare
import picture
import store
from lockfiles import sized
from projects import LARGE, SMALL, WIDE
from local_registry import Registry

# Of projects of one size, until one fits.
ATTEMPTS = 20
MEASURES = {"wall": "wall time", "processor": "processor time", "memory": "peak memory"}


def measure(argv, directory, env):
    """Seconds, processor seconds and KiB of one run."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(argv, cwd=directory, env=env, stdout=subprocess.DEVNULL, stderr=output)
        peak = 0
        # Not `ru_maxrss`: the child begins with that of this program.
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = max(peak, high_water(process.pid))
            time.sleep(0.01)
        took = time.monotonic() - began
        _, status, usage = ended
        process.returncode = status
        output.seek(0)
        said = output.read().decode(errors="replace")
    if status or compare.FOR_NPM in said:
        raise RuntimeError(f"{argv[0]} ended with {status}: {said[-500:]}")
    return {"wall": took, "processor": usage.ru_utime + usage.ru_stime, "memory": peak}


def high_water(pid):
    """The most memory that the program had so far, in KiB. 0 before its start, when it is still a copy of this one."""
    try:
        program = os.readlink(f"/proc/{pid}/exe")
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) if found and program != os.readlink("/proc/self/exe") else 0


def commands(comparison):
    ci = [comparison.npm, "ci", *compare.QUIET, "--include=dev"]
    ours = [comparison.bootagent, "__child", "npm-tree", "--", f"--node={comparison.version}", *ci]
    return {"ours": ours, "npm's": ci}


def round_of(comparison, locked, chosen):
    """Both in random order: {"ours": measures, "npm's": measures}."""
    found, both = {}, list(commands(comparison).items())
    chosen.shuffle(both)
    for who, argv in both:
        with tempfile.TemporaryDirectory(dir=comparison.scratch) as place:
            directory = Path(place, "app")
            shutil.copytree(locked, directory)
            found[who] = measure(argv, directory, comparison.env | {"npm_config_cache": f"{place}/cache"})
    return found


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bootagent")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--sizes", type=int, nargs="*", default=[50, 100, 200, 500, 1000, 2000])
    options.add_argument("--node", default="")
    options.add_argument("--work", type=Path, default=Path(".cache/installer"))
    options.add_argument("--scratch", type=Path, help="where both install; else in the directory of --work")
    options.add_argument("--filled", action="store_true", help="with what the store has, without fetching more")
    options.add_argument("--picture", type=Path)
    options = options.parse_args()
    work, chosen = options.work.absolute(), random.Random(1)
    answers = store.answers(work) if options.filled else compare.prepared(work, options.node, {**SMALL, **LARGE, **WIDE})
    lines = []
    with Registry(work, answers, options.node or None) as registry:
        comparison = compare.Comparison(str(Path(options.bootagent).absolute()), work, registry, options.node)
        comparison.scratch = options.scratch or work
        for size in options.sizes:
            locked = sized_lockfile(comparison, answers, size)
            count = packages_of(locked)
            round_of(comparison, locked, chosen)
            rounds = [round_of(comparison, locked, chosen) for _ in range(options.rounds)]
            ratios = {name: [one["ours"][name] / one["npm's"][name] for one in rounds] for name in MEASURES}
            own = {name: statistics.median(one["ours"][name] for one in rounds) for name in MEASURES}
            npm = {name: statistics.median(one["npm's"][name] for one in rounds) for name in MEASURES}
            lines.append({"packages": count, "ratios": ratios, "ours": own, "npm": npm})
            print(f"{count} packages: " + ", ".join(
                f"{text} {statistics.median(ratios[name]):.2f} ({min(ratios[name]):.2f} to {max(ratios[name]):.2f}) of npm's"
                for name, text in MEASURES.items()
            ) + f"; {own['wall']:.1f} s and {own['memory'] / 1024:.0f} MiB,"
                f" npm {npm['wall']:.1f} s and {npm['memory'] / 1024:.0f} MiB", flush=True)  # fmt: skip
            (work / "bench.json").write_text(json.dumps(lines, indent=1) + "\n")
            if options.picture:
                options.picture.write_text(picture.svg(lines, MEASURES))
    return 0


def sized_lockfile(comparison, answers, size):
    """A project with about so many packages, without those that only npm installs."""
    aim = size
    for attempt in range(ATTEMPTS):
        files = sized(answers, store.versions(answers), aim, attempt)
        locked, _ = comparison.locked(f"sized-{size}-{attempt}", files)
        if locked is None:
            continue
        if 0.8 <= packages_of(locked) / size <= 1.25 and is_ours(comparison, locked):
            return locked
        # Of many packages there is more than one version, which `sized` does not see.
        aim = round(aim * min(1.5, max(0.5, size / packages_of(locked))))
    raise RuntimeError(f"no project of {size} packages is installed without npm")


def packages_of(locked):
    return len(json.loads((locked / "package-lock.json").read_text())["packages"]) - 1


def is_ours(comparison, locked):
    """Whether bootagent installs it without npm."""
    with tempfile.TemporaryDirectory(dir=comparison.scratch) as scratch:
        directory = Path(scratch, "app")
        shutil.copytree(locked, directory)
        done = subprocess.run(commands(comparison)["ours"], cwd=directory, env=comparison.env, capture_output=True, text=True, timeout=compare.LIMIT)
        return done.returncode == 0 and compare.FOR_NPM not in done.stderr


if __name__ == "__main__":
    sys.exit(main())
