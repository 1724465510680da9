"""git's smart HTTP protocol, by the real `git http-backend`, with the manners of a git host and faults on demand."""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from .faults import Fault
from .git_repository import Repository, environment
from .github_app import GithubApps
from .http_server import Request, Response

CHUNK = 16 << 10


class GitServer:
    def __init__(self, root: Path, apps: GithubApps) -> None:
        self._root, self._apps = root, apps
        self._repositories: dict[str, Repository] = {}
        self.log: list[dict] = []

    def repository(self, name: str, owner: str, object_format: str = "sha1") -> Repository:
        """The repository of that name, made empty on first use."""
        key = f"{owner}/{name}"
        if key not in self._repositories:
            self._repositories[key] = Repository(self._root / owner / f"{name}.git", owner, name, object_format)
        return self._repositories[key]

    def repositories(self) -> list[Repository]:
        return list(self._repositories.values())

    def stop(self) -> None:
        for repository in self.repositories():
            repository.release()

    def respond(self, request: Request) -> Response:
        response, fault = self._answer(request)
        self.log.append(
            {
                "time": time.time(),
                "client": request.client,
                "host": request.host,
                "method": request.method,
                "path": request.target,
                "status": response.status,
                "authorized": "Authorization" in request.headers,
                "user_agent": request.headers.get("User-Agent", ""),
                "fault": fault.kind if fault else None,
            }
        )
        return response

    def _answer(self, request: Request) -> tuple[Response, Fault | None]:
        owner, _, rest = request.path.strip("/").partition("/")
        name, _, service = rest.partition("/")
        repository = self._repositories.get(f"{owner}/{name.removesuffix('.git')}")
        if repository is None:
            # github.com does not tell a stranger whether a repository exists.
            hidden = request.host == "github.com" and "Authorization" not in request.headers
            return (_unauthorized() if hidden else Response(404, b"Repository not found.\n")), None
        if repository.private and not self._opens(_password(request), repository):
            return _unauthorized(), None
        fault = repository.next_fault(service)
        if instead := repository.instead(fault, f"/{service}" + _query(request)):
            return instead, fault
        if service.startswith("info/lfs/"):
            return _lfs(repository, service, request), fault
        return _backend(self._root, repository, service, request, fault), fault

    def _opens(self, password: str, repository: Repository) -> bool:
        return password != "" and (password == repository.token or self._apps.opens(password, repository))


def _lfs(repository: Repository, service: str, request: Request) -> Response:
    """Git LFS's batch API, and the files themselves, which need what the answer says and no login."""
    base = f"https://{request.host}/{repository.owner}/{repository.name}.git/info/lfs/objects"
    if service == "info/lfs/objects/batch" and request.method == "POST":
        objects = []
        for asked in json.loads(request.body)["objects"]:
            if asked["oid"] in repository.large:
                action = {"href": f"{base}/{asked['oid']}", "header": {"X-Lab-Ticket": "let me in"}}
                objects.append(asked | {"actions": {"download": action}})
            else:
                objects.append(asked | {"error": {"code": 404, "message": "Object does not exist"}})
        answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
        return Response(200, answer, {"Content-Type": "application/vnd.git-lfs+json"})
    content = repository.large.get(service.rpartition("/")[2])
    if content is None or request.headers.get("X-Lab-Ticket") != "let me in":
        return Response(404, b"{}", {"Content-Type": "application/json"})
    return Response(200, content, {"Content-Type": "application/octet-stream"})


def _backend(root: Path, repository: Repository, service: str, request: Request, fault: Fault | None) -> Response:
    """One CGI call. git wants the body's length only to know where it ends: it is whole here."""
    exec_path = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    variables = environment() | {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.owner}/{repository.name}.git/{service}",
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_ADDR": request.client,
    }
    process = subprocess.Popen(
        [f"{exec_path}/git-http-backend"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables,
    )  # fmt: skip
    process.stdin.write(request.body)
    process.stdin.close()
    headers: dict[str, str] = {}
    while line := process.stdout.readline().decode().strip():
        key, _, value = line.partition(":")
        headers[key] = value.strip()
    status = int(headers.pop("Status", "200").split()[0])
    after = repository.listed if _lists(service, request) else lambda: None
    return Response(status, _stream(process, repository, fault, after), headers)


def _lists(service: str, request: Request) -> bool:
    """Whether the answer is the list of refs, which in version 2 of the protocol is a command of its own."""
    if "version=2" in request.headers.get("Git-Protocol", ""):
        return b"command=ls-refs" in request.body
    return service == "info/refs"


def _stream(
    process: subprocess.Popen, repository: Repository, fault: Fault | None, after: Callable[[], None]
) -> Iterator[bytes]:
    try:
        yield from repository.cut(fault, iter(lambda: process.stdout.read1(CHUNK), b""))
        after()  # before the client sees that this was all
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _password(request: Request) -> str:
    """Of the user x-access-token; empty for anybody else."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        return ""
    return password if (scheme, user) == ("Basic", "x-access-token") else ""


def _unauthorized() -> Response:
    return Response(401, b"Authentication required.\n", {"WWW-Authenticate": 'Basic realm="GitHub"'})


def _query(request: Request) -> str:
    query = urlsplit(request.target).query
    return f"?{query}" if query else ""
