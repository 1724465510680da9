"""A bare repository behind the lab's git hosts."""

import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import sshd_package
from .faults import Faulty


# Those of the environments test, stage and prod.
BRANCHES = ("test", "stage", "main")


@dataclass(frozen=True)
class Executable:
    content: str | bytes


@dataclass(frozen=True)
class Symlink:
    target: str | bytes


# A name is text; bytes of it that are not UTF-8 stand as Python's surrogate escapes.
Files = dict[str, "str | bytes | Executable | Symlink | None"]


class Repository(Faulty):
    ONLY_BODY = "git-upload-pack"  # the pack alone

    def __init__(self, path: Path, owner: str, name: str, object_format: str = "sha1") -> None:
        super().__init__()
        self.path, self.owner, self.name = path, owner, name
        self.token: str | None = None  # when set: Basic auth, user x-access-token
        self.large: dict[str, bytes] = {}  # of Git LFS, by its oid
        self.installed = False  # a GitHub App is, whose tokens open it
        self._forced_push: tuple[str, int | None] | None = None  # branch, and how often
        self.deploy_keys: list[str] = []  # public keys, for SSH
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", f"--object-format={object_format}")
        self.git("config", "uploadpack.allowReachableSHA1InWant", "true")
        self.git("config", "http.receivepack", "false")

    def commit(self, branch: str, files: Files | Path, message: str = "a commit") -> str:
        """Add a commit to the branch (made when new): the files of a directory, or of a dict, where None deletes."""
        if isinstance(files, Path):
            files = read_directory(files)
        stream = [f"commit refs/heads/{branch}\ncommitter Lab <lab@acme.test> {1767225600 + self._count()} +0000\n"]
        stream.append(f"data {len(message.encode())}\n{message}\n")
        if self.sha(branch):
            stream.append(f"from refs/heads/{branch}^0\n")
        out = b"".join(part.encode() for part in stream)
        for name, content in files.items():
            out += _entry(name, content)
        self.git("fast-import", "--quiet", stdin=out + b"\n")
        return self.sha(branch)

    def lfs(self, content: bytes) -> str:
        """Keep a file in the repository's Git LFS store; the pointer to commit in its place."""
        oid = hashlib.sha256(content).hexdigest()
        self.large[oid] = content
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"

    def push(self, clone: Path, branches: Sequence[str] = BRANCHES) -> str:
        """The HEAD of a clone, with its history and its ids, becomes the newest commit of these branches."""
        return push(self.path, clone, branches)

    def sha(self, ref: str) -> str:
        return self.git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False).strip()

    def tag(self, name: str, target: str) -> None:
        self.git("tag", name, target)

    def delete_branch(self, branch: str) -> None:
        self.git("update-ref", "-d", f"refs/heads/{branch}")

    def force_push_during_fetch(self, branch: str, times: int | None = 1) -> None:
        """After the next list of refs was served, the branch has another commit with the same files and no
        past, and those that it had are gone: what the client then asks for is "not our ref"."""
        self._forced_push = (branch, times)

    def listed(self) -> None:
        """The refs were served."""
        with self._fault_lock:
            if self._forced_push is None or self._forced_push[1] == 0:
                return
            branch, times = self._forced_push
            self._forced_push = (branch, None if times is None else times - 1)
        self.rewrite(branch)

    def rewrite(self, branch: str) -> str:
        identity = ("-c", "user.name=Lab", "-c", "user.email=lab@acme.test")
        message = f"rewritten from {self.sha(branch)}"
        commit = self.git(*identity, "commit-tree", "-m", message, f"refs/heads/{branch}^{{tree}}").strip()
        self.git("update-ref", f"refs/heads/{branch}", commit)
        self.git("gc", "--quiet", "--prune=now")
        return commit

    @property
    def private(self) -> bool:
        return self.token is not None or self.installed

    def deploy_key(self, kind: str = "ed25519") -> str:
        """A new private key that may read this repository over SSH, as PEM: "ed25519", "ecdsa" or "rsa" in OpenSSH's own
        form, "rsa-pkcs1" and "ecdsa-sec1" in the older ones."""
        algorithm, _, old = kind.partition("-")
        with tempfile.TemporaryDirectory() as directory:
            private = Path(directory) / "key"
            sshd_package.make_key(private, algorithm, "PEM" if old else "RFC4716")
            self.deploy_keys.append(private.with_suffix(".pub").read_text().strip())
            return private.read_text()

    def git(self, *arguments: str, stdin: bytes = b"", check: bool = True) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            input=stdin, capture_output=True, timeout=120, env=environment(),
        )  # fmt: skip
        if check and done.returncode != 0:
            raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def _count(self) -> int:
        return int(self.git("rev-list", "--all", "--count") or 0)


def is_clone(directory: Path) -> bool:
    """A directory within a clone is not one: its HEAD would be another tree."""
    return (directory / ".git").exists()


def push(bare: Path, clone: Path, branches: Sequence[str] = BRANCHES) -> str:
    """`git push` of the clone's HEAD, without its hooks."""
    if not is_clone(clone):
        raise ValueError(f"{clone} is not the top of a git clone")
    commit = _git(clone, "rev-parse", "--verify", "HEAD^{commit}").strip()
    # The clone may be another user's: git's child is told, too, that it may be read.
    reads = "git -c safe.directory=* upload-pack"
    _git(bare, "fetch", "--quiet", "--no-tags", "--update-shallow", f"--upload-pack={reads}", str(clone.absolute()),
         *(f"+HEAD:refs/heads/{branch}" for branch in branches))  # fmt: skip
    return commit


def uncommitted(clone: Path) -> list[str]:
    """What a push leaves behind."""
    return _git(clone, "status", "--porcelain").splitlines()


def _git(directory: Path, *arguments: str) -> str:
    # The clone may be another user's, and this is root.
    off = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
    command = ["git", "-C", str(directory), *off, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment())
    if done.returncode != 0:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")


def environment() -> dict[str, str]:
    """For git on the host: its own configuration and identity stay out of the lab."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }


def read_directory(directory: Path) -> Files:
    """Everything that git keeps of a directory, byte for byte: files, whether their owner may execute them, and symlinks, which
    are not followed. It keeps no empty directory, and what is called .git is never a part of a commit."""
    files: Files = {}
    top = os.fsencode(directory)
    for parent, directories, names in os.walk(top):
        directories[:] = sorted(name for name in directories if name != b".git")
        for name in sorted([*directories, *names]):
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            key = _text(os.path.relpath(path, top))
            if stat.S_ISLNK(mode):
                files[key] = Symlink(os.readlink(path))
            elif stat.S_ISREG(mode) and name != b".git":
                content = Path(os.fsdecode(path)).read_bytes()
                files[key] = Executable(content) if mode & stat.S_IXUSR else content
    return files


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _entry(name: str, content: str | bytes | Executable | Symlink | None) -> bytes:
    quoted = b'"' + _bytes(name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) + b'"'
    mode = b"100644"
    match content:
        case None:
            return b"D " + quoted + b"\n"
        case Executable(content):
            mode = b"100755"
        case Symlink(content):
            mode = b"120000"
    data = _bytes(content)
    return b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted, len(data), data)
