"""`make cost`: how wall time, processor and memory of a first boot grow with the repository's size and files, with variables and
with dependencies. Each is a fresh machine; within a row of the table nothing else changes. Ratios within one run count: seconds
are this host's."""

import argparse
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import World, paths
from lab.git_repository import Files

SERVICE = "orders"
DOCUMENT = paths.REPOSITORY / "docs/explanation/performance.md"
PICTURE = DOCUMENT.with_suffix(".svg")
SERVER = "require('http').createServer((request, response) => response.end('ok')).listen(process.env.PORT)\n"
MANIFEST = 'port = 3000\nhealth = { path = "/", soak = "1s" }\n'
# In the guest: the wall time of a run, and what its own processes used.
MEASURE = """\
import json, resource, subprocess, sys, time
began = time.monotonic()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"code": done.returncode, "said": done.stderr[-2000:], "wall": time.monotonic() - began,
                  "own": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss / 1024}))
"""


@dataclass(frozen=True)
class Axis:
    name: str
    unit: str
    points: tuple[int, ...]
    furnish: Callable[[World, int], Files]
    variables: bool = False


@dataclass
class Point:
    axis: str
    size: int
    wall: float
    cpu: float  # seconds of all processors: the agent, its units, npm and the service
    own: float  # those of bootagent's process and the tools that it waits for
    memory: float  # MiB, of the largest of these processes


