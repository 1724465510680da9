"""A Python package index, as pip and uv read one, at https://pypi.acme.test/simple: the real packages of
`python_packages.txt`, and those that a test publishes."""

import functools
import hashlib
import html
import io
import json
import re
import tarfile
import zipfile
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path

from . import python_packages
from .faults import Faulty, logged
from .http_server import Request, Response

HOST = "pypi.acme.test"
INDEX = f"https://{HOST}/simple"
JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class _File:
    name: str
    content: bytes | Path
    sha256: str
    metadata: bytes | None  # a wheel's

    @property
    def path(self) -> str:
        return f"/files/{self.sha256}/{self.name}"

    @property
    def requires_python(self) -> str:
        return BytesHeaderParser().parsebytes(self.metadata or b"").get("Requires-Python", "")


Files = dict[str, str | bytes]
Projects = dict[str, list[_File]]


class PythonIndex(Faulty):
    """Knobs: those of Faulty, whose `only` is what is asked for ("/simple/flask/" or "*.whl"). What a test publishes hides the
    real packages of that name."""

    def __init__(self) -> None:
        super().__init__()
        self._published: Projects = {}
        self.token: str | None = None  # when set: the password of the user __token__, for everything
        self.log: list[dict] = []

    def publish_wheel(self, name: str, version: str, files: Files | None = None, requires: Iterable[str] = ()) -> None:
        """A wheel for every platform. `files` are paths in site-packages; by default one module, which is empty."""
        module = name.replace("-", "_")
        content = _wheel(name, version, files or {f"{module}.py": ""}, requires)
        self._publish(name, _file(f"{module}-{version}-py3-none-any.whl", content))

    def publish_sdist(self, name: str, version: str, files: Files) -> None:
        """A source archive: pip builds it with its setup.py or pyproject.toml."""
        self._publish(name, _file(f"{name}-{version}.tar.gz", _sdist(name, version, files)))

    def carry(self, wheels: Path) -> None:
        """Real packages, such as `python_packages.wheels(requirements)` has."""
        for wheel in sorted(wheels.glob("*.whl")):
            self._publish(wheel.name.partition("-")[0], _file(wheel.name, wheel))

    def _publish(self, name: str, file: _File) -> None:
        kept = [each for each in self._published.get(_normal(name), []) if each.name != file.name]
        self._published[_normal(name)] = [*kept, file]

    def locked(self, *requirements: str) -> str:
        """Lines of a requirements.txt with the checksums of all files of these versions: locked("flask==3.1.2")."""
        return "".join(
            f"{each} {' '.join(f'--hash=sha256:{checksum}' for checksum in self.checksums(each))}\n" for each in requirements
        )

    def checksums(self, requirement: str) -> list[str]:
        name, _, version = requirement.partition("==")
        found = [file.sha256 for file in self._files(name) if re.match(rf"[\w.-]+?-{re.escape(version)}[-.]", file.name)]
        if not found:
            raise KeyError(f"the lab's index has no {requirement}")
        return found

    def stop(self) -> None:
        self.release()

    def respond(self, request: Request) -> Response:
        fault = self.next_fault(request.path)
        response = self.instead(fault, request.path) or self.spoil(fault, self._refusal(request) or self._find(request))
        self.log.append(logged(request, fault, response) | {"authorization": request.headers.get("Authorization", "")})
        return response

    def _refusal(self, request: Request) -> Response | None:
        login = b64encode(f"__token__:{self.token}".encode()).decode()
        if self.token is None or request.headers.get("Authorization") == f"Basic {login}":
            return None
        return Response(401, b"a login is required\n", {"WWW-Authenticate": 'Basic realm="pypi"'})

    def _find(self, request: Request) -> Response:
        if found := re.fullmatch(r"/simple/([^/]+)(/?)", request.path):
            project = _normal(found[1])
            if not (files := self._files(project)):
                return _absent()
            if found.groups() != (project, "/"):
                return Response(301, b"", {"Location": f"{INDEX}/{project}/"})
            return _page(project, files, JSON in request.headers.get("Accept", ""))
        if found := re.fullmatch(r"/files/[0-9a-f]{64}/[^/]+?(\.metadata)?", request.path):
            for file in self._all():
                if request.path == file.path:
                    return Response(200, _content(file), {"Content-Type": "application/octet-stream"})
                if request.path == f"{file.path}.metadata" and file.metadata is not None:
                    return Response(200, file.metadata, {"Content-Type": "application/octet-stream"})
        return _absent()

    def _files(self, name: str) -> list[_File]:
        return self._published.get(_normal(name)) or _real().get(_normal(name), [])

    def _all(self) -> list[_File]:
        return [file for files in (*self._published.values(), *_real().values()) for file in files]


