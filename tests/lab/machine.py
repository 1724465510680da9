"""One machine: systemd-nspawn booting the image under an overlay, in the world's network namespace and cgroup."""

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import cgroup
from .deadline import DeadlineExceeded, wait_for
from .image import HOSTS
from .imds import Instance
from .namespace import Namespace, call_in

REBOOT = 133  # nspawn's exit status when the guest asked for a reboot
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CLOUD_INIT_OUTPUT = "/var/log/cloud-init-output.log"


@dataclass(frozen=True)
class Result:
    code: int
    stdout: str
    stderr: str

    def json(self):
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Stat:
    mode: int
    owner: str
    group: str
    size: int
    kind: str


@dataclass(frozen=True)
class CloudInit:
    """What cloud-init said at the end of a boot. `user_data_code` is None when no user-data ran in this boot."""

    errors: list[str]
    user_data_code: int | None
    output: str


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    content: bytes
    headers: dict[str, str]

    @property
    def body(self) -> str:
        return self.content.decode(errors="replace")


@dataclass(frozen=True)
class Disk:
    """A copy of what a machine left on its disk, that outlives its world: for `launch(disk_of=...)` in other worlds. Not of a
    bare machine, one of whose layers is its world's."""

    layers: list[Path]
    changes: Path

    @classmethod
    def of(cls, machine: "Machine", directory: Path) -> "Disk":
        machine.save_changes(directory)
        return cls(machine.layers, directory)

    def save_changes(self, directory: Path) -> None:
        _copy(self.changes, directory)


