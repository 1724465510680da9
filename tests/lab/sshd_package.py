"""OpenSSH's server out of Debian's package, unpacked into the cache, and the lab's host keys."""

import fcntl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import paths

PACKAGES = ["openssh-server", "libwrap0"]


def ensure() -> Path:
    """The unpacked package. Nothing of it is installed on the host, and no service started."""
    made = paths.cache() / "sshd"
    with _lock():
        if not made.exists():
            work = Path(tempfile.mkdtemp(dir=made.parent, prefix="sshd-"))
            subprocess.run(["apt-get", "-qq", "download", *PACKAGES], cwd=work, check=True, capture_output=True, timeout=120)
            for package in work.glob("*.deb"):
                subprocess.run(["dpkg", "--extract", str(package), str(work)], check=True, timeout=60)
                package.unlink()
            work.rename(made)
    return made


def host_key(kind: str, impostor: bool = False) -> Path:
    """The lab's host key of that kind, or another one; the public one stands beside it."""
    made = paths.cache() / "ssh-host-keys" / f"{'impostor' if impostor else 'lab'}-{kind}"
    with _lock():
        if not made.exists():
            made.parent.mkdir(exist_ok=True)
            make_key(made, kind)
    return made


def make_key(path: Path, kind: str, form: str = "RFC4716") -> None:
    """`form` as ssh-keygen names it: RFC4716 is OpenSSH's own PEM, PEM the older one of each kind (PKCS#1 for RSA)."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-m", form, "-N", "", "-C", "", "-f", str(path)],
        check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip


@contextmanager
def _lock() -> Iterator[None]:
    paths.cache().mkdir(parents=True, exist_ok=True)
    with open(paths.cache() / "sshd.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