class UvArchives(Faulty):
    """uv's release archive and its checksum. Knobs: those of Faulty, whose `only` is a file's name."""

    ONLY_BODY = "*.tar.gz"

    def __init__(self) -> None:
        super().__init__()
        self.log: list[dict] = []

    @property
    def version(self) -> str:
        return python_packages.uv_version()

    @property
    def sha256(self) -> str:
        return _sha256(self._archive())

    @property
    def name(self) -> str:
        """Below the releases, and below a mirror of them."""
        return f"{self.version}/{python_packages.ARCHIVE}"

    @property
    def url(self) -> str:
        return f"https://github.com/astral-sh/uv/releases/download/{self.name}"

    def stop(self) -> None:
        self.release()

    def serves(self, request: Request) -> bool:
        """At GitHub among the project's releases; at a mirror below any path."""
        return "/uv/" in request.path and request.path.rpartition("/")[2].startswith("uv-")

    def respond(self, request: Request) -> Response:
        name = request.path.rpartition("/")[2]
        fault = self.next_fault(name)
        response = self.instead(fault, request.path) or self.spoil(fault, self._find(request.path, name))
        self.log.append(logged(request, fault, response))
        return response

    def _find(self, path: str, name: str) -> Response:
        if f"/{self.version}/" not in path:
            return _absent()
        if name == python_packages.ARCHIVE:
            return Response(200, self._archive().read_bytes(), {"Content-Type": "application/gzip"})
        if name == f"{python_packages.ARCHIVE}.sha256":
            return Response(200, f"{self.sha256} *{python_packages.ARCHIVE}\n".encode(), {"Content-Type": "text/plain"})
        return _absent()

    def _archive(self) -> Path:
        return python_packages.directory() / python_packages.ARCHIVE


@functools.cache
def _real() -> Projects:
    """Read when it is first needed: most worlds have no Python in them."""
    projects: Projects = {}
    for wheel in sorted(python_packages.directory().glob("*.whl")):
        name = wheel.name.partition("-")[0]
        projects.setdefault(_normal(name), []).append(_file(wheel.name, wheel))
    return projects


@functools.cache
def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(name: str, content: bytes | Path) -> _File:
    checksum = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else _sha256(content)
    return _File(name, content, checksum, _metadata(content) if name.endswith(".whl") else None)


def _content(file: _File) -> bytes:
    return file.content if isinstance(file.content, bytes) else file.content.read_bytes()


def _metadata(content: bytes | Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content) if isinstance(content, bytes) else content) as wheel:
        (name,) = [name for name in wheel.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        return wheel.read(name)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _page(project: str, files: list[_File], as_json: bool) -> Response:
    if as_json:
        listed = [
            {
                "filename": file.name, "url": f"https://{HOST}{file.path}", "hashes": {"sha256": file.sha256},
                "requires-python": file.requires_python or None,
                "core-metadata": _metadata_checksum(file) or False,
            }
            for file in files
        ]  # fmt: skip
        page = {"meta": {"api-version": "1.1"}, "name": project, "files": listed}
        return Response(200, json.dumps(page).encode(), {"Content-Type": JSON})
    lines = []
    for file in files:
        more = f' data-requires-python="{html.escape(file.requires_python)}"' if file.requires_python else ""
        if checksum := _metadata_checksum(file):
            more += f' data-core-metadata="sha256={checksum["sha256"]}"'
        lines.append(f'<a href="{file.path}#sha256={file.sha256}"{more}>{file.name}</a><br>')
    page = "<!DOCTYPE html>\n<html><body>\n" + "\n".join(lines) + "\n</body></html>\n"
    return Response(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})


def _metadata_checksum(file: _File) -> dict[str, str] | None:
    return {"sha256": hashlib.sha256(file.metadata).hexdigest()} if file.metadata is not None else None


def _absent() -> Response:
    return Response(404, b"<html><h1>404 Not Found</h1></html>\n", {"Content-Type": "text/html"})


def _wheel(name: str, version: str, files: Files, requires: Iterable[str]) -> bytes:
    about = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
    tag = "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {**files, f"{about}/METADATA": metadata, f"{about}/WHEEL": tag}
    record = "".join(f"{path},sha256={_record_checksum(_bytes(text))},{len(_bytes(text))}\n" for path, text in files.items())
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0)), _bytes(text))
    return packed.getvalue()


def _record_checksum(content: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _sdist(name: str, version: str, files: Files) -> bytes:
    files = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", **files}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, text in sorted(files.items()):
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size, member.mtime = len(_bytes(text)), 1767225600
            archive.addfile(member, io.BytesIO(_bytes(text)))
    return packed.getvalue()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
