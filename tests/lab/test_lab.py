"""The lab is what it says: each promise that a boot test leans on, kept and refused."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import lab
from lab import authority, cleanup, paths
from lab.aws import AwsError
from lab.deadline import wait_for
from lab.imds import Credentials
from lab.machine import HttpAnswer
from lab.namespace import GATEWAY, call_in
from lab.world import may

pytestmark = pytest.mark.variants

pytest_plugins = ["lab.fixtures"]

TAGS = {"bootagent:service": "auth-service", "bootagent:environment": "test"}
CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_TIME = 12, 16, 17, 25
OWN = "service_env_auth-service_test"


# IMDS, asked from the host's side of the namespace


def imds(world: lab.World, method: str, path: str, **headers: str) -> tuple[int, str]:
    def ask() -> tuple[int, str]:
        connection = http.client.HTTPConnection("169.254.169.254", 80, timeout=5)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    return call_in(world.namespace.path, ask)


def token(world: lab.World) -> dict[str, str]:
    status, text = imds(world, "PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds="60")
    assert status == 200
    return {"X_aws_ec2_metadata_token": text}


def tag(world: lab.World, key: str = "") -> tuple[int, str]:
    return imds(world, "GET", f"/latest/meta-data/tags/instance{key and '/' + key}", **token(world))


def test_imds_wants_a_token(world):
    assert imds(world, "GET", "/latest/meta-data/instance-id")[0] == 401
    assert imds(world, "GET", "/latest/meta-data/instance-id", User_Agent="Cloud-Init/22.4")[0] == 401
    assert imds(world, "GET", "/latest/meta-data/instance-id", X_aws_ec2_metadata_token="stale")[0] == 401
    keys = token(world)
    assert imds(world, "GET", "/latest/meta-data/instance-id", **keys) == (200, world.instance.id)
    world.imds.expire_tokens()
    assert imds(world, "GET", "/latest/meta-data/instance-id", **keys)[0] == 401
    assert [entry["status"] for entry in world.imds.log] == [401, 401, 401, 200, 200, 401]


def test_a_token_can_expire_after_so_many_requests(world):
    world.imds.token_uses = 2
    keys = token(world)
    asked = [imds(world, "GET", "/latest/meta-data/instance-id", **keys)[0] for _ in range(4)]
    assert asked == [200, 200, 401, 401]
    world.imds.token_uses = None
    assert imds(world, "GET", "/latest/meta-data/instance-id", **token(world))[0] == 200


@pytest.mark.parametrize("ttl", ["", "0", "21601", "soon"])
def test_imds_refuses_a_bad_lifetime(world, ttl):
    assert imds(world, "PUT", "/latest/api/token", X_aws_ec2_metadata_token_ttl_seconds=ttl)[0] == 400


def test_imds_refuses_a_forwarded_token_request(world):
    headers = {"X_aws_ec2_metadata_token_ttl_seconds": "60", "X_Forwarded_For": "10.0.0.1"}
    assert imds(world, "PUT", "/latest/api/token", **headers)[0] == 403


def test_tags_change_live_and_can_be_absent_or_off(world):
    assert tag(world)[0] == 404
    world.tags = dict(TAGS)
    assert tag(world) == (200, "bootagent:service\nbootagent:environment")
    assert tag(world, "bootagent:service") == (200, "auth-service")
    assert tag(world, "bootagent:ref")[0] == 404
    world.tags["bootagent:service"] = "$(touch /x)/../ü"
    assert tag(world, "bootagent:service") == (200, "$(touch /x)/../ü")
    world.imds.tags_on = False
    assert tag(world, "bootagent:service")[0] == tag(world)[0] == 404
    world.imds.tags_on = True
    world.imds.tags_after(3600)
    assert tag(world)[0] == 404


def test_the_role_appears_when_it_is_due(world):
    path = "/latest/meta-data/iam/security-credentials/"
    assert imds(world, "GET", path, **token(world))[0] == 404
    made = world.role([])
    world.imds.role_after(requests=2)
    assert [imds(world, "GET", path, **token(world))[0] for _ in range(3)] == [404, 404, 200]
    served = json.loads(imds(world, "GET", f"{path}instance", **token(world))[1])
    assert (served["AccessKeyId"], served["Token"]) == (made.access_key, made.token)
    assert imds(world, "GET", f"{path}another", **token(world))[0] == 404
    assert made.secret_key not in json.dumps(world.imds.log)


def test_imds_faults(world):
    world.imds.fail(times=2)
    assert [imds(world, "GET", "/latest/meta-data/")[0] for _ in range(3)] == [503, 503, 401]
    world.imds.refuse()
    with pytest.raises(ConnectionRefusedError):
        imds(world, "GET", "/latest/meta-data/")
    world.imds.start()
    assert imds(world, "GET", "/latest/meta-data/")[0] == 401


# Machines


def test_user_data_runs_through_cloud_init(world):
    world.tags = dict(TAGS)
    script = "#!/bin/sh\necho said by $(id -un)\necho $(hostname) > /var/proof\nexit 7\n"
    machine = world.launch(script, files={"/etc/bootagent/policy.toml": "x", "/opt/t": lab.Executable("#!/bin/sh\n")})
    lines = list(machine.follow_cloud_init())
    assert "said by root" in lines
    done = machine.wait_for_cloud_init()
    assert done.user_data_code == 7 and done.errors
    assert machine.read("/var/proof") == "ip-172-31-5-10\n"
    assert "DataSourceEc2" in done.output, "cloud-init did not read IMDS"
    assert machine.stat("/opt/t").mode == 0o755 and machine.stat("/etc/bootagent/policy.toml").owner == "root"
    agents = {entry["user_agent"] for entry in world.imds.log}
    assert {entry["status"] for entry in world.imds.log} <= {200, 404}, "cloud-init speaks IMDSv2, and so was never refused"
    assert agents and all(agent for agent in agents)


def test_user_data_that_succeeds_and_is_not_repeated(world):
    machine = world.launch("#!/bin/sh\necho once >> /var/proof\n")
    done = machine.wait_for_cloud_init()
    assert (done.user_data_code, done.errors) == (0, [])
    assert machine.wait_for_boot() == "running"
    machine.reboot()
    assert machine.wait_for_cloud_init().user_data_code is None
    assert machine.read("/var/proof") == "once\n"


def test_a_reboot_keeps_the_disk_and_changes_the_boot(world):
    machine = world.launch()
    machine.check(["sh", "-c", "echo kept > /var/kept; echo gone > /run/gone"])
    before, instance = machine.boot_id(), world.instance.id
    assert before != Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "this is the host's"
    machine.reboot()
    assert machine.boot_id() != before and world.instance.id == instance
    assert machine.read("/var/kept") == "kept\n" and not machine.exists("/run/gone")


def test_root_of_a_machine_can_do_what_its_pid_1_can_and_nothing_to_its_host(world):
    machine = world.launch()

    def capabilities(process: str, of: str) -> int:
        # Asked of the kernel, not tried: were it possible, it would be done.
        return int(re.search(rf"{of}:\t(\w+)", machine.check(["cat", f"/proc/{process}/status"]))[1], 16)

    for kind in ("CapBnd", "CapPrm", "CapEff"):
        first, entered = capabilities("1", kind), capabilities("self", kind)
        assert entered == first and entered & 1 << CAP_NET_ADMIN
        assert not any(entered & 1 << one for one in (CAP_SYS_TIME, CAP_SYS_MODULE, CAP_SYS_RAWIO))


def test_a_killed_machine_can_be_read_and_booted_again(world):
    machine = world.launch()
    machine.check(["sh", "-c", "echo kept > /var/kept"])
    machine.kill()
    assert not machine.running and machine.read("/var/kept") == "kept\n"
    with pytest.raises(RuntimeError, match="not running"):
        machine.run(["true"])
    machine.start()
    assert machine.read("/var/kept") == "kept\n"
    machine.power_off()


def test_an_image_baked_of_a_used_machine_is_a_new_instance(world):
    first = world.launch()
    first.check(["sh", "-c", "echo baked > /var/baked"])
    with pytest.raises(RuntimeError, match="one instance at a time"):
        world.launch()
    first.power_off()
    second = world.launch(disk_of=first)
    assert second.read("/var/baked") == "baked\n"
    assert second.instance.id == world.instance.id != first.instance.id


def test_commands_run_inside_and_end_at_their_deadline(world):
    machine = world.launch()
    result = machine.run(["sh", "-c", "echo out; echo err >&2; cat; exit 5"], stdin="in")
    assert (result.code, result.stdout, result.stderr) == (5, "out\nin", "err\n")
    assert machine.check(["id", "-un"], user="nobody") == "nobody\n"
    assert "LAB_CACHE" not in machine.check(["env"], env={"A": "b"}) and "A=b" in machine.check(["env"], env={"A": "b"})
    with pytest.raises(lab.DeadlineExceeded, match="sleep 987"):
        machine.run(["sh", "-c", "sleep 987"], timeout=1)
    assert "sleep 987" not in machine.check(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"]).replace("tr", "")


def test_what_a_test_can_see_of_a_machine(world):
    machine = world.launch()
    machine.check(["sh", "-c", "mkdir /opt/a; echo x > /opt/a/f; chmod 640 /opt/a/f; ln -s f /opt/a/l"])
    assert machine.stat("/opt/a/f").mode == 0o640 and machine.stat("/opt/a/l").kind == "symbolic link"
    assert machine.readlink("/opt/a/l") == "f" and not machine.exists("/opt/b")
    with pytest.raises(FileNotFoundError):
        machine.read("/opt/b")
    before = machine.snapshot_files("/opt", "/nowhere")
    machine.check(["sh", "-c", "echo y > /opt/a/f"])
    changed = {path for path, entry in machine.snapshot_files("/opt", "/nowhere").items() if before[path] != entry}
    assert changed == {"/opt/a/f"} and before["/opt/a/l"][4] == "f"
    machine.check(["logger", "--journald"], stdin="MESSAGE=hello\nLAB_FIELD=x\n")
    assert [entry["MESSAGE"] for entry in machine.journal(LAB_FIELD="x")] == ["hello"]
    assert machine.journal(LAB_FIELD="y") == []
    assert machine.systemctl_show("dbus.service")["ActiveState"] in ("active", "inactive")
    assert "Debian" in machine.console() or "systemd" in machine.console()


def answers(machine: lab.Machine, url: str) -> HttpAnswer | None:
    try:
        return machine.http(url)
    except OSError:
        return None


def test_http_from_inside_the_machine(world):
    machine = world.launch()
    command = ["systemd-run", "--unit=web", "--working-directory=/etc", "python3", "-m", "http.server", "3000"]
    with pytest.raises(OSError):
        machine.http("http://127.0.0.1:3000/hostname")
    machine.check(command)
    url = "http://127.0.0.1:3000/hostname"
    assert wait_for("the web server", lambda: answers(machine, url), 20).body == "ip-172-31-5-10\n"
    assert machine.http("http://127.0.0.1:3000/nothing").status == 404


def test_a_unit_that_is_denied_imds_cannot_connect(world):
    """A property that is accepted and not enforced would make every test of a sandbox worthless."""
    machine = world.launch()
    connect = "import socket; socket.create_connection(('169.254.169.254', 80), 3)"
    unit = ["systemd-run", "--wait", "--pipe", "--collect", "--quiet"]
    assert machine.run([*unit, "python3", "-c", connect]).code == 0
    denied = machine.run([*unit, "--property=IPAddressDeny=169.254.169.254/32", "python3", "-c", connect])
    assert denied.code != 0 and "TimeoutError" in denied.stderr


def test_sandboxed_units_work(world):
    machine = world.launch()
    properties = ["DynamicUser=yes", "ProtectSystem=strict", "PrivateTmp=yes", "NoNewPrivileges=yes",
                  "SystemCallFilter=@system-service", "LoadCredential=key:/etc/hostname"]  # fmt: skip
    unit = ["systemd-run", "--wait", "--pipe", "--collect", "--quiet", *(f"--property={each}" for each in properties)]
    seen = machine.check([*unit, "sh", "-c", 'id -u; cat "$CREDENTIALS_DIRECTORY/key"; touch /etc/x || echo read-only'])
    uid, key, write = seen.split()
    assert int(uid) >= 61184 and key == "ip-172-31-5-10" and write == "read-only"


def test_node_and_npm_are_there_and_git_is_not(world):
    machine = world.launch()
    assert machine.check(["node", "--version"]).startswith("v22.")
    assert machine.check(["npm", "--version"])
    assert machine.check(["sh", "-c", "/usr/local/lib/nodejs/node-v20.*/bin/node --version"]).startswith("v20.")
    assert machine.run(["sh", "-c", "command -v git || command -v aws"]).code != 0


def test_npm_reaches_the_real_registry(world):
    machine = world.launch()
    machine.check(["npm", "install", "--no-audit", "--no-fund", "--prefix", "/tmp/p", "is-number@7.0.0"], timeout=180)
    assert machine.exists("/tmp/p/node_modules/is-number/index.js")


def test_without_the_internet_nothing_outside_answers():
    with lab.World(internet=False) as world:
        machine = world.launch(role=False)
        result = machine.run(["python3", "-c", "import socket; socket.create_connection(('192.0.2.1', 443), 3)"])
        assert result.code != 0 and "TimeoutError" in result.stderr


# DNS and the front, seen from a machine


def resolve(machine: lab.Machine, name: str) -> str:
    return machine.run(["getent", "ahostsv4", name]).stdout.partition(" ")[0]


def test_dns(world):
    machine = world.launch()
    assert resolve(machine, "secretsmanager.eu-west-1.amazonaws.com") == GATEWAY
    assert resolve(machine, "github.com") == GATEWAY
    assert resolve(machine, "surely-absent.invalid") == ""
    world.dns.servfail("github.com")
    assert resolve(machine, "github.com") == ""
    world.dns.forget("github.com")
    world.dns.point("github.com", "172.31.15.254")
    assert resolve(machine, "github.com") == "172.31.15.254"
    assert {"github.com", "surely-absent.invalid"} <= {entry["name"] for entry in world.dns.log}


def test_dns_over_tcp(world):
    query = bytes.fromhex("123401000001000000000000") + b"\x06github\x03com\x00\x00\x01\x00\x01"

    def ask() -> bytes:
        with socket.create_connection((GATEWAY, 53), 5) as connection:
            connection.sendall(len(query).to_bytes(2, "big") + query)
            return connection.recv(512)

    assert call_in(world.namespace.path, ask).endswith(socket.inet_aton(GATEWAY))


FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).status)"


def test_the_machine_trusts_the_front_and_no_stranger(world):
    world.repo("auth-service").commit("main", {"a": "b"})
    machine = world.launch()
    fetch = ["python3", "-c", FETCH, "https://github.com/acme/auth-service.git/info/refs?service=git-upload-pack"]
    assert machine.check(fetch) == "200\n"
    world.front.certificate = "untrusted"
    result = machine.run(fetch)
    assert result.code != 0 and "CERTIFICATE_VERIFY_FAILED" in result.stderr


# git, by the real client on the host's side of the namespace


def clone(world: lab.World, to: Path, *options: str, url: str = "https://github.com/acme/auth-service.git", timeout=30):
    settings = {
        "http.sslCAInfo": str(authority.directory() / "ca.pem"),
        "http.curloptResolve": "github.com:443:172.31.0.1",
        "credential.helper": "",
    }
    configuration = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["nsenter", f"--net={world.namespace.path}", "git", *configuration, "clone", "--quiet", *options, url, str(to)],
        capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
        env=environment | {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": "/dev/null"},
    )  # fmt: skip


@pytest.fixture
def repository(world) -> lab.Repository:
    made = world.repo("auth-service")
    made.commit("test", {"package.json": "{}", "big": os.urandom(300_000)})
    return made


def test_git_serves_one_shallow_branch(world, repository, tmp_path):
    files = {"package.json": None, "run": lab.Executable("#!/bin/sh\n"), "link": lab.Symlink("run")}
    sha = repository.commit("test", files, "the second")
    repository.commit("main", {"other": "x"})
    done = clone(world, tmp_path / "c", "--depth=1", "--branch=test")
    assert done.returncode == 0, done.stderr
    tree = tmp_path / "c"
    assert (tree / ".git/shallow").read_text().strip() == sha == repository.sha("test")
    assert os.access(tree / "run", os.X_OK) and os.readlink(tree / "link") == "run"
    assert (tree / "big").exists() and not (tree / "package.json").exists()
    assert {entry["status"] for entry in world.git.log} == {200}


def test_git_refuses_what_is_not_there(world, repository, tmp_path):
    assert "not found" in clone(world, tmp_path / "a", "--branch=absent").stderr
    assert clone(world, tmp_path / "b", url="https://github.com/acme/other.git").returncode != 0
    assert world.git.log[-1]["status"] == 401, "github.com hides from strangers what exists"


def test_git_wants_the_token_of_a_private_repository(world, repository, tmp_path):
    repository.token = "ghs_correct"
    assert clone(world, tmp_path / "a").returncode != 0
    wrong = clone(world, tmp_path / "b", url="https://x-access-token:ghs_wrong@github.com/acme/auth-service.git")
    assert wrong.returncode != 0
    right = "https://x-access-token:ghs_correct@github.com/acme/auth-service.git"
    done = clone(world, tmp_path / "c", "--branch=test", url=right)
    assert done.returncode == 0, done.stderr
    assert "ghs_" not in json.dumps(world.git.log)


def test_git_fails_so_often_and_then_no_more(world, repository, tmp_path):
    repository.fail(503, times=2)
    assert "503" in clone(world, tmp_path / "a", "--branch=test").stderr
    assert "503" in clone(world, tmp_path / "b", "--branch=test").stderr
    assert clone(world, tmp_path / "c", "--branch=test").returncode == 0


def test_git_truncates_and_redirects(world, repository, tmp_path):
    repository.truncate(after=50_000)
    assert clone(world, tmp_path / "a", "--branch=test").returncode != 0
    world.repo("renamed").commit("test", {"a": "b"})
    repository.redirect("https://github.com/acme/renamed.git")
    assert clone(world, tmp_path / "b", "--branch=test").returncode == 0
    assert (tmp_path / "b/a").exists()


@pytest.mark.parametrize("protocol", ["version=0", "version=2"])
def test_git_is_pushed_to_by_force_during_a_fetch(world, repository, tmp_path, protocol):
    repository.commit("main", {"other": "x"})
    before = repository.sha("test")
    repository.force_push_during_fetch("test")
    options = ("--branch=test", f"--config=protocol.{protocol}")
    assert "not our ref" in clone(world, tmp_path / "a", *options).stderr
    assert len(world.git.log) == {"version=0": 2, "version=2": 3}[protocol]
    assert repository.sha("test") not in ("", before) and repository.sha(before) == ""
    assert clone(world, tmp_path / "b", *options).returncode == 0, "once"
    assert (tmp_path / "b/big").exists() and repository.sha("main")


def test_git_stalls_inside_the_pack(world, repository, tmp_path):
    repository.stall(after=50_000)
    with pytest.raises(subprocess.TimeoutExpired):
        clone(world, tmp_path / "a", "--branch=test", timeout=3)
    assert world.git.log[-1]["fault"] == "stall"
    repository.heal()
    assert clone(world, tmp_path / "b", "--branch=test").returncode == 0


# AWS


def read(world: lab.World, keys: Credentials | None, name: str = OWN, **options):
    return world.aws.json("secretsmanager", "GetSecretValue", {"SecretId": name}, keys, **options)


def test_the_role_reads_its_secret_and_no_other(world):
    world.tags = dict(TAGS)
    world.secret(OWN, '{"A":"b"}')
    world.secret("service_env_auth-service_prod", "{}")
    keys = world.role()
    assert read(world, keys)["SecretString"] == '{"A":"b"}'
    for name in ("service_env_auth-service_prod", "absent"):
        with pytest.raises(AwsError) as refused:
            read(world, keys, name)
        assert refused.value.code == "AccessDeniedException"
    world.aws.allow("instance", [])
    with pytest.raises(AwsError, match="AccessDeniedException"):
        read(world, keys)
    world.aws.allow("instance", [may("secretsmanager:GetSecretValue", "*")])
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        read(world, keys, "absent")


def test_a_wrong_signature_and_an_unsigned_call_are_refused(world):
    world.secret(OWN, "{}")
    keys = world.role([may("secretsmanager:GetSecretValue", "*")])
    forged = Credentials("x", keys.access_key, "x" * 40, keys.token, "")
    stolen = Credentials("x", keys.access_key, keys.secret_key, "not-the-token", "")
    unknown = Credentials("x", "AKIAUNKNOWNUNKNOWN00", keys.secret_key, "", "")
    for refused in (forged, stolen, unknown):
        with pytest.raises(AwsError) as error:
            read(world, refused)
        assert error.value.status in (400, 403)
    with pytest.raises(AwsError):
        read(world, None, sign=False)
    assert read(world, keys)["SecretString"] == "{}"


SIGNED_READ = textwrap.dedent(
    """
    import datetime, hashlib, hmac, json, sys, urllib.error, urllib.request as u
    md = "http://169.254.169.254/latest/"
    def get(path, method="GET", **h):
        return u.urlopen(u.Request(md + path, method=method, headers=h)).read().decode()
    t = {"X-aws-ec2-metadata-token": get("api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})}
    role = get("meta-data/iam/security-credentials/", **t)
    k = json.loads(get("meta-data/iam/security-credentials/" + role, **t))
    region = get("meta-data/placement/region", **t)
    host, body = f"secretsmanager.{region}.amazonaws.com", json.dumps({"SecretId": sys.argv[1]})
    now = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    h = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": now,
         "x-amz-security-token": k["Token"], "x-amz-target": "secretsmanager.GetSecretValue"}
    names = ";".join(sorted(h))
    sha = lambda s: hashlib.sha256(s.encode()).hexdigest()
    canonical = "\\n".join(["POST", "/", "", *(f"{n}:{h[n]}" for n in sorted(h)), "", names, sha(body)])
    scope = f"{now[:8]}/{region}/secretsmanager/aws4_request"
    key = ("AWS4" + k["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    signature = hmac.new(key, "\\n".join(["AWS4-HMAC-SHA256", now, scope, sha(canonical)]).encode(), "sha256").hexdigest()
    h["authorization"] = f"AWS4-HMAC-SHA256 Credential={k['AccessKeyId']}/{scope}, SignedHeaders={names}, Signature={signature}"
    try:
        print(json.loads(u.urlopen(u.Request(f"https://{host}/", body.encode(), h)).read())["SecretString"])
    except urllib.error.HTTPError as e:
        print(e.code, e.read().decode())
    """
)


def test_a_machine_reads_its_secret_as_on_ec2(world):
    """IMDS, DNS, the lab's CA, the signature through the front and IAM: the whole way, and the log of it."""
    world.tags = dict(TAGS)
    world.secret(OWN, "canary-6d2f")
    machine = world.launch()

    def get(name: str) -> str:
        return machine.check(["python3", "-W", "ignore", "-", name], stdin=SIGNED_READ)

    assert get(OWN) == "canary-6d2f\n"
    assert "AccessDenied" in get("another")
    world.aws.throttle("secretsmanager", times=1)
    assert get(OWN).startswith("400") and get(OWN) == "canary-6d2f\n"
    world.aws.fail("secretsmanager", 503)
    assert get(OWN).startswith("503")
    seen = [(e["action"], e["secret"], e["principal"], e["status"], e["error"]) for e in world.aws.log]
    assert seen[0] == ("GetSecretValue", OWN, "instance", 200, None)
    assert seen[1] == ("GetSecretValue", "another", "instance", 403, "AccessDeniedException")
    assert [each[4] for each in seen[2:]] == ["ThrottlingException", None, "InternalServiceError"]
    assert "canary" not in json.dumps(world.aws.log)


# Worlds


def test_two_worlds_do_not_see_each_other(world):
    world.tags = {"which": "one"}
    world.secret("one", "x")
    with lab.World() as other:
        other.tags = {"which": "two"}
        assert tag(world, "which")[1] == "one" and tag(other, "which")[1] == "two"
        with pytest.raises(AwsError, match="ResourceNotFoundException"):
            read(other, None, "one")
        first, second = world.launch(role=False), other.launch(role=False)
        first.check(["sh", "-c", "systemd-run --unit=web --quiet python3 -m http.server 3000"])
        wait_for("the web server", lambda: answers(first, "http://172.31.5.10:3000/"), 20)
        assert first.boot_id() != second.boot_id()
        with pytest.raises(OSError):
            second.http("http://172.31.5.10:3000/")
    assert tag(world, "which")[1] == "one"


def left(world: lab.World) -> list[str]:
    """What is still there of a world."""
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text()  # empty for the dead whom the host's init has yet to bury
            if command and (f"/{world.id}/" in (process / "cgroup").read_text() or world.id in command):
                processes.append(command)
        except OSError:
            pass
    found = [*processes, *cleanup.mounts_below(world.directory)]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{world.id}")]
    found += [str(path) for path in (Path(world.namespace.path), world.directory) if path.exists()]
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    return found + [line for line in rules.splitlines() if "lab" in line]


def test_nothing_is_left_of_a_closed_world():
    with lab.World() as world:
        machine = world.launch()
        machine.check(["systemd-run", "sleep", "infinity"])
        assert left(world)
    assert left(world) == []
    cleanup.remove(world.id)  # again: nothing to do, and no complaint


def test_nothing_is_left_when_a_world_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_CACHE", str(paths.cache()))
    with pytest.raises(ZeroDivisionError):
        with lab.World() as world:
            world.launch()
            1 / 0
    assert left(world) == []
    (evidence,) = (paths.cache() / "failures").glob(f"*-{world.id}")
    assert (evidence / f"lab-{world.id}-0" / "console.log").stat().st_size > 0
    assert (evidence / "imds.jsonl").exists()


# Below a shell's background job SIGINT is ignored, and Python leaves it so.
OWNER = """
import lab, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
world = lab.World().open()
world.launch()
print(world.id, flush=True)
time.sleep(600)
"""


@pytest.fixture
def owner():
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    identity = process.stdout.readline().strip()
    yield process, identity
    process.kill()
    process.wait()
    cleanup.remove(identity)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_world_goes_when_its_owner_is_ended(owner, how):
    process, identity = owner
    assert cleanup.directory(identity).exists() and not cleanup.orphaned(identity)
    process.send_signal(how)
    process.wait(60)
    wait_for("the keeper to clean up", lambda: not cleanup.directory(identity).exists(), 60)
    assert not Path(cleanup.namespace(identity).path).exists() and cleanup.mounts_below(cleanup.directory(identity)) == []


def test_gc_removes_orphans_and_leaves_the_living(owner, world):
    process, identity = owner
    keeper = next(
        int(each.name) for each in Path("/proc").glob("[0-9]*") if f"lab-keeper\0{paths.RUN}/{identity}" in _cmdline(each)
    )
    os.kill(keeper, signal.SIGKILL)
    process.kill()
    process.wait()
    assert cleanup.directory(identity).exists() and cleanup.orphaned(identity)
    done = subprocess.run([sys.executable, "-m", "lab", "gc"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f"removed {identity}" in done.stdout
    assert not cleanup.directory(identity).exists()
    assert world.directory.exists() and world.id not in done.stdout


def _cmdline(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""
