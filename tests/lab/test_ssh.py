"""git over SSH, by the real client on the host's side of the namespace."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import lab
from lab import sshd_package
from lab.namespace import GATEWAY

pytest_plugins = ["lab.fixtures"]


class Client:
    """Knows the lab's host and one private key."""

    def __init__(self, world: lab.World, directory: Path, key: str) -> None:
        self.world, self.directory = world, directory
        (directory / "key").write_text(key)
        (directory / "key").chmod(0o600)
        self.know(world.ssh.host_keys)

    def know(self, lines: list[str]) -> None:
        (self.directory / "known_hosts").write_text("\n".join(lines) + "\n")

    def run(self, *command: str, host: str = "git.acme.test", timeout: float = 30, **options: str):
        settings = {
            "HostName": GATEWAY, "HostKeyAlias": host, "UserKnownHostsFile": self.directory / "known_hosts",
            "StrictHostKeyChecking": "yes", "IdentityFile": self.directory / "key", "IdentitiesOnly": "yes",
            "BatchMode": "yes", **options,
        }  # fmt: skip
        ssh = ["ssh", "-F", "none", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "SSH_"))}
        return subprocess.run(
            ["nsenter", f"--net={self.world.namespace.path}", *(command or (*ssh, f"git@{host}"))],
            capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
            env=environment | {"GIT_SSH_COMMAND": " ".join(map(str, ssh)), "GIT_CONFIG_GLOBAL": "/dev/null"},
        )  # fmt: skip

    def clone(self, name: str = "auth-service", host: str = "git.acme.test", **options):
        to = self.directory / f"clone-{len(list(self.directory.iterdir()))}"
        url = f"git@{host}:acme/{name}.git"
        done = self.run("git", "clone", "--quiet", "--depth=1", "--branch=test", url, str(to), host=host, **options)
        return done.returncode, done.stderr, to


@pytest.fixture
def repository(world) -> lab.Repository:
    made = world.repo("auth-service")
    made.commit("test", {"package.json": "{}", "big": os.urandom(300_000)})
    return made


@pytest.fixture
def client(world, repository, tmp_path) -> Client:
    return Client(world, tmp_path, repository.deploy_key())


@pytest.mark.parametrize(
    "kind, header",
    [
        ("ed25519", "OPENSSH PRIVATE KEY"),
        ("ecdsa", "OPENSSH PRIVATE KEY"),
        ("rsa", "OPENSSH PRIVATE KEY"),
        ("rsa-pkcs1", "RSA PRIVATE KEY"),
        ("ecdsa-sec1", "EC PRIVATE KEY"),
    ],
)
def test_a_deploy_key_of_any_kind_opens_its_repository(world, repository, tmp_path, kind, header):
    key = repository.deploy_key(kind)
    assert key.startswith(f"-----BEGIN {header}-----\n")
    code, said, tree = Client(world, tmp_path, key).clone()
    assert code == 0, said
    assert (tree / "big").stat().st_size == 300_000
    assert [(entry["event"], entry.get("code")) for entry in world.ssh.log] == [("connect", None), ("command", 0)]
    assert world.ssh.log[1]["repository"] == "acme/auth-service" and "PRIVATE" not in json.dumps(world.ssh.log)


def test_a_deploy_key_opens_no_other_repository_and_no_shell(world, client):
    world.repo("other").commit("test", {"a": "b"})
    code, said, _ = client.clone("other")
    assert code != 0 and "ERROR: Repository not found." in said
    done = client.run()
    assert done.returncode == 1 and "does not provide shell access" in done.stderr


def test_a_key_that_is_not_authorized_or_was_taken_back(world, client, tmp_path):
    assert client.clone()[0] == 0
    world.ssh.refuse_keys = True
    code, said, _ = client.clone()
    assert code != 0 and "Permission denied (publickey)" in said
    world.ssh.refuse_keys = False
    sshd_package.make_key(tmp_path / "stranger", "ed25519")
    stranger = Client(world, tmp_path, (tmp_path / "stranger").read_text())
    assert "Permission denied (publickey)" in stranger.clone()[1]


def test_a_wrong_host_key_is_seen(world, client):
    world.ssh.impostor = True
    code, said, _ = client.clone()
    assert code != 0 and "REMOTE HOST IDENTIFICATION HAS CHANGED" in said
    assert [entry["event"] for entry in world.ssh.log] == ["connect"]
    client.know([line.replace("git.acme.test", "github.com") for line in world.ssh.host_keys])
    assert client.clone(host="github.com")[0] != 0
    world.ssh.impostor = False
    assert client.clone(host="github.com")[0] == 0, "github.com answers as well, with the lab's key"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_host_with_one_kind_of_key(world, client, kind):
    world.ssh.host_key_types = (kind,)
    name = {"ed25519": "ssh-ed25519", "ecdsa": "ecdsa-sha2-nistp256", "rsa": "ssh-rsa"}[kind]
    client.know([line for line in world.ssh.host_keys if line.split()[1] == name])
    assert client.clone()[0] == 0
    client.know([line for line in world.ssh.host_keys if line.split()[1] != name])
    assert "Host key verification failed" in client.clone()[1]


def test_a_connection_that_comes_to_nothing(world, client):
    world.ssh.reset(times=1)
    assert "Connection reset by" in client.clone()[1]
    world.ssh.truncate(times=1)
    assert "Connection closed by" in client.clone()[1]
    world.ssh.stall()
    assert "timed out" in client.clone(ConnectTimeout="2")[1]
    world.ssh.heal()
    assert client.clone()[0] == 0


def test_a_pack_that_does_not_arrive(world, repository, client):
    repository.fail(times=1)
    assert "the lab's fault" in client.clone()[1]
    repository.truncate(after=50_000, times=1)
    assert client.clone()[0] != 0
    repository.stall(after=50_000)
    with pytest.raises(subprocess.TimeoutExpired):
        client.clone(timeout=3)
    assert world.ssh.log[-1]["fault"] == "stall"
    repository.heal()
    assert client.clone()[0] == 0


def test_a_push_by_force_between_the_list_and_the_pack(world, repository, client):
    before = repository.sha("test")
    repository.force_push_during_fetch("test")
    code, said, _ = client.clone()
    assert code != 0 and "not our ref" in said
    assert repository.sha("test") not in ("", before)
    assert client.clone()[0] == 0, "once"
