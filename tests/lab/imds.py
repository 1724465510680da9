"""The instance metadata service, version 2 only, as an instance sees it at 169.254.169.254."""

import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from . import namespace
from .clock import Clock
from .http_server import HttpServer, Request, Response

Tree = dict[str, "Tree | str | Callable[[], Response]"]


@dataclass
class Instance:
    """Who the instance is. A launch makes a new one; everything may be changed while the machine runs."""

    region: str
    account: str
    id: str = field(default_factory=lambda: f"i-0{secrets.token_hex(8)}")
    address: str = "172.31.5.10"
    mac: str = "02:1a:b0:00:00:10"
    type: str = "t3.small"
    ami: str = "ami-0b00ta9e27000001b"
    user_data: bytes | None = None
    spot: dict[str, str] | None = None  # spot/instance-action; None is 404, as long as nothing is announced
    rebalance: str | None = None  # the time of events/recommendations/rebalance; None is 404
    lifecycle_state: str | None = None  # autoscaling/target-lifecycle-state; None is 404, as outside a group

    @property
    def hostname(self) -> str:
        return f"ip-{self.address.replace('.', '-')}.{self.region}.compute.internal"


@dataclass
class Credentials:
    role: str
    access_key: str
    secret_key: str
    token: str
    expiration: str


@dataclass
class _Token:
    expires: float
    uses_left: int | None