def service(**more: object) -> Files:
    package = {"name": SERVICE, "version": "1.0.0", "scripts": {"start": "node server.js"}}
    lock = {"name": SERVICE, "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {"": {"name": SERVICE, "version": "1.0.0"}}}
    files = {"server.js": SERVER, "bootagent.toml": "install = false\n" + MANIFEST}
    return files | {"package.json": json.dumps(package), "package-lock.json": json.dumps(lock)} | more


def of_size(world: World, megabytes: int) -> Files:
    """Bytes that do not compress, in files of four megabytes."""
    chance, part = random.Random(1), min(4, megabytes)
    return service(**{f"assets/{number}.bin": chance.randbytes(part << 20) for number in range(megabytes // part)})


def of_files(world: World, count: int) -> Files:
    return service(**{f"lib/{number % 100}/{number // 100}.js": f"module.exports = {number}\n" for number in range(count)})


def of_variables(world: World, count: int) -> Files:
    world.secret(f"service_env_{SERVICE}_test", json.dumps({f"VARIABLE_{number}": f"value of {number}" for number in range(count)}))
    return service()


def of_dependencies(world: World, count: int) -> Files:
    names = [f"package-{number}" for number in range(count)]
    for name in names:
        world.npm.publish(name, "1.0.0", {f"lib/{number}.js": f"module.exports = '{name}'\n" for number in range(10)})
    project = world.npm.project(SERVICE, dict.fromkeys(names, "1.0.0"), scripts={"start": "node server.js"})
    return service(**project, **{"bootagent.toml": MANIFEST})


AXES = [
    Axis("size", "MB", (10, 100, 1000), of_size),
    Axis("files", "files", (1000, 10_000, 100_000), of_files),
    Axis("variables", "variables", (10, 100, 500), of_variables, variables=True),
    Axis("dependencies", "packages", (50, 250, 1000), of_dependencies),
]


def parts(files: Files) -> Iterator[Files]:
    """In commits that git's tools take in at once: a boot fetches the last tree whole, whatever the history is."""
    part, weight = {}, 0
    for name, content in files.items():
        part[name] = content
        weight += 4000 + len(content)
        if weight > 32 << 20:
            yield part
            part, weight = {}, 0
    yield part


def measure(binary: Path, axis: Axis, size: int) -> Point:
    with World() as world:
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        if not axis.variables:
            world.secret(f"service_env_{SERVICE}_test", "{}")
        repository = world.repo(SERVICE)
        # Making the repository is not measured.
        for setting in (("core.compression", "0"), ("core.bigFileThreshold", "1m")):
            repository.git("config", *setting)
        for part in parts(axis.furnish(world, size)):
            repository.commit("test", part)
        machine = world.launch(binary=binary)
        machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
        cpu = machine.cpu_seconds()
        line = ["bootagent", "run", "--repository", "https://github.com/acme/{service}.git"]
        told = json.loads(machine.check(["python3", "-c", MEASURE, *line], timeout=900))
        if told["code"] != 0:
            raise RuntimeError(f"{axis.name} {size}: exit {told['code']}\n{told['said']}")
        return Point(axis.name, size, told["wall"], machine.cpu_seconds() - cpu, told["own"], told["memory"])


def table(points: list[Point]) -> str:
    lines = ["| | wall | against the first | processor, all | of that bootagent's own | largest process |", "|---|---|---|---|---|---|"]
    for axis in AXES:
        own = [point for point in points if point.axis == axis.name]
        lines += [
            f"| {point.size:,} {axis.unit} | {point.wall:.1f} s | {point.wall / own[0].wall:.2f} | {point.cpu:.1f} s | {point.own:.1f} s | {point.memory:.0f} MiB |"
            for point in own
        ]
    return "\n".join(lines)


def picture(points: list[Point]) -> str:
    """One small chart for each axis: wall time and processor, on the same scale of seconds."""
    most = max(max(point.wall, point.cpu) for point in points)
    wide, high, left = 220, 150, 40
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {len(AXES) * wide + left} {high + 60}" font-family="sans-serif" font-size="11">',
             f'<rect width="{len(AXES) * wide + left}" height="{high + 60}" fill="#ffffff"/>']  # fmt: skip
    for number, axis in enumerate(AXES):
        own, x0 = [point for point in points if point.axis == axis.name], left + number * wide
        parts.append(f'<text x="{x0}" y="14" font-weight="bold">{axis.name}</text>')
        for at, point in enumerate(own):
            for offset, value, fill in ((0, point.wall, "#2563eb"), (18, point.cpu, "#9aa5b1")):
                tall, x = max(1.0, value / most * (high - 30)), x0 + at * 62 + offset
                parts.append(f'<rect x="{x}" y="{high - tall:.1f}" width="16" height="{tall:.1f}" fill="{fill}"/>')
                parts.append(f'<text x="{x}" y="{high - tall - 3:.1f}" font-size="9">{value:.1f}</text>')
            parts.append(f'<text x="{x0 + at * 62}" y="{high + 14}">{point.size:,}</text>')
    parts.append(f'<text x="{left}" y="{high + 40}">seconds of a first boot: blue is wall time, grey the processors</text></svg>')
    return "\n".join(parts) + "\n"


def written(document: str, made: str) -> str:
    """The document with the table between its two marks."""
    marks = re.compile(r"(<!-- made by make cost -->\n).*?(<!-- end -->)", re.DOTALL)
    assert marks.search(document), "the document has no marks for the table"
    return marks.sub(lambda found: f"{found[1]}{made}\n{found[2]}", document)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--axis", action="append", choices=[axis.name for axis in AXES], help="only this one")
    parser.add_argument("--most", type=int, default=10**9, help="no larger points than this")
    parser.add_argument("--write", action="store_true", help=f"put table and picture into {DOCUMENT.relative_to(paths.REPOSITORY)}")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("cost: must run as root: the lab makes network namespaces and mounts", file=sys.stderr)
        return 77
    points, failed = [], False
    for axis in AXES:
        for size in axis.points if not options.axis or axis.name in options.axis else ():
            if size <= options.most:
                began = time.monotonic()
                try:
                    points.append(measure(options.binary, axis, size))
                except RuntimeError as failure:
                    # The other points are worth having: this takes minutes.
                    failed = True
                    print(f"cost: {failure}", file=sys.stderr, flush=True)
                    continue
                print(f"cost: {axis.name} {size:,}: {points[-1].wall:.1f} s (with its world {time.monotonic() - began:.0f} s)", flush=True)
    made = table(points)
    print(f"\n{made}")
    if failed:
        print("cost: a boot failed, so nothing is written", file=sys.stderr)
        return 1
    if options.write:
        shown = f"![Seconds of a first boot, by size, files, variables and dependencies]({PICTURE.name})"
        DOCUMENT.write_text(written(DOCUMENT.read_text(), f"{made}\n\n{shown}"))
        PICTURE.write_text(picture(points))
    return 0


if __name__ == "__main__":
    sys.exit(main())
