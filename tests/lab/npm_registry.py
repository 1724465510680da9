"""An npm registry with the packages that a test publishes, at https://npm.acme.test."""

import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from .faults import Faulty, logged
from .git_repository import Executable
from .http_server import Request, Response

HOST = "npm.acme.test"
INSTALL_SCRIPTS = {"preinstall", "install", "postinstall"}


@dataclass
class _Version:
    manifest: dict
    tarball: bytes


class NpmRegistry(Faulty):
    """Knobs: those of Faulty, whose `only` is what is asked for ("/left-pad" for a packument, "*.tgz")."""

    def __init__(self) -> None:
        super().__init__()
        self._packages: dict[str, dict[str, _Version]] = {}
        self.token: str | None = None  # when set: the bearer token for packages of `private`
        self.private: tuple[str, ...] = ("@acme/",)
        self.log: list[dict] = []

    def publish(self, name: str, version: str, files: dict[str, str | bytes | Executable] | None = None) -> None:
        """package.json is made, or completed with name and version, and may have scripts, bin and dependencies."""
        files = dict(files or {"index.js": ""})
        manifest = {"name": name, "version": version, **json.loads(files.get("package.json", "{}"))}
        self._add(manifest, _pack({**files, "package.json": json.dumps(manifest)}))

    def carry(self, tarballs: Path) -> None:
        """Real packages, such as `npm_packages.ensure(lockfile)` has."""
        for tarball in sorted(tarballs.iterdir()):
            content = tarball.read_bytes()
            self._add(_manifest(content), content)

    def _add(self, manifest: dict, tarball: bytes) -> None:
        name, version = manifest["name"], manifest["version"]
        digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
        dist = {
            "tarball": f"https://{HOST}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz",
            "shasum": hashlib.sha1(tarball).hexdigest(),
            "integrity": f"sha512-{digest}",
        }
        if INSTALL_SCRIPTS & set(manifest.get("scripts", {})):
            manifest["hasInstallScript"] = True
        self._packages.setdefault(name, {})[version] = _Version({**manifest, "dist": dist}, tarball)

    def project(self, name: str, dependencies: dict[str, str], **more) -> dict[str, str]:
        """package.json and package-lock.json of a service with these dependencies, at exactly these versions; `more`
        is put into package.json. What a dependency itself depends on must be among them."""
        manifest = {"name": name, "version": "1.0.0", **more, "dependencies": dependencies}
        packages = {"": {key: manifest[key] for key in ("name", "version", "dependencies")}}
        for dependency, version in sorted(dependencies.items()):
            found = self._packages[dependency][version].manifest
            kept = ("version", "bin", "dependencies", "hasInstallScript")
            packages[f"node_modules/{dependency}"] = {
                **{key: found[key] for key in kept if key in found},
                "resolved": found["dist"]["tarball"],
                "integrity": found["dist"]["integrity"],
            }
        lock = {"name": name, "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages}
        return {"package.json": json.dumps(manifest, indent=2), "package-lock.json": json.dumps(lock, indent=2)}

    def stop(self) -> None:
        self.release()

    def respond(self, request: Request) -> Response:
        fault = self.next_fault(request.path)
        response = self.instead(fault, request.path) or self.spoil(fault, self._refusal(request) or self._find(request))
        self.log.append(logged(request, fault, response) | {"authorization": request.headers.get("Authorization", "")})
        return response

    def _refusal(self, request: Request) -> Response | None:
        """npm writes the slash of a scoped name as %2f."""
        is_private = request.path.lower().replace("%2f", "/").startswith(tuple(f"/{name}" for name in self.private))
        if self.token is None or not is_private or request.headers.get("Authorization") == f"Bearer {self.token}":
            return None
        body = b'{"error":"Unable to authenticate, need: Bearer"}'
        return Response(401, body, {"Content-Type": "application/json", "WWW-Authenticate": "Bearer"})

    def _find(self, request: Request) -> Response:
        found = re.fullmatch(r"/((?:@[^/]+/)?[^/]+)(?:/-/[^/]+-(\d+\.\d+\.\d+[^/]*)\.tgz)?", request.path)
        versions = self._packages.get(found[1]) if found else None
        if not versions or (found[2] and found[2] not in versions) or request.method not in ("GET", "HEAD"):
            return Response(404, b'{"error":"Not found"}', {"Content-Type": "application/json"})
        if found[2]:
            return Response(200, versions[found[2]].tarball, {"Content-Type": "application/octet-stream"})
        packument = {
            "name": found[1],
            "dist-tags": {"latest": list(versions)[-1]},
            "versions": {version: each.manifest for version, each in versions.items()},
        }
        return Response(200, json.dumps(packument).encode(), {"Content-Type": "application/json"})


def _manifest(tarball: bytes) -> dict:
    """package.json at the top of it, whatever its only directory is called."""
    with tarfile.open(fileobj=io.BytesIO(tarball)) as archive:
        for member in archive:
            if re.fullmatch(r"[^/]+/package\.json", member.name):
                return json.load(archive.extractfile(member))
    raise ValueError("a tarball without package.json")


def _pack(files: dict[str, str | bytes | Executable]) -> bytes:
    """As `npm pack` does: all below package/, at one time, so that equal files are equal tarballs."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as out, tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in sorted(files.items()):
            text = content.content if isinstance(content, Executable) else content
            data = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(f"package/{name}")
            member.size, member.mtime = len(data), 499162500
            member.mode = 0o755 if isinstance(content, Executable) else 0o644
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
