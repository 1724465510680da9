"""git over SSH: a real OpenSSH sshd for each connection, which knows the deploy keys of the lab's repositories.

sshd authenticates and then runs one command whatever was asked for. That passes its descriptors back to this process,
which serves git, and fails, as the repository's knobs say. sshd is unpacked into the cache, not installed; it finds the
users and the directory that it insists on in a mount namespace of its own."""

import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import sshd_package
from .faults import Faulty
from .git_repository import Repository, environment
from .git_server import CHUNK, GitServer
from .http_server import Disconnect
from .namespace import GATEWAY, Namespace

HOST_KEYS = ("ed25519", "ecdsa", "rsa")
HOSTS = ["git.acme.test"]  # whose keys the lab can show; github.com is there too, but only GitHub has its real ones

# What sshd runs, and how it is set up. /run is the connection's own.
COMMAND = """\
import os, socket, sys
asked = "\\0".join([sys.argv[1], os.environ.get("SSH_ORIGINAL_COMMAND", ""), os.environ.get("GIT_PROTOCOL", "")])
door = socket.socket(socket.AF_UNIX)
door.connect("/run/lab.sock")
socket.send_fds(door, [asked.encode()], [0, 1, 2])
code = door.recv(1)
os._exit(code[0] if code else 1)
"""
CONFIGURATION = """\
AuthorizedKeysFile /run/authorized_keys
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
UseDNS no
AcceptEnv GIT_PROTOCOL
PidFile none
LogLevel VERBOSE
"""


class SshServer(Faulty):
    """Knobs: `impostor` shows other host keys, `host_key_types` fewer of them, `refuse_keys` takes no deploy key;
    `stall`, `truncate` and `reset` happen to a connection before its first byte. What happens to a fetch is the
    repository's: `repo.stall(after=...)`, `.truncate`, `.fail`."""

    def __init__(self, namespace: Namespace, git: GitServer, directory: Path) -> None:
        super().__init__()
        self._namespace, self._git, self._directory = namespace, git, directory
        self._spawn: Callable[..., subprocess.Popen] | None = None
        self._listeners: list[socket.socket] = []
        self._lock = threading.Lock()
        self.impostor = False
        self.refuse_keys = False
        self.host_key_types: tuple[str, ...] = HOST_KEYS
        self.log: list[dict] = []

    @property
    def host_keys(self) -> list[str]:
        """The lines of known_hosts for the lab's host."""
        keys = [sshd_package.host_key(kind).with_suffix(".pub").read_text().split()[:2] for kind in HOST_KEYS]
        return [" ".join([host, *key]) for host in HOSTS for key in keys]

    def start(self, spawn: Callable[..., subprocess.Popen]) -> None:
        self._spawn = spawn
        run = self._directory / "run"
        (run / "sshd").mkdir(parents=True, mode=0o755)
        (run / "serve").write_text(COMMAND)
        passwd = Path("/etc/passwd").read_text()
        (self._directory / "passwd").write_text(
            passwd + "sshd:*:65532:65534::/run/sshd:/usr/sbin/nologin\ngit:*:0:0::/:/bin/sh\n"
        )
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(run / "lab.sock"))
        door.listen(64)
        listener = self._namespace.listen(GATEWAY, 22)
        self._listeners = [listener, door]
        threading.Thread(target=self._accept, args=(listener, self._connect), daemon=True).start()
        threading.Thread(target=self._accept, args=(door, self._serve), daemon=True).start()

    def stop(self) -> None:
        self.release()
        for listener in self._listeners:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def _accept(self, listener: socket.socket, answer: Callable[[socket.socket], None]) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def _connect(self, connection: socket.socket) -> None:
        with connection:
            fault = self.next_fault("connection")
            self._note("connect", connection.getpeername()[0], fault=fault.kind if fault else None)
            if fault is None:
                self._sshd(connection)
            else:
                self.hold(fault, connection)

    def _sshd(self, connection: socket.socket) -> None:
        package = sshd_package.ensure()
        with self._lock:
            self._configure()
        script = 'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/run" /run && shift && exec "$@"'
        self._spawn(
            ["unshare", "--mount", "sh", "-c", script, "sh", str(self._directory),
             str(package / "usr/sbin/sshd"), "-i", "-e", "-f", "/run/sshd_config"],
            environment={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": str(package / "usr/lib/x86_64-linux-gnu")},
            log=self._directory / "sshd.log",
            connection=connection,
        )  # fmt: skip

    def _configure(self) -> None:
        host_keys = [f"HostKey {sshd_package.host_key(kind, self.impostor)}\n" for kind in self.host_key_types]
        (self._directory / "run/sshd_config").write_text(CONFIGURATION + "".join(host_keys))
        keys = []
        for repository in self._git.repositories() if not self.refuse_keys else ():
            serve = shlex.join([sys.executable, "-I", "-S", "/run/serve", f"{repository.owner}/{repository.name}"])
            keys += [f'restrict,command="{serve}" {key}\n' for key in repository.deploy_keys]
        (self._directory / "run/authorized_keys").write_text("".join(keys))

    def _serve(self, door: socket.socket) -> None:
        """One authenticated command."""
        with door:
            asked, descriptors, _, _ = socket.recv_fds(door, 4096, 3)
            stdin, stdout, stderr = descriptors
            try:
                code = self._answer(*asked.decode().split("\0"), stdin, stdout, stderr)
                door.send(bytes([code]))
            except OSError:
                pass  # the client went away
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _answer(self, key: str, command: str, protocol: str, stdin: int, stdout: int, stderr: int) -> int:
        owner, _, name = key.rpartition("/")
        repository = self._git.repository(name, owner)
        entry = self._note("command", repository=key, command=command, fault=None, code=1)
        if not re.fullmatch(rf"git-upload-pack '/?{re.escape(key)}(\.git)?'", command):
            known = command.startswith("git-")
            os.write(stderr, b"ERROR: Repository not found.\n" if known else b"The lab does not provide shell access.\n")
            return 1
        fault = repository.next_fault("git-upload-pack")
        entry["fault"] = fault.kind if fault else None
        if fault and fault.kind in ("status", "redirect"):
            os.write(stderr, b"ERROR: the lab's fault\n")
            return 1
        entry["code"] = _upload_pack(repository, fault, protocol, stdin, stdout)
        return entry["code"]

    def _note(self, event: str, client: str = "", **more) -> dict:
        entry = {"time": time.time(), "event": event, "client": client, **more}
        self.log.append(entry)
        return entry


def _upload_pack(repository: Repository, fault, protocol: str, stdin: int, stdout: int) -> int:
    process = subprocess.Popen(
        ["git", "upload-pack", str(repository.path)], env=environment() | {"GIT_PROTOCOL": protocol},
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    # The list of refs ends with a flush: in version 2 of the protocol after another one, the capabilities'.
    until_listed = 2 if "version=2" in protocol else 1
    try:
        for part in repository.cut(fault, iter(lambda: process.stdout.read1(CHUNK), b"")):
            until_listed -= part.endswith(b"0000")
            if until_listed == 0:
                until_listed = -1
                repository.listed()  # before the client sees the end of it
            while part:
                part = part[os.write(stdout, part) :]
        return process.wait(60)
    except Disconnect:
        return 128
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
