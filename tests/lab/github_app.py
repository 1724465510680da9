"""GitHub Apps: an app signs a token with its private key and is given another that opens its repositories for an hour.

As at api.github.com, and below /api/v3 at the lab's own git host."""

import base64
import json
import re
import secrets
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .clock import Clock
from .faults import Fault, Faulty
from .git_repository import Repository
from .http_server import Request, Response

LONGEST = 600  # seconds from now to the end of an app's own token
DOCUMENTATION = "https://docs.github.com/rest"


@dataclass
class App:
    """`private_key` is PKCS#1 PEM, as GitHub hands it out. `permissions` is what its installation was granted."""

    id: int
    client_id: str
    installation: int
    private_key: str
    repositories: set[str]
    permissions: dict[str, str] = field(default_factory=lambda: {"contents": "read", "metadata": "read"})


@dataclass
class _Token:
    repositories: set[str]
    expires: float


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


class GithubApps(Faulty):
    """Knobs: those of Faulty; `lifetime` of the tokens that are given from now on, `expire_tokens`. Its clock is the world's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._apps: list[App] = []
        self._tokens: dict[str, _Token] = {}
        self.lifetime = 3600.0
        self.log: list[dict] = []

    def app(self, repositories: set[str]) -> App:
        made = App(
            id=1_000_000 + secrets.randbelow(1_000_000),
            client_id="Iv23li" + secrets.token_hex(7),
            installation=50_000_000 + secrets.randbelow(10_000_000),
            private_key=_openssl("genrsa", "-traditional", "2048").decode(),
            repositories=repositories,
        )
        self._apps.append(made)
        return made

    def expire_tokens(self) -> None:
        self._tokens.clear()

    def opens(self, token: str, repository: Repository) -> bool:
        found = self._tokens.get(token)
        return found is not None and time.time() < found.expires and repository.name in found.repositories

    def stop(self) -> None:
        self.release()

    def respond(self, request: Request) -> Response:
        fault = self.next_fault(request.path)
        entry = {
            "time": time.time(), "client": request.client, "host": request.host, "method": request.method,
            "path": request.target, "fault": fault.kind if fault else None, "asked": None, "error": None,
            "user_agent": request.headers.get("User-Agent", ""),
        }  # fmt: skip
        try:
            response = self.instead(fault) or self.spoil(fault, self._answer(request, entry))
        except Refused as refused:
            entry["error"] = refused.message
            response = _json(refused.status, {"message": refused.message, "documentation_url": DOCUMENTATION,
                                              "status": str(refused.status)})  # fmt: skip
        self.log.append({**entry, "status": response.status})
        return response

    def instead(self, fault: Fault | None, rest: str = "") -> Response | None:
        if fault and fault.kind == "status":
            raise Refused(fault.status, "lab fault")
        return super().instead(fault, rest)

    def _answer(self, request: Request, entry: dict) -> Response:
        if not request.headers.get("User-Agent"):
            raise Refused(403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header")
        found = re.fullmatch(r"(/api/v3)?/app/installations/(\d+)/access_tokens", request.path)
        if not found or request.method != "POST" or (found[1] is None) != (request.host == "api.github.com"):
            raise Refused(404, "Not Found")
        app = self._authenticate(request.headers.get("Authorization", ""))
        if app.installation != int(found[2]):
            raise Refused(404, "Not Found")
        try:
            entry["asked"] = asked = json.loads(request.body or b"{}")
            repositories, permissions = asked.get("repositories"), asked.get("permissions")
        except (ValueError, AttributeError):
            raise Refused(400, "Problems parsing JSON") from None
        return self._give(app, repositories, permissions)

    def _authenticate(self, authorization: str) -> App:
        undecodable = Refused(401, "A JSON web token could not be decoded")
        scheme, _, token = authorization.partition(" ")
        try:
            signed, _, signature = token.rpartition(".")
            header, claims = (json.loads(_unpad(part)) for part in signed.split("."))
            signature = _unpad(signature)
        except ValueError:
            raise undecodable from None
        app = next((each for each in self._apps if str(claims.get("iss")) in (str(each.id), each.client_id)), None)
        if scheme.lower() != "bearer" or header.get("alg") != "RS256" or app is None:
            raise undecodable
        if not _verify(app.private_key, signed.encode(), signature):
            raise undecodable
        self._check_times(claims)
        return app

    def _check_times(self, claims: dict) -> None:
        now, issued, expires = self._clock.time(), claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or issued > now:
            raise Refused(401, "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
        if not isinstance(expires, int) or expires <= now:
            raise Refused(401, "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the"
                               " assertion expires")  # fmt: skip
        if expires > now + LONGEST:
            raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")

    def _give(self, app: App, repositories: list[str] | None, permissions: dict[str, str] | None) -> Response:
        if repositories is not None and not set(repositories) <= app.repositories:
            raise Refused(422, "There is at least one repository that does not exist or is not accessible to the parent"
                               " installation.")  # fmt: skip
        if permissions is not None and not permissions.items() <= app.permissions.items():
            raise Refused(422, "The permissions requested are not granted to this installation.")
        given = _Token(set(app.repositories if repositories is None else repositories), time.time() + self.lifetime)
        token = f"ghs_{app.id}_" + ".".join(secrets.token_urlsafe(size) for size in (27, 91, 256))
        self._tokens[token] = given
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock.time() + self.lifetime))
        answer = {
            "token": token, "expires_at": expires, "permissions": permissions or app.permissions,
            "repository_selection": "selected",
        }  # fmt: skip
        if repositories is not None:
            answer["repositories"] = [{"name": name, "private": True} for name in sorted(repositories)]
        return _json(201, answer)


def _verify(private_key: str, signed: bytes, signature: bytes) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        key, at = Path(directory) / "key", Path(directory) / "signature"
        key.write_text(private_key)
        at.write_bytes(signature)
        try:
            _openssl("dgst", "-sha256", "-prverify", str(key), "-signature", str(at), stdin=signed)
        except subprocess.CalledProcessError:
            return False
    return True


def _openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True, timeout=60).stdout


def _unpad(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _json(status: int, value: dict) -> Response:
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8"})