class Imds:
    """Knobs: `tags`, `tags_on`, `tags_after`, `role_after`, `token_uses`, `expire_tokens`, `delay`, `fail`, `refuse`. All act
    at once; `token_uses` for the tokens given from then on."""

    def __init__(self, ns: namespace.Namespace, instance: Instance, clock: Clock) -> None:
        self.instance = instance
        self.tags: dict[str, str] = {}
        self.tags_on = True
        self.credentials: Callable[[], Credentials] | None = None
        self.delay = 0.0
        self.log: list[dict] = []
        self._tags_at = self._role_at = 0.0
        self._role_misses = 0
        self._failures = (0, 503)
        self.token_uses: int | None = None  # after so many requests a token has expired, whatever was promised
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()
        self._server = HttpServer(ns, namespace.IMDS, 80, self._respond, clock=clock)
        self._reopen: threading.Timer | None = None

    # Faults

    def tags_after(self, seconds: float) -> None:
        """Tags are absent until then, as those that an Auto Scaling group propagates can be."""
        self._tags_at = time.monotonic() + seconds

    def role_after(self, seconds: float = 0, requests: int = 0) -> None:
        """No role is there yet: 404 for that long, and for that many requests."""
        self._role_at, self._role_misses = time.monotonic() + seconds, requests

    def fail(self, times: int, status: int = 503) -> None:
        self._failures = (times, status)

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections, for that long or until `start`."""
        self._server.stop()
        if seconds is not None:
            self._reopen = threading.Timer(seconds, self._server.start)
            self._reopen.daemon = True
            self._reopen.start()

    def expire_tokens(self) -> None:
        self._tokens.clear()

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        if self._reopen:
            self._reopen.cancel()
        self._server.stop()

    # Answers

    def _respond(self, request: Request) -> Response:
        if self.delay:
            time.sleep(self.delay)
        response = self._answer(request)
        response.headers.setdefault("Content-Type", "text/plain")
        self.log.append(
            {
                "time": time.time(),
                "client": request.client,
                "method": request.method,
                "path": request.target,
                "status": response.status,
                "user_agent": request.headers.get("User-Agent", ""),
            }
        )
        return response

    def _answer(self, request: Request) -> Response:
        with self._lock:
            times, status = self._failures
            if times > 0:
                self._failures = (times - 1, status)
                return Response(status, b"lab fault\n")
        if request.path == "/latest/api/token":
            return self._token(request)
        if request.method not in ("GET", "HEAD"):
            return Response(405)
        if not self._authorized(request):
            return Response(401, b"401 - Unauthorized")
        return self._find(request)

    def _token(self, request: Request) -> Response:
        if request.method != "PUT":
            return Response(405)
        if "X-Forwarded-For" in request.headers:
            return Response(403, b"403 - Forbidden")
        ttl = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not ttl.isdecimal() or not 1 <= int(ttl) <= 21600:
            return Response(400, b"400 - Bad Request")
        token = secrets.token_urlsafe(40) + "=="
        self._tokens[token] = _Token(time.monotonic() + int(ttl), self.token_uses)
        return Response(200, token.encode(), {"X-aws-ec2-metadata-token-ttl-seconds": ttl})

    def _authorized(self, request: Request) -> bool:
        token = self._tokens.get(request.headers.get("X-aws-ec2-metadata-token", ""))
        if token is None or time.monotonic() >= token.expires or token.uses_left == 0:
            return False
        if token.uses_left is not None:
            token.uses_left -= 1
        return True

    def _find(self, request: Request) -> Response:
        version, *rest = [unquote(part) for part in request.path.strip("/").split("/")]
        if version == "":
            return Response(200, b"latest\n")
        if version != "latest" and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", version):
            return _not_found()
        node: Tree | str | Callable[[], Response] | None = self._tree()
        if rest[:3] == ["meta-data", "iam", "security-credentials"]:
            self._miss_role()
        for name in rest:
            node = node.get(name) if isinstance(node, dict) else None
            if node is None:
                return _not_found()
        if callable(node):
            return node()
        if isinstance(node, dict):
            names = (name + "/" if isinstance(below, dict) else name for name, below in node.items())
            return Response(200, "\n".join(names).encode())
        return Response(200, node.encode())

    def _tree(self) -> Tree:
        it = self.instance
        data: Tree = {
            "ami-id": it.ami,
            "ami-launch-index": "0",
            "hostname": it.hostname,
            "iam": {},
            "instance-action": "none",
            "instance-id": it.id,
            "instance-life-cycle": "on-demand",
            "instance-type": it.type,
            "local-hostname": it.hostname,
            "local-ipv4": it.address,
            "mac": it.mac,
            "network": {"interfaces": {"macs": {it.mac: self._interface()}}},
            "placement": {"availability-zone": f"{it.region}a", "region": it.region},
            "profile": "default-hvm",
            "reservation-id": "r-0b00ta9e270000001",
            "security-groups": "default",
            "services": {"domain": "amazonaws.com", "partition": "aws"},
        }
        if self.credentials and self._role_is_there():
            data["iam"] = {"info": self._iam_info, "security-credentials": self._role()}
        else:
            del data["iam"]
        if it.lifecycle_state is not None:
            data["autoscaling"] = {"target-lifecycle-state": it.lifecycle_state}
        if it.spot is not None:
            data["spot"] = {"instance-action": json.dumps(it.spot)}
        if it.rebalance is not None:
            data["events"] = {"recommendations": {"rebalance": json.dumps({"noticeTime": it.rebalance})}}
        # Off and "no tags" look the same to an instance: 404.
        if self.tags_on and self.tags and time.monotonic() >= self._tags_at:
            data["tags"] = {"instance": dict(self.tags)}
        tree: Tree = {"meta-data": data, "dynamic": {"instance-identity": {"document": self._document()}}}
        if it.user_data is not None:
            tree["user-data"] = lambda: Response(200, it.user_data, {"Content-Type": "application/octet-stream"})
        return tree

    def _interface(self) -> Tree:
        it = self.instance
        return {
            "device-number": "0",
            "local-hostname": it.hostname,
            "local-ipv4s": it.address,
            "mac": it.mac,
            "subnet-ipv4-cidr-block": f"172.31.0.0/{namespace.PREFIX}",
            "vpc-ipv4-cidr-block": "172.31.0.0/16",
        }

    def _role_is_there(self) -> bool:
        return time.monotonic() >= self._role_at and self._role_misses <= 0

    def _miss_role(self) -> None:
        with self._lock:
            self._role_misses = max(0, self._role_misses - 1)

    def _role(self) -> Tree:
        role = self.credentials().role
        return {role: self._security_credentials}

    def _security_credentials(self) -> Response:
        keys = self.credentials()
        return _json(
            {
                "Code": "Success",
                "LastUpdated": _now(),
                "Type": "AWS-HMAC",
                "AccessKeyId": keys.access_key,
                "SecretAccessKey": keys.secret_key,
                "Token": keys.token,
                "Expiration": keys.expiration,
            }
        )

    def _iam_info(self) -> Response:
        role = self.credentials().role
        arn = f"arn:aws:iam::{self.instance.account}:instance-profile/{role}"
        return _json(
            {
                "Code": "Success",
                "LastUpdated": _now(),
                "InstanceProfileArn": arn,
                "InstanceProfileId": "AIPAB00TAGENT00000001",
            }
        )

    def _document(self) -> str:
        it = self.instance
        return json.dumps(
            {
                "accountId": it.account,
                "architecture": "x86_64",
                "availabilityZone": f"{it.region}a",
                "imageId": it.ami,
                "instanceId": it.id,
                "instanceType": it.type,
                "privateIp": it.address,
                "region": it.region,
                "version": "2017-09-30",
            },
            indent=2,
        )


def _not_found() -> Response:
    return Response(404, b"404 - Not Found")


def _json(value: dict) -> Response:
    return Response(200, json.dumps(value, indent=2).encode())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