class Machine:
    """Made by World.launch. Its disk lives as long as the world; `start` boots it again after `power_off` or `kill`."""

    def __init__(
        self,
        name: str,
        directory: Path,
        namespace: Namespace,
        group: tuple[str, ...],
        instance: Instance,
        spawn: Callable[..., subprocess.Popen],
    ) -> None:
        self.name, self.instance = name, instance
        self.root = directory / "root"
        self._directory, self._namespace, self._spawn = directory, namespace, spawn
        self._group = group
        # By this file cloud-init knows EC2 where, as in a container, the firmware's tables cannot be read.
        self._hypervisor = directory / "hypervisor-uuid"
        self.hypervisor_uuid = "ec2b007a-9e00-4000-8000-00b007a9e000"
        self.layers: list[Path] = []
        self._process: subprocess.Popen | None = None
        self._leader: int | None = None
        self._capabilities = ""
        self._cloud_init = True
        # What a container engine needs of the host: its own file system for layers, which outlives a reboot.
        self._engine: Path | None = None
        self._numbers = itertools.count(1)
        # Disks that are there when it boots, as /dev is new at each boot.
        self.attached: list[Callable[[], None]] = []

    # The disk

    def prepare(self, layers: list[Path], disk_of: "Machine | Disk | None" = None) -> None:
        """Lay the disk over the layers, uppermost first and the image last; with `disk_of`, over that machine's, with a
        copy of what it changed in them."""
        upper, work = self._directory / "upper", self._directory / "work"
        for each in (work, self.root):
            each.mkdir(parents=True)
        if disk_of is None:
            self.layers = layers
            upper.mkdir()
        else:
            self.layers = disk_of.layers
            disk_of.save_changes(upper)
        options = f"lowerdir={':'.join(map(str, self.layers))},upperdir={upper},workdir={work}"
        subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", options, str(self.root)], check=True, timeout=30
        )
        self._hypervisor.write_text(f"{self.hypervisor_uuid}\n")
        name = self.instance.hostname.split(".")[0]
        self.write("/etc/hostname", f"{name}\n")
        self.write("/etc/hosts", f"127.0.1.1 {self.instance.hostname} {name}\n{HOSTS}")

    def save_changes(self, directory: Path) -> None:
        """Copy all that differs from the layers below to a new directory, which can then be a layer of other machines."""
        _copy(self._directory / "upper", directory)

    def enable_engine(self) -> None:
        """Let dockerd run in the machine: no overlay can be the upper directory of another one, and a tmpfs can."""
        self._engine = self._directory / "docker"
        self._engine.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "tmpfs", str(self._engine)], check=True, timeout=30)

    def enable_cloud_init(self, enabled: bool) -> None:
        self._cloud_init = enabled
        off = self._on_disk("/etc/cloud/cloud-init.disabled")
        off.unlink(missing_ok=True) if enabled else off.touch()

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Put a root-owned file on the disk (not on a tmpfs of the running machine, such as /run)."""
        target = self._on_disk(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def _on_disk(self, path: str) -> Path:
        if not path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"not an absolute, plain path: {path}")
        return self.root / path.lstrip("/")

    # Power

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = 60) -> None:
        """Boot; return as soon as the guest's systemd answers, or without cloud-init when the boot is complete."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already")
        # SYSTEMD_NSPAWN_LOCK: no lock beside the image, which many machines share.
        # bpf: without it IPAddressDeny= is accepted and silently not enforced.
        # keep-unit and register: there need be no systemd on the host.
        self._process = self._spawn(
            ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}", f"--machine={self.name}",
             "--register=no", "--keep-unit", "--network-bridge=br0", "--resolv-conf=off", "--timezone=off",
             *self._privileges(),
             f"--bind-ro={self._hypervisor}:/sys/hypervisor/uuid"],
            environment={"PATH": PATH, "SYSTEMD_NSPAWN_LOCK": "0", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            group=self._group,
            log=self._directory / "console.log",
        )  # fmt: skip
        self._leader = wait_for("the guest's PID 1", self._find_leader, timeout, evidence=self.console_tail)
        wait_for(
            "the guest's systemd to answer",
            lambda: self._alive() and Path(f"/proc/{self._leader}/root/run/systemd/private").exists(),
            timeout,
            evidence=self.console_tail,
        )
        self._capabilities = _capabilities(self._leader)
        for attach in self.attached:
            attach()
        if not self._cloud_init:
            self.wait_for_boot(timeout)
            wait_for("the machine's lease", self._has_route, timeout, evidence=self.console_tail)

    def _privileges(self) -> list[str]:
        if self._engine is None:
            return ["--capability=CAP_NET_ADMIN", "--system-call-filter=bpf"]
        return ["--capability=all", "--system-call-filter=add_key keyctl bpf @mount", f"--bind={self._engine}:/var/lib/docker"]

    def _alive(self) -> bool:
        if not self.running:
            raise DeadlineExceeded(f"{self.name} stopped by itself ({self._process.poll()})\n{self.console_tail()}")
        return True

    def _find_leader(self) -> int | None:
        """nspawn's child that is PID 1 in a PID namespace of its own."""
        self._alive()
        for children in Path(f"/proc/{self._process.pid}/task").glob("*/children"):
            for pid in _of_process(children).split():
                if re.search(r"^NSpid:\t\d+\t1$", _of_process(Path(f"/proc/{pid}/status")), re.MULTILINE):
                    return int(pid)
        return None

    def _has_route(self) -> bool:
        """systemd is ready before networkd has heard of the DHCP server."""
        return self._alive() and "host0\t00000000\t" in Path(f"/proc/{self._leader}/net/route").read_text()

    def wait_for_stop(self, timeout: float = 90) -> int:
        """nspawn's exit status: 0 after a power-off, 133 when the guest asked for a reboot."""
        wait_for(f"{self.name} to stop", lambda: not self.running, timeout, evidence=self.console_tail)
        code = self._process.returncode
        self._process, self._leader = None, None
        cgroup.kill(cgroup.unified().joinpath(cgroup.NAME, *self._group))
        return code

    def reboot(self, timeout: float = 90) -> None:
        """An orderly reboot: the same disk and instance id, a new boot id, an empty /run."""
        self.run(["systemctl", "--no-block", "reboot"])
        code = self.wait_for_stop(timeout)
        if code != REBOOT:
            raise RuntimeError(f"{self.name} stopped with {code} instead of rebooting\n{self.console_tail()}")
        self.start()

    def power_off(self, timeout: float = 90) -> None:
        self.run(["systemctl", "--no-block", "poweroff"])
        self.wait_for_stop(timeout)

    def kill(self) -> None:
        """Pull the plug."""
        if self.running:
            os.kill(self._leader, signal.SIGKILL)
        if self._process is not None:
            self.wait_for_stop()

    # Commands

    def run(
        self,
        command: list[str],
        *,
        user: str | None = None,
        timeout: float = 60,
        stdin: str = "",
        env: dict[str, str] | None = None,
    ) -> Result:
        """Run a command inside all of the guest's namespaces and its cgroup tree, as root or another user of it.

        What it still has running at the deadline is killed; the failure names the command."""
        number = next(self._numbers)
        group = self._payload() / f"lab-run-{number}"
        group.mkdir(parents=True)
        full = self._entering(group, command, user, env or {})
        process = subprocess.Popen(full, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(stdin.encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            cgroup.kill(group)
            process.kill()
            stdout, stderr = process.communicate()
            shown = (stdout + stderr).decode(errors="replace")[-2000:]
            raise DeadlineExceeded(
                f"waited {timeout:g} s for {shlex.join(command)}\n{shown}\n{self.console_tail()}"
            ) from None
        finally:
            try:
                group.rmdir()
            except OSError:
                pass  # it left something running, as a shell may
        return Result(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace"))

    def check(self, command: list[str], **options) -> str:
        """`run`, for a command that must succeed; its standard output."""
        result = self.run(command, **options)
        if result.code != 0:
            raise AssertionError(f"{shlex.join(command)} ended with {result.code}\n{result.stdout}{result.stderr}")
        return result.stdout

    def shell_command(self) -> list[str]:
        """For a terminal: a root shell in the machine."""
        number = next(self._numbers)
        group = self._payload() / f"lab-run-{number}"
        group.mkdir(parents=True)
        return self._entering(group, ["bash", "-l"], None, {"TERM": os.environ.get("TERM", "dumb")})

    def _entering(self, group: Path, command: list[str], user: str | None, env: dict[str, str]) -> list[str]:
        if not self.running:
            raise RuntimeError(f"{self.name} is not running")
        variables = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", **env}
        as_user = ["runuser", "--user", user, "--"] if user else []
        return [
            "sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', str(group),
            "setpriv", f"--bounding-set={self._capabilities}",
            "nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
            "--root", "--wd", "env", "-i", *(f"{key}={value}" for key, value in variables.items()), *as_user, *command,
        ]  # fmt: skip

    def _payload(self) -> Path:
        """The guest's root cgroup: nspawn makes "payload" below the one that it was started in."""
        return cgroup.unified().joinpath(cgroup.NAME, *self._group, "payload")

    def pids(self) -> list[int]:
        """All that runs in the guest, by the host's numbers."""
        found = []
        for directory, _, _ in os.walk(self._payload()):
            try:
                found += map(int, Path(directory, "cgroup.procs").read_text().split())
            except OSError:
                continue  # the unit has just ended
        return found

    def cpu_seconds(self) -> float:
        """What the guest has used of all processors since it booted; unlike time, little depends on who else is busy."""
        return int(re.search(r"usage_usec (\d+)", (self._payload() / "cpu.stat").read_text())[1]) / 1e6

    def _shell(self, command: list[str], stdin: str = "", timeout: float = 60) -> Result:
        """Running or not: inside the guest, or on its disk."""
        if self.running:
            return self.run(command, stdin=stdin, timeout=timeout)
        done = subprocess.run(
            ["chroot", str(self.root), *command],
            input=stdin, capture_output=True, text=True, timeout=timeout, env={"PATH": PATH},
        )  # fmt: skip
        return Result(done.returncode, done.stdout, done.stderr)

    # Files

    def read(self, path: str) -> str:
        result = self._shell(["cat", "--", path])
        if result.code != 0:
            raise FileNotFoundError(result.stderr.strip())
        return result.stdout

    def exists(self, path: str) -> bool:
        """Also true for a symlink that leads nowhere."""
        return self._shell(["sh", "-c", 'test -e "$1" || test -L "$1"', "sh", path]).code == 0

    def stat(self, path: str) -> Stat:
        """Of the path itself; a symlink is not followed."""
        result = self._shell(["stat", "--format=%a|%U|%G|%s|%F", "--", path])
        if result.code != 0:
            raise FileNotFoundError(result.stderr.strip())
        mode, owner, group, size, kind = result.stdout.strip().split("|")
        return Stat(int(mode, 8), owner, group, int(size), kind)

    def readlink(self, path: str) -> str:
        return self.check(["readlink", "--", path]).rstrip("\n")

    def snapshot_files(self, *directories: str) -> dict[str, tuple]:
        """{path: (mode, uid, gid, size, sha256 | link target | kind)} of everything below; absent ones have nothing."""
        result = self._shell(["python3", "-I", "-", *directories], stdin=_SNAPSHOT)
        if result.code != 0:
            raise RuntimeError(result.stderr)
        return {path: tuple(entry) for path, entry in json.loads(result.stdout).items()}

    # Units, journal, console

    def systemctl_show(self, unit: str) -> dict[str, str]:
        lines = self.check(["systemctl", "show", unit]).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def journal(self, unit: str | None = None, **fields: str) -> list[dict]:
        """Entries as journald stores them, of every boot: journal(unit="x.service", BOOTAGENT_STEP="health-check")."""
        if self.running:
            self.run(["journalctl", "--sync"])  # what was said before this call is in it
        command = ["journalctl", "--output=json", "--all", "--no-pager", "--quiet"]
        if unit:
            command.append(f"--unit={unit}")
        result = self._shell(command + [f"{name}={value}" for name, value in fields.items()])
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]

    def console(self) -> str:
        log = self._directory / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def console_tail(self, lines: int = 25) -> str:
        tail = "\n".join(self.console().splitlines()[-lines:])
        return f"--- the last lines of {self.name}'s console\n{tail}" if tail else ""

    def boot_id(self) -> str:
        return self.read("/proc/sys/kernel/random/boot_id").strip()

    def wait_for_boot(self, timeout: float = 60) -> str:
        """Until systemd has no job left: "running", or "degraded" when a unit failed."""

        def state() -> str:
            self._alive()
            # It waits by itself; only the first moments of a boot, when systemd does not answer yet, are asked again.
            said = self.run(["systemctl", "is-system-running", "--wait"], timeout=timeout).stdout.strip()
            return said if said in ("running", "degraded", "maintenance") else ""

        return wait_for("systemd to finish booting", state, timeout, every=0.2, evidence=self.console_tail)

    # cloud-init

    def wait_for_cloud_init(self, timeout: float = 120) -> CloudInit:
        """Until cloud-init has run its last stage of this boot, user-data included."""

        def evidence() -> str:
            return f"--- cloud-init's output\n{self._tail(CLOUD_INIT_OUTPUT)}\n{self.console_tail()}"

        wait_for("cloud-init to finish", self._cloud_init_finished, timeout, every=0.1, evidence=evidence)
        result = json.loads(self.read("/run/cloud-init/result.json"))["v1"]
        log = self._on_disk("/var/log/cloud-init.log").read_text(errors="replace")
        this_boot = log[log.rfind("running 'init-local'") :]
        script = "scripts/part-001"
        code = None
        if failed := re.search(rf"Command: \['\S*{script}'\]\nExit code: (-?\d+)", this_boot):
            code = int(failed[1])
        elif re.search(rf"Running command \['\S*{script}'\]", this_boot):
            code = 0
        output = self._on_disk(CLOUD_INIT_OUTPUT).read_text(errors="replace")
        return CloudInit(result["errors"], code, output)

    def _cloud_init_finished(self) -> bool:
        return self._alive() and Path(f"/proc/{self._leader}/root/run/cloud-init/result.json").exists()

    def follow_cloud_init(self, timeout: float = 120) -> Iterator[str]:
        """The lines of cloud-init's output as they appear, until it has finished."""
        end = time.monotonic() + timeout
        path = self._on_disk(CLOUD_INIT_OUTPUT)
        position, rest = 0, ""
        while True:
            finished = self._cloud_init_finished()  # asked first, so that nothing written before it is missed
            if path.exists():
                with open(path, "rb") as log:
                    log.seek(position)
                    new = log.read()
                position += len(new)
                *lines, rest = (rest + new.decode(errors="replace")).split("\n")
                yield from lines
            if finished:
                if rest:
                    yield rest
                return
            if time.monotonic() > end:
                raise DeadlineExceeded(f"waited {timeout:g} s for cloud-init to finish\n{self.console_tail()}")
            time.sleep(0.05)

    def _tail(self, path: str, lines: int = 25) -> str:
        log = self._on_disk(path)
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(none)"

    # Network

    def http(self, url: str, timeout: float = 10, headers: dict[str, str] | None = None, body: bytes | None = None) -> HttpAnswer:
        """GET, or POST of a body, from inside the guest's network namespace. Raises OSError when nothing answers."""

        def get() -> HttpAnswer:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            try:
                with opener.open(urllib.request.Request(url, body, headers or {}), timeout=timeout) as answer:
                    return HttpAnswer(answer.status, answer.read(), dict(answer.headers))
            except urllib.error.HTTPError as error:
                return HttpAnswer(error.code, error.read(), dict(error.headers))

        if not self.running:
            raise RuntimeError(f"{self.name} is not running")
        return call_in(f"/proc/{self._leader}/ns/net", get)

    # Evidence

    def save_evidence(self, directory: Path) -> None:
        """Console, cloud-init's logs, the journal as text and the agent's status, as far as they are there."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "console.log").write_text(self.console())
        commands = {
            "journal.txt": ["journalctl", "--no-pager", "--output=short-precise"],
            "units.txt": ["systemctl", "--no-pager", "list-units", "--all", "--failed"],
            "status.json": ["cat", "/run/bootagent/status.json"],
            "cloud-init.log": ["cat", "/var/log/cloud-init.log"],
            "cloud-init-output.log": ["cat", CLOUD_INIT_OUTPUT],
        }
        for name, command in commands.items():
            try:
                result = self._shell(command, timeout=15)
            except Exception as error:  # evidence is best effort: what is left is still worth having
                result = Result(1, "", f"{error}\n")
            (directory / name).write_text(result.stdout or result.stderr)


def _copy(changes: Path, directory: Path) -> None:
    """With what an overlay keeps in devices and extended attributes, to a directory that is not there yet."""
    subprocess.run(["cp", "--archive", str(changes), str(directory)], check=True, timeout=120)


def _capabilities(leader: int) -> str:
    """Those of the guest's PID 1, for setpriv: who enters from outside has no more. Asked when systemd answers, as nspawn
    gives them up only just before."""
    bounding = int(re.search(r"^CapBnd:\t(\w+)$", Path(f"/proc/{leader}/status").read_text(), re.MULTILINE)[1], 16)
    return ",".join(["-all", *(f"+cap_{number}" for number in range(bounding.bit_length()) if bounding >> number & 1)])


def _of_process(path: Path) -> str:
    """nspawn starts helpers that end at once: one that was listed may be gone before it is read, or while it is."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


_SNAPSHOT = """
import hashlib, json, os, stat, sys
found = {}
def note(path):
    s = os.lstat(path)
    if stat.S_ISLNK(s.st_mode): what = os.readlink(path)
    elif stat.S_ISREG(s.st_mode):
        with open(path, "rb") as f: what = hashlib.file_digest(f, "sha256").hexdigest()
    else: what = stat.filemode(s.st_mode)[0]
    size = 0 if stat.S_ISDIR(s.st_mode) else s.st_size
    found[path] = [stat.S_IMODE(s.st_mode), s.st_uid, s.st_gid, size, what]
for top in sys.argv[1:]:
    if os.path.lexists(top): note(top)
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            try: note(os.path.join(directory, name))
            except FileNotFoundError: pass
print(json.dumps(found))
"""
