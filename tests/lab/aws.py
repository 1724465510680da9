"""AWS for one world: ministack with signatures and IAM enforced, the calls that set the stage, and faults on demand."""

import base64
import json
import re
import secrets
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlencode

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningKeys

from . import autoscaling
from .clock import Clock
from .deadline import wait_for
from .faults import STALL_LIMIT
from .http_server import Request, Response
from .imds import Credentials
from .namespace import Namespace

ACCOUNT = "123456789012"
PORT = 4566
GLOBAL = {"iam": "us-east-1"}  # services without a region, and the region they are signed for
QUERY = {"autoscaling", "cloudformation", "elasticloadbalancing", "s3"}  # services that answer with XML
TARGETS = {"ssm": "AmazonSSM", "logs": "Logs_20140328"}  # the API's name in X-Amz-Target, where it is not the service's
AMZ_DATE = "%Y%m%dT%H%M%SZ"
SIGNATURE_LIFE = timedelta(minutes=5)  # before and after, by AWS's clock
THROTTLED = ("ThrottlingException", "Rate exceeded")


class AwsError(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


@dataclass
class _Fault:
    status: int
    code: str
    message: str
    times: int | None


class Aws:
    def __init__(self, namespace: Namespace, directory: Path, region: str, clock: Clock) -> None:
        self._namespace, self._directory, self.region = namespace, directory, region
        self._clock = clock
        self._faults: dict[str, _Fault] = {}
        self._lock = threading.Lock()
        self._ready = False
        self._hangs: dict[str, tuple[str, ...]] = {}
        self._released = threading.Event()
        # Who answers what signature and IAM allow, for services of which the emulator has no states.
        self.behind: dict[str, Callable[[Request], Response]] = {}
        self.root = Credentials("root", "AKIA" + _random_id(), secrets.token_hex(20), "", "")
        self._principals = {self.root.access_key: "root"}
        self.log: list[dict] = []

    def start(self, spawn: Callable[..., subprocess.Popen]) -> None:
        self._directory.mkdir(parents=True)
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._directory),
            "TMPDIR": str(self._directory),
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(PORT),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.root.access_key,
            "AWS_SECRET_ACCESS_KEY": self.root.secret_key,
            "DOCKER_HOST": f"unix://{self._directory}/no-docker.sock",
            "LOG_LEVEL": "WARNING",
        }
        self._process = spawn(
            [sys.executable, "-c", _MINISTACK], environment=environment, log=self._directory / "ministack.log"
        )

    def _connect(self) -> HTTPConnection:
        """It takes most of a second to start; the first test that needs it waits."""
        if not self._ready:
            self._wait_until_ready()
        connection = HTTPConnection("127.0.0.1", PORT)
        connection.sock = self._namespace.connect("127.0.0.1", PORT, 60)
        return connection

    def _wait_until_ready(self) -> None:
        def up() -> bool:
            if self._process.poll() is not None:
                raise RuntimeError(f"ministack ended with {self._process.returncode}:\n{self._tail()}")
            try:
                self._namespace.connect("127.0.0.1", PORT, 1).close()
                return True
            except OSError:
                return False

        wait_for("ministack to listen", up, 60, every=0.02, evidence=self._tail)
        self._ready = True

    # The stage: roles and secrets

    def role(self, name: str, statements: list[dict], duration: int = 3600) -> Credentials:
        """A role with this policy, and session credentials for it as the instance profile would give them."""
        trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = {"Version": "2012-10-17", "Statement": [trust]}
        self.query("iam", "CreateRole", RoleName=name, AssumeRolePolicyDocument=json.dumps(document))
        self.allow(name, statements)
        return self.assume(name, duration)

    def allow(self, role: str, statements: list[dict]) -> None:
        """Replace what the role may do; no statements: nothing."""
        if not statements:
            statements = [{"Effect": "Deny", "Action": "*", "Resource": "*"}]  # a policy may not be empty
        document = {"Version": "2012-10-17", "Statement": statements}
        self.query(
            "iam", "PutRolePolicy", RoleName=role, PolicyName="instance", PolicyDocument=json.dumps(document)
        )

    def assume(self, role: str, duration: int = 3600) -> Credentials:
        answer = self.query(
            "sts",
            "AssumeRole",
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
            RoleSessionName="instance",
            DurationSeconds=str(duration),
        )
        keys = Credentials(
            role,
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer["SessionToken"],
            answer["Expiration"],
        )
        self._principals[keys.access_key] = role
        return keys

    def secret(self, name: str, text: str | bytes, region: str | None = None) -> str:
        """Create the secret, or give it a new value; its ARN. The value goes nowhere but to the emulator."""
        value = {"SecretBinary": _base64(text)} if isinstance(text, bytes) else {"SecretString": text}
        try:
            return self.json("secretsmanager", "CreateSecret", {"Name": name, **value}, region=region)["ARN"]
        except AwsError as error:
            if error.code != "ResourceExistsException":
                raise
            answer = self.json("secretsmanager", "PutSecretValue", {"SecretId": name, **value}, region=region)
            return answer["ARN"]

    def parameter(self, name: str, value: str, kind: str = "SecureString") -> None:
        """Create the parameter of Parameter Store, or give it a new value."""
        self.json("ssm", "PutParameter", {"Name": name, "Value": value, "Type": kind, "Overwrite": True})

    def log_group(self, name: str) -> None:
        """Create the log group, if it is absent."""
        try:
            self.json("logs", "CreateLogGroup", {"logGroupName": name})
        except AwsError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise

    def logged(self, group: str) -> dict[str, list[str]]:
        """The lines of each stream of the log group."""
        streams = self.json("logs", "DescribeLogStreams", {"logGroupName": group})["logStreams"]
        named = [{"logGroupName": group, "logStreamName": stream["logStreamName"]} for stream in streams]
        events = [self.json("logs", "GetLogEvents", one | {"startFromHead": True})["events"] for one in named]
        return {one["logStreamName"]: [event["message"] for event in of] for one, of in zip(named, events, strict=True)}

    # S3

    def bucket(self, name: str, region: str | None = None) -> None:
        """Create the bucket, if it is absent."""
        try:
            self.s3("PUT", name, region=region)
        except AwsError as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    def put_object(self, bucket: str, key: str, text: str) -> None:
        self.s3("PUT", bucket, key, text)

    def object(self, bucket: str, key: str) -> str | None:
        """The object's text, or None."""
        try:
            return self.s3("GET", bucket, key)
        except AwsError as error:
            if error.status == 404:
                return None
            raise

    def objects(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys that begin so."""
        answer = self.s3("GET", bucket, query=urlencode({"list-type": "2", "prefix": prefix}))
        elements = ElementTree.fromstring(answer).iter()
        return [element.text or "" for element in elements if element.tag.rpartition("}")[2] == "Key"]

    def delete_object(self, bucket: str, key: str) -> None:
        self.s3("DELETE", bucket, key)

    def s3(
        self, method: str, bucket: str, key: str = "", text: str | bytes = "", query: str = "", region: str | None = None
    ) -> str:
        return self.s3_bytes(method, bucket, key, text, query, region).decode()

    def s3_bytes(
        self, method: str, bucket: str, key: str = "", text: str | bytes = "", query: str = "", region: str | None = None
    ) -> bytes:
        region = region or self.region
        host, target = f"s3.{region}.amazonaws.com", f"/{bucket}/{key}" + (f"?{query}" if query else "")
        place = f"<LocationConstraint>{region}</LocationConstraint>"
        body = (text if isinstance(text, bytes) else text.encode()) if key else b""
        if method == "PUT" and not key and region != "us-east-1":
            body = f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>".encode()
        request = AWSRequest(method, f"https://{host}{target}", headers={"Host": host}, data=body)
        S3SigV4Auth(SigningKeys(self.root.access_key, self.root.secret_key), "s3", region).add_auth(request)
        connection = self._connect()
        try:
            connection.request(method, target, body, dict(request.headers.items()))
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise AwsError(answer.status, _error_code(Response(answer.status, said, dict(answer.getheaders()))) or "?")
        return said

    def delete_secret(self, name: str) -> None:
        self.json("secretsmanager", "DeleteSecret", {"SecretId": name, "ForceDeleteWithoutRecovery": True})

    # Faults

    def throttle(self, service: str, times: int | None = None) -> None:
        self.fail(service, 400, *THROTTLED, times=times)

    def fail(
        self,
        service: str,
        status: int = 500,
        code: str = "InternalServiceError",
        message: str = "lab fault",
        times: int | None = None,
    ) -> None:
        """Answer for the service, named as its host is ("secretsmanager"), that often or until healed."""
        self._faults[service] = _Fault(status, code, message, times)

    def hang(self, service: str, *actions: str) -> None:
        """Answer none of these actions of the service (none named: any), until healed."""
        self._released.clear()
        self._hangs[service] = actions

    def heal(self) -> None:
        self._faults.clear()
        self._hangs.clear()
        self._released.set()

    # What the instance calls, through the front

    def respond(self, request: Request) -> Response:
        service = "s3" if _bucket(request.host) else request.host.split(".")[0]
        entry = {
            "time": time.time(),
            "client": request.client,
            "service": service,
            "host": request.host,
            **_called(request),
            "principal": self._principal(request),
            "user_agent": request.headers.get("User-Agent", ""),
        }
        if service in self._hangs and entry["action"] in (self._hangs[service] or [entry["action"]]):
            self._released.wait(STALL_LIMIT)
        if fault := self._next_fault(service) or self._too_far_off(request):
            response = _faulty(service, fault)
        else:
            response = self._proxy(request)
            # The emulator has no groups of its own: it may say that there is none, after it has allowed the call.
            # Or that it does not know the action.
            known = response.status == 200 or _error_code(response) in ("ValidationError", "InvalidAction", "TargetGroupNotFound")
            if known and service in self.behind:
                response = self.behind[service](request)
        self.log.append({**entry, "status": response.status, "error": _error_code(response)})
        return response

    def _proxy(self, request: Request) -> Response:
        """Unchanged, the Host header too: the signature covers it."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        connection = self._connect()
        try:
            connection.request(request.method, request.target, request.body, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            return Response(answer.status, answer.read(), kept)
        finally:
            connection.close()

    def _next_fault(self, service: str) -> _Fault | None:
        with self._lock:
            fault = self._faults.get(service)
            if fault is None or fault.times == 0:
                return None
            if fault.times is not None:
                fault.times -= 1
            return fault

    def _too_far_off(self, request: Request) -> _Fault | None:
        """A signature of another time, in AWS's words."""
        try:
            signed = datetime.strptime(request.headers.get("X-Amz-Date", ""), AMZ_DATE).replace(tzinfo=UTC)
        except ValueError:
            return None  # the emulator has its own words for that
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        if abs(signed - now) <= SIGNATURE_LIFE:
            return None
        said, ended, sign = ("now earlier", "expired", "-") if signed < now else ("still later", "not yet current", "+")
        bound = now - SIGNATURE_LIFE if signed < now else now + SIGNATURE_LIFE
        message = (
            f"Signature {ended}: {signed:{AMZ_DATE}} is {said} than {bound:{AMZ_DATE}} ({now:{AMZ_DATE}} {sign} 5 min.)"
        )
        return _Fault(400, "InvalidSignatureException", message, None)

    def _principal(self, request: Request) -> str | None:
        found = re.search(r"Credential=([^/,\s]+)/", request.headers.get("Authorization", ""))
        return self._principals.get(found[1], "unknown") if found else None

    # Signed calls

    def json(
        self,
        service: str,
        action: str,
        parameters: dict,
        keys: Credentials | None = None,
        sign: bool = True,
        region: str | None = None,
    ) -> dict:
        target = f"{TARGETS.get(service, service)}.{action}"
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        return json.loads(self._call(service, json.dumps(parameters).encode(), headers, keys, sign, region))

    def query(self, service: str, action: str, keys: Credentials | None = None, **parameters: str) -> dict[str, str]:
        """The answer's elements by name, flattened: enough for the few calls here."""
        body = urlencode({"Action": action, "Version": _VERSIONS[service], **parameters}).encode()
        text = self._call(service, body, {"Content-Type": "application/x-www-form-urlencoded"}, keys)
        elements = ElementTree.fromstring(text).iter()
        return {element.tag.rpartition("}")[2]: element.text or "" for element in elements}

    def _call(
        self,
        service: str,
        body: bytes,
        headers: dict[str, str],
        keys: Credentials | None,
        sign: bool = True,
        region: str | None = None,
    ) -> bytes:
        keys = keys or self.root
        region = GLOBAL.get(service, region or self.region)
        host = f"{service}.amazonaws.com" if service in GLOBAL else f"{service}.{region}.amazonaws.com"
        request = AWSRequest("POST", f"https://{host}/", headers={"Host": host, **headers}, data=body)
        if sign:
            SigV4Auth(
                SigningKeys(keys.access_key, keys.secret_key, keys.token or None), service, region
            ).add_auth(request)
        connection = self._connect()
        try:
            connection.request("POST", "/", body, dict(request.headers.items()))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise AwsError(
                answer.status, _error_code(Response(answer.status, text, dict(answer.getheaders()))) or "?"
            )
        return text

    def _tail(self) -> str:
        log = self._directory / "ministack.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""


# It goes by this host's clock, which is the machine's; the time of a signature is judged here, by the world's.
_MINISTACK = """
from ministack.core import sigv4
sigv4.request_time_failure = lambda *_, **__: None
from ministack.app import main
main()
"""
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15", "autoscaling": "2011-01-01"}


def _faulty(service: str, fault: _Fault) -> Response:
    if service in QUERY:
        return autoscaling.error(fault.status, fault.code, fault.message)
    body = json.dumps({"__type": fault.code, "message": fault.message}).encode()
    headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": fault.code}
    return Response(fault.status, body, headers)


def _bucket(host: str) -> str | None:
    """The bucket that a host is, as in BUCKET.s3.REGION.amazonaws.com."""
    bucket, _, rest = host.partition(".")
    return bucket if rest.startswith("s3.") else None


def _called(request: Request) -> dict[str, str | None]:
    """The action, the secret's id and the parameter's name or path, and nothing else of the body. Of S3, the method and the key."""
    if _bucket(request.host):
        key, _, query = request.target.lstrip("/").partition("?")
        key = key or parse_qs(query).get("prefix", [""])[0]
        return {"action": "LIST" if query else request.method, "secret": None, "parameter": None, "key": key}
    if target := request.headers.get("X-Amz-Target"):
        try:
            asked = json.loads(request.body)
            secret, parameter = asked.get("SecretId"), asked.get("Name") or asked.get("Path")
        except (ValueError, AttributeError):
            secret = parameter = None
        return {"action": target.rpartition(".")[2], "secret": secret, "parameter": parameter}
    form = parse_qs(request.body.decode(errors="replace"))
    return {"action": form.get("Action", [None])[0], "secret": None, "parameter": None}


def _error_code(response: Response) -> str | None:
    if response.status < 400:
        return None
    text = response.body.decode(errors="replace")
    try:
        return str(json.loads(text).get("__type", "")).rpartition("#")[2] or None
    except (ValueError, AttributeError):
        found = re.search(r"<Code>([^<]+)</Code>", text)
        return found[1] if found else None


def _random_id() -> str:
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
