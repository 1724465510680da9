"""Node's official archives: an index of releases, and for each its checksums, its archive and its headers, as at
nodejs.org/dist. node-gyp asks for headers and checksums below /download/release, where the same files are."""

import fcntl
import hashlib
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import image, paths
from .faults import Faulty, logged
from .http_server import Request, Response

PLATFORM = "linux-x64"
FILES = ["aix-ppc64", "headers", "linux-arm64", "linux-armv7l", "linux-ppc64le", "linux-s390x", PLATFORM, "osx-arm64-tar",
         "osx-x64-pkg", "osx-x64-tar", "src", "win-arm64-7z", "win-arm64-zip", "win-x64-7z", "win-x64-exe", "win-x64-msi",
         "win-x64-zip"]  # fmt: skip
CHUNK = 256 << 10


def _release(version: str, date: str, npm: str, modules: str, lts: str | bool = False, **other) -> dict:
    return {
        "version": f"v{version}", "date": date, "files": FILES, "npm": npm, "v8": "12.4.254.21", "uv": "1.51.0",
        "zlib": "1.3.1-470d3a2", "openssl": "3.0.17+quic", "modules": modules, "lts": lts, "security": False, **other,
    }  # fmt: skip


# Newest first, as it is served. Only what the image holds has files; 22.21.0 is a release whose Linux build is still to come.
INDEX = [
    _release("24.9.0", "2025-09-25", "11.6.0", "137"),
    _release("22.21.0", "2025-10-20", "10.9.4", "127", "Jod", files=["headers", "src"]),
    _release("22.20.0", "2025-09-24", "10.9.3", "127", "Jod"),
    _release("22.19.0", "2025-08-28", "10.9.3", "127", "Jod"),
    _release("23.11.1", "2025-05-14", "10.9.2", "131", security=True),
    _release("20.18.0", "2024-10-03", "10.8.2", "115", "Iron"),
    _release("20.9.0", "2023-10-24", "10.1.0", "115", "Iron"),
    _release("18.20.8", "2025-03-27", "10.8.2", "108", "Hydrogen"),
    {"version": "v0.1.14", "date": "2011-08-26", "files": ["src"], "v8": "1.3.15.0", "lts": False, "security": False},
]


class NodeArchives(Faulty):
    """Knobs: those of Faulty, whose `only` is a file's name ("index.json", "*.tar.gz"); `index`; `absent` and
    `wrong_checksum`, versions such as "22.20.0"."""

    ONLY_BODY = "*.tar.gz"

    def __init__(self) -> None:
        super().__init__()
        self.index = [dict(release) for release in INDEX]
        self.absent: set[str] = set()
        self.wrong_checksum: set[str] = set()
        self.log: list[dict] = []

    def stop(self) -> None:
        self.release()

    def respond(self, request: Request) -> Response:
        """At nodejs.org below /dist; on any other host, which mirrors it, below any path."""
        base = "/dist|/download/release" if request.host == "nodejs.org" else ".*"
        found = re.fullmatch(rf"({base})/(index\.json|v(\d+\.\d+\.\d+)/([^/]+))", request.path)
        fault = self.next_fault(request.path.rpartition("/")[2])
        response = self.instead(fault, f"/{found[2]}" if found else "")
        if response is None:
            response = self.spoil(fault, self._find(found[3], found[4]) if found else _absent())
        self.log.append(logged(request, fault, response))
        return response

    def _find(self, version: str | None, name: str | None) -> Response:
        if version is None:
            body = json.dumps(self.index).encode()
            return Response(200, body, {"Content-Type": "application/json"})
        if version in self.absent or version not in image.NODE:
            return _absent()
        if name == "SHASUMS256.txt":
            return Response(200, self._checksums(version).encode(), {"Content-Type": "text/plain"})
        for kind in PACKERS:
            if name == f"node-v{version}-{kind}.tar.gz":
                archive = path(version, kind)
                headers = {"Content-Type": "application/gzip", "Content-Length": str(archive.stat().st_size)}
                return Response(200, _read(archive), headers)
        return _absent()

    def _checksums(self, version: str) -> str:
        """By name, as they are listed there: most for files that the lab doesn't have."""
        names = ["-aix-ppc64.tar.gz", "-headers.tar.gz", "-linux-arm64.tar.gz", "-linux-arm64.tar.xz", "-linux-x64.tar.gz",
                 "-linux-x64.tar.xz", ".tar.gz", ".tar.xz"]  # fmt: skip
        sums = {f"node-v{version}{name}": hashlib.sha256(name.encode()).hexdigest() for name in names}
        sums["win-x64/node.exe"] = hashlib.sha256(b"exe").hexdigest()
        for kind in PACKERS:
            if kind == PLATFORM and version in self.wrong_checksum:
                continue
            with open(path(version, kind), "rb") as archive:
                sums[f"node-v{version}-{kind}.tar.gz"] = hashlib.file_digest(archive, "sha256").hexdigest()
        return "".join(f"{digest}  {name}\n" for name, digest in sums.items())


