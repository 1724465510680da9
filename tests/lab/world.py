"""A world: one private piece of "AWS" with a network, its servers and the machines launched in it."""

import json
import os
import re
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from . import cgroup, cleanup, image, node_archive, npm_registry, paths, proxy, python_index, python_packages
from .autoscaling import AutoScaling
from .aws import ACCOUNT, Aws
from .clock import Clock
from .dhcp import Dhcp
from .dns import Dns
from .front import Front
from .git_repository import Executable, Repository
from .git_server import GitServer
from .github_app import App, GithubApps
from .http_server import Request, Response
from .imds import Credentials, Imds, Instance
from .machine import Disk, Machine
from .namespace import GATEWAY, NO_HOST, REFUSING, SILENT
from .node_archive import NodeArchives
from .npm_registry import NpmRegistry
from .peering import Peering
from .proxy import Proxy
from .python_index import PythonIndex, UvArchives
from .ssh_server import SshServer
from .stack import Stacks
from .volume import Volume

NODE = ["usr/local/lib/nodejs", "usr/local/bin/node", "usr/local/bin/npm", "usr/local/bin/npx"]  # in the image
UNREACHABLE = {"refused": REFUSING, "silent": SILENT, "no route": NO_HOST}


class World:
    """Made by `with`, gone at its end, and gone as well when the process that made it dies in any way."""

    def __init__(self, region: str = "eu-west-1", internet: bool = True) -> None:
        self.id = secrets.token_hex(3)
        self.region, self._internet = region, internet
        self.directory = cleanup.directory(self.id)
        self.disk = self.directory / "disk"
        self.namespace = cleanup.namespace(self.id)
        self.dns = Dns(self.namespace)
        self.clock = Clock()
        self.imds = Imds(self.namespace, Instance(region, ACCOUNT), self.clock)
        self.dhcp = Dhcp(self.namespace, self._lease)
        self.github = GithubApps(self.clock)
        self.git = GitServer(self.disk / "git", self.github)
        self.ssh = SshServer(self.namespace, self.git, self.disk / "ssh")
        self.aws = Aws(self.namespace, self.disk / "aws", region, self.clock)
        self.autoscaling = AutoScaling(self.imds)
        self.aws.behind["autoscaling"] = self.autoscaling.respond
        self.aws.behind["elasticloadbalancing"] = self.autoscaling.balance
        self.stacks = Stacks(self.imds)
        self.aws.behind["cloudformation"] = self.stacks.respond
        self.node = NodeArchives()
        self.npm = NpmRegistry()
        self.pypi = PythonIndex()
        self.uv = UvArchives()
        self.proxy = Proxy(self.namespace, self._address_for_proxy)
        self.front = Front(self.namespace, self.clock)
        self.front.hosts = {
            "*.amazonaws.com": self.aws.respond,
            "github.com": self._github,
            "git.acme.test": self._own_git,
            "api.github.com": self.github.respond,
            "nodejs.org": self.node.respond,
            "mirror.acme.test": self._mirror,
            npm_registry.HOST: self.npm.respond,
            python_index.HOST: self.pypi.respond,
        }
        self.machines: list[Machine] = []
        self._volumes: list[Volume] = []
        self._peerings: list[Peering] = []
        self._processes: list[subprocess.Popen] = []
        self._keeper: subprocess.Popen | None = None

    # Life

    def __enter__(self) -> "World":
        return self.open()

    def __exit__(self, failure: type[BaseException] | None, *_) -> None:
        try:
            if failure and not issubclass(failure, KeyboardInterrupt):
                print(f"lab: the evidence is in {self.save_evidence()}", file=sys.stderr)
        finally:
            self.close()

    def open(self) -> "World":
        image.ensure()
        node_archive.ensure()
        python_packages.ensure()
        cleanup.own(self.id)
        self._keeper = self._start_keeper()
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def _build(self) -> None:
        self.disk.mkdir()
        # A machine's disk is memory: fast, and gone with its mount.
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=6G,mode=755", "lab", str(self.disk)], check=True, timeout=30
        )
        self.namespace.create()
        self.aws.start(self._spawn)
        if self._internet:
            self.namespace.open_to_internet(self._spawn_outside)
        for pattern in (*self.front.hosts, proxy.HOST):
            self.dns.point(pattern, GATEWAY)
        self.dns.start()
        self.dhcp.start()
        self.imds.start()
        self.front.start()
        self.ssh.start(self._spawn_outside)
        self.proxy.start()

    def close(self) -> None:
        archives = (self.node, self.npm, self.pypi, self.uv)
        for server in (self.git, self.github, *archives, self.proxy, self.ssh, self.front, self.imds, self.dns, self.dhcp):
            server.stop()
        for peering in self._peerings:
            peering.stop()
        for volume in self._volumes:
            volume.close()
        cleanup.remove(self.id)
        for process in self._processes:
            process.wait(30)
        if self._keeper is not None:
            self._keeper.stdin.close()
            self._keeper.wait(30)
            self._keeper = None

    def _start_keeper(self) -> subprocess.Popen:
        """A shell that waits for our end of a pipe to close, as it does however we die, and then cleans up."""
        return subprocess.Popen(
            ["sh", "-c", 'while read -r _; do :; done; [ ! -d "$1" ] || exec "$2" -m lab gc "$3"',
             "lab-keeper", str(self.directory), sys.executable, self.id],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(paths.PACKAGE.parent)},
        )  # fmt: skip

    # Processes: all in the world's cgroup, most in its network

    def _spawn(self, command: list[str], **options: Any) -> subprocess.Popen:
        return self._spawn_outside(["nsenter", f"--net={self.namespace.path}", *command], **options)

    def _spawn_outside(
        self,
        command: list[str],
        *,
        environment: dict[str, str] | None = None,
        group: tuple[str, ...] | None = None,
        log: Path | None = None,
        pass_fds: tuple[int, ...] = (),
        connection: socket.socket | None = None,
    ) -> subprocess.Popen:
        home = cgroup.create(*(group or (self.id, "servers")))
        with open(log or os.devnull, "ab") as out:
            process = subprocess.Popen(
                ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(home), *command],
                stdin=connection or subprocess.DEVNULL, stdout=connection or out, stderr=out,
                env=environment, pass_fds=pass_fds, start_new_session=True,
            )  # fmt: skip
        self._processes.append(process)
        return process

    # The stage

    @property
    def tags(self) -> dict[str, str]:
        """The instance's tags, live: change them while the machine runs."""
        return self.imds.tags

    @tags.setter
    def tags(self, tags: dict[str, str]) -> None:
        self.imds.tags = tags

    def clock_off(self, seconds: float) -> None:
        """From now on the world is that far ahead of the machine, or behind it: to all the others its clock is wrong."""
        self.clock.offset = seconds

    @property
    def instance(self) -> Instance:
        return self.imds.instance

    def repo(self, name: str, owner: str = "acme", object_format: str = "sha1") -> Repository:
        """https://github.com/OWNER/NAME.git, the same at git.acme.test; made empty on first use."""
        return self.git.repository(name, owner, object_format)

    def github_app(self, *repositories: str) -> App:
        """An app that is installed on these repositories, which become private."""
        for name in repositories:
            self.repo(name).installed = True
        return self.github.app(set(repositories))

    def _github(self, request: Request) -> Response:
        return (self.uv if self.uv.serves(request) else self.git).respond(request)

    def _mirror(self, request: Request) -> Response:
        return (self.uv if self.uv.serves(request) else self.node).respond(request)

    def _own_git(self, request: Request) -> Response:
        return (self.github if request.path.startswith("/api/") else self.git).respond(request)

    def unreachable(self, *names: str, how: str = "no route") -> None:
        """Connections to these names are "refused", get no answer ("silent"), or have "no route", told after three seconds.
        Only the proxy reaches them."""
        for name in names:
            self.dns.point(name, UNREACHABLE[how])

    def reachable(self, *names: str) -> None:
        """The lab's own names again."""
        for name in names:
            self.dns.point(name, GATEWAY)

    def _address_for_proxy(self, host: str) -> str:
        own = any(fnmatch(host, pattern) for pattern in self.front.hosts)
        return GATEWAY if own else socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0]

    def secret(self, name: str, text: str | bytes) -> str:
        """Create the secret or give it a new value; its ARN."""
        return self.aws.secret(name, text)

    def parameter(self, name: str, value: str, kind: str = "SecureString") -> None:
        """Create the parameter of Parameter Store or give it a new value."""
        self.aws.parameter(name, value, kind)

    def role(self, policy: list[dict] | None = None, name: str = "instance", duration: int = 3600) -> Credentials:
        """Give the instance a role. Without a policy it may read the one secret that its tags stand for."""
        made = self.aws.role(name, self._own_secret() if policy is None else policy, duration)
        self.imds.credentials = lambda: made
        return made

    def _own_secret(self) -> list[dict]:
        service, environment = self._tag("service"), self._tag("environment")
        name = f"service_env_{service}_{environment}-??????"
        return [may("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:*:*:secret:{name}")]

    def _tag(self, kind: str) -> str:
        for key, value in self.tags.items():
            # A tag may hold anything; what is not a plain name must not become a pattern in a policy.
            if key.lower().rpartition(":")[2] == kind and re.fullmatch(r"[\w-]{1,64}", value):
                return value
        return "none"

    # Machines

    def _lease(self, mac: str) -> str:
        """nspawn chooses the machine's hardware address; IMDS learns it here, before anyone can ask."""
        self.instance.mac = mac
        return self.instance.address

    def launch(
        self,
        user_data: str | bytes | None = None,
        files: dict[str, str | bytes | Executable] | None = None,
        binary: Path | str | None = None,
        cloud_init: bool | None = None,
        disk_of: Machine | Disk | None = None,
        role: bool = True,
        bare: bool = False,
        layers: Sequence[Path] = (),
        hypervisor_uuid: str | None = None,
        engine: bool = False,
    ) -> Machine:
        """Launch an instance, and return once its systemd answers; cloud-init is only beginning then.

        Without user-data cloud-init is off unless asked for: quicker, for tests that use `machine.run`. With `disk_of`
        the new instance starts from what another left on its disk, as from an image baked of it; a `Disk` is such
        an image of another world. `role=False` launches without an instance profile unless `world.role` gave one. `bare`
        takes Node out of the image; `layers` are directories to lay over it, the uppermost first. With another
        `hypervisor_uuid` than one that begins with ec2 it is not an EC2 instance, as far as its firmware says. With `engine`
        dockerd can run in it."""
        if any(machine.running for machine in self.machines):
            raise RuntimeError("a world has one instance at a time: stop the other, or make a second world")
        if self.machines:
            self.imds.instance = replace(self.instance, id=Instance(self.region, ACCOUNT).id)
        self.instance.user_data = user_data.encode() if isinstance(user_data, str) else user_data
        if role and self.imds.credentials is None:
            self.role()
        name = f"lab-{self.id}-{len(self.machines)}"
        machine = Machine(
            name, self.disk / name, self.namespace, (self.id, name), self.instance, self._spawn
        )
        machine.hypervisor_uuid = hypervisor_uuid or machine.hypervisor_uuid
        machine.prepare([*layers, *([self._no_node()] if bare else []), image.path()], disk_of)
        if engine:
            machine.enable_engine()
        self.machines.append(machine)
        for path, content in (files or {}).items():
            mode = 0o755 if isinstance(content, Executable) else 0o644
            machine.write(path, content.content if isinstance(content, Executable) else content, mode)
        if binary is not None:
            machine.write("/usr/local/bin/" + Path(binary).name, Path(binary).read_bytes(), 0o755)
        machine.enable_cloud_init(user_data is not None if cloud_init is None else cloud_init)
        machine.start()
        return machine

    def peer(self, name: str, port: int, other: "World") -> None:
        """From now on this world's machine reaches a port of the other world's machine under this name."""
        self._peerings.append(Peering(self.namespace, other.namespace, other.instance.address, port))
        self.dns.point(name, GATEWAY)

    def volume(self, size: str = "96M") -> Volume:
        """An empty volume, attached to no machine yet."""
        self._volumes.append(Volume(self.disk / f"volume-{len(self._volumes)}", size))
        return self._volumes[-1]

    def _no_node(self) -> Path:
        """A layer of whiteouts: character devices 0:0, below which an overlay shows nothing."""
        layer = self.disk / "no-node"
        for name in () if layer.exists() else NODE:
            (layer / name).parent.mkdir(parents=True, exist_ok=True)
            os.mknod(layer / name, stat.S_IFCHR, os.makedev(0, 0))
        return layer

    # Evidence

    def save_evidence(self, directory: Path | None = None) -> Path:
        """Everything known about this world, for the analysis of a failure."""
        if directory is None:
            directory = paths.cache() / "failures" / f"{time.strftime('%Y%m%dT%H%M%S')}-{self.id}"
        directory.mkdir(parents=True, exist_ok=True)
        servers = ("imds", "dns", "git", "ssh", "github", "node", "npm", "pypi", "uv", "proxy", "aws", "autoscaling")
        logs = {name: getattr(self, name).log for name in servers}
        for name, log in logs.items():
            (directory / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in list(log)))
        if (log := self.disk / "ssh" / "sshd.log").exists():
            shutil.copy(log, directory)
        for machine in self.machines:
            machine.save_evidence(directory / machine.name)
        return directory


def may(actions: str | list[str], resources: str | list[str]) -> dict:
    """An Allow statement."""
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
