"""The packages of the comparison: npm's cache, filled by `npm install` of a few projects, as the answers of a registry.

npm fetches each project once. After that nothing is asked for: new lockfiles are made of the versions that are in the cache, so
any number of them costs the registry nothing."""

import base64
import fcntl
import json
import re
import shutil
import subprocess
from pathlib import Path

# npm's public registry, which the program names in one place.
ADDRESS = Path(__file__).resolve().parents[2] / "src/npm/address.rs"
PUBLIC = "https://" + re.search(r'pub const PUBLIC: &str = "(.+)";', ADDRESS.read_text())[1]
KEY = f"make-fetch-happen:request-cache:{PUBLIC}"
LIMIT = 900  # seconds
QUIET = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
# `ci` of the lockfile, because npm 10 fetches archives then that it leaves out before.
FILL = [["npm", "install", "--package-lock-only", *QUIET], ["npm", "ci", *QUIET]]


def write(directory: Path, files: dict) -> None:
    for path, content in files.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n")


def fill(work: Path, projects: dict, env: dict) -> None:
    """Brings the packages of these projects into the cache below `work`, by npm; each project once."""
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name, files in projects.items():
            directory = work / "fill" / name
            if (directory / "done").exists():
                continue
            shutil.rmtree(directory, ignore_errors=True)
            write(directory, files)
            for argv in FILL[1:] if "package-lock.json" in files else FILL:
                argv = [*argv, f"--cache={work / 'npm-cache'}"]
                done = subprocess.run(argv, cwd=directory, env=env, capture_output=True, text=True, timeout=LIMIT)
                if done.returncode:
                    raise RuntimeError(f"npm cannot fetch the packages of {name}:\n{done.stderr[-2000:]}")
            shutil.rmtree(directory / "node_modules", ignore_errors=True)
            (directory / "done").touch()


def answers(work: Path) -> dict[str, str]:
    """What a registry answers: for each path a file. Documents name only versions whose archives are there, and those for
    other machines, whose archives nothing asks for."""
    cached = dict(_cached(work / "npm-cache" / "_cacache"))
    archives = {path: str(file) for path, file in cached.items() if path.endswith(".tgz")}
    documents = work / "documents"
    documents.mkdir(exist_ok=True)
    found = dict(archives)
    for path, file in cached.items():
        if path.endswith(".tgz"):
            continue
        document = _reduced(json.loads(file.read_text()), archives)
        if document["versions"]:
            own = documents / re.sub(r"[^\w.@-]", "+", path)
            own.write_text(json.dumps(document))
            found[path] = str(own)
    return found


def versions(answers: dict[str, str]) -> list[tuple[str, str]]:
    """Names and versions of the packages that are there: archives, and the document without which npm makes no lockfile."""
    all_archives = (re.fullmatch(r"/((?:@[^/]+/)?([^/]+))/-/\2-(.+)\.tgz", path) for path in sorted(answers))
    return [(found[1], found[3]) for found in all_archives if found and f"/{found[1]}" in answers]


def _cached(cacache: Path):
    for bucket in sorted((cacache / "index-v5").glob("*/*/*")):
        latest = {}
        for line in bucket.read_text().splitlines():
            _, _, text = line.partition("\t")
            entry = json.loads(text) if text else {}
            if entry.get("key", "").startswith(KEY):
                latest[entry["key"]] = entry
        for key, entry in latest.items():
            algorithm, _, hash_ = (entry["integrity"] or "").partition("-")
            if not hash_:
                continue
            digest = _hex(hash_)
            file = cacache / "content-v2" / algorithm / digest[:2] / digest[2:4] / digest[4:]
            if file.exists():
                yield key.removeprefix(KEY).replace("%2f", "/"), file


def _hex(hash_: str) -> str:
    return base64.b64decode(hash_).hex()


def _reduced(document: dict, archives: dict[str, str]) -> dict:
    # Lockfiles of npm 10 do not say for which C library a package is: it installs those for both.
    def is_there(version: dict) -> bool:
        is_elsewhere = any(
            here not in (wanted := version.get(key) or [here]) and not any(name.startswith("!") for name in wanted)
            for key, here in (("os", "linux"), ("cpu", "x64"))
        )
        return is_elsewhere or version["dist"]["tarball"].removeprefix(PUBLIC) in archives

    kept = {number: version for number, version in document["versions"].items() if is_there(version)}
    tags = {tag: number for tag, number in document.get("dist-tags", {}).items() if number in kept}
    if kept:
        tags.setdefault("latest", list(kept)[-1])
    return {"name": document["name"], "dist-tags": tags, "versions": kept}