def path(version: str, kind: str = PLATFORM) -> Path:
    """The archive of that kind, which is there after `ensure`."""
    return paths.cache() / "node-archives" / f"{image.path().name}-node-v{version}-{kind}.tar.gz"


def ensure() -> None:
    """Pack what the cache does not have for this image. Before there is a world: a request that had to wait for it would take longer
    than clients wait."""
    missing = [(version, kind) for version in image.NODE for kind in PACKERS if not path(version, kind).exists()]
    if not missing:
        return
    directory = paths.cache() / "node-archives"
    directory.mkdir(exist_ok=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for version, kind in missing:
            if not path(version, kind).exists():
                _pack(version, kind)
        for old in directory.glob("image-*"):
            if not any(old.name.startswith(f"{kept.name}-") for kept in paths.cache().glob("image-*")):
                old.unlink()


def _pack(version: str, kind: str) -> None:
    made = path(version, kind)
    with tempfile.TemporaryDirectory(dir=made.parent) as work:
        top = PACKERS[kind](Path(work), version)
        archive = Path(work) / "archive"
        subprocess.run(
            ["tar", "--create", "--use-compress-program=gzip -1", f"--file={archive}", "--sort=name",
             "--owner=1000", "--group=1000", top.name],
            cwd=work, check=True, timeout=300,
        )  # fmt: skip
        archive.rename(made)


def _build(work: Path, version: str) -> Path:
    """The image's Node in the layout of the official archive; npm's npmrc is the lab's addition, as image.py says."""
    top = work / f"node-v{version}-{PLATFORM}"
    subprocess.run(["cp", "--archive", str(_source(version)), str(top)], check=True, timeout=60)
    corepack = top / "lib/node_modules/corepack/dist"
    for directory in (corepack, top / "share/man/man1", top / "share/doc/node"):
        directory.mkdir(parents=True)
    (corepack / "corepack.js").write_text("#!/usr/bin/env node\n")
    (corepack / "corepack.js").chmod(0o755)
    (top / "bin/corepack").symlink_to("../lib/node_modules/corepack/dist/corepack.js")
    (top / "share/man/man1/node.1").write_text(".Dd Node\n")
    (top / "share/doc/node/gdbinit").write_text("Node.js\n")
    _add_texts(top)
    return top


def _headers(work: Path, version: str) -> Path:
    """What an addon is compiled with. The official archive's directory does not say what it holds."""
    top = work / f"node-v{version}"
    top.mkdir()
    subprocess.run(["cp", "--archive", str(_source(version) / "include"), str(top)], check=True, timeout=60)
    _add_texts(top)
    return top


def _source(version: str) -> Path:
    return image.path() / "usr/local/lib/nodejs" / f"node-v{version}"


def _add_texts(top: Path) -> None:
    for name in ("CHANGELOG.md", "LICENSE", "README.md"):
        (top / name).write_text("Node.js\n")


PACKERS = {PLATFORM: _build, "headers": _headers}


def _read(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while part := file.read(CHUNK):
            yield part


def _absent() -> Response:
    return Response(404, b"<html><h1>404 Not Found</h1></html>\n", {"Content-Type": "text/html"})
