"""Real packages for the lab's Python index, and uv: fetched once, by pip as it is set up on the host, and kept in the cache."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from . import paths

LIST = paths.PACKAGE / "python_packages.txt"
UV = "uv"  # the wheel of this name has the program of the release archive
ARCHIVE = "uv-x86_64-unknown-linux-gnu.tar.gz"
LIMIT = 600  # seconds


def directory() -> Path:
    """Where the wheels are, and uv's archive, after `ensure`."""
    recipe = hashlib.sha256(LIST.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:16]
    return paths.cache() / "python-packages" / recipe


def uv_version() -> str:
    (line,) = [line for line in LIST.read_text().splitlines() if line.startswith(f"{UV}==")]
    return line.partition("==")[2]


def ensure() -> Path:
    """Before there is a world: a request that had to wait for it would take longer than clients wait."""

    def fill(work: Path) -> None:
        _fetch(LIST, work)
        _pack_uv(work)

    return _once(directory(), fill)


def wheels(requirements: Path) -> Path:
    """Those of another list, which is complete as well, for `world.pypi.carry`."""
    recipe = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    return _once(paths.cache() / "python-wheels" / recipe, lambda work: _fetch(requirements, work))


def uv_program() -> bytes:
    """What is in the archive, for a machine that has uv already."""
    with tarfile.open(ensure() / ARCHIVE) as archive:
        return archive.extractfile(f"{ARCHIVE.removesuffix('.tar.gz')}/uv").read()


def _once(made: Path, fill: Callable[[Path], None]) -> Path:
    """Two workers of a test run that need the same: the second waits for the first."""
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with open(made.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            work = Path(tempfile.mkdtemp(dir=made.parent, prefix="fetching-"))
            try:
                fill(work)
                work.chmod(0o755)
                work.rename(made)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return made


def _fetch(requirements: Path, work: Path) -> None:
    """The list is complete, so nothing is resolved here."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary=:all:", "--dest", str(work), "--requirement", str(requirements)],
        check=True, timeout=LIMIT, stdin=subprocess.DEVNULL, env=os.environ | {"PIP_NO_INPUT": "1"},
    )  # fmt: skip


def _pack_uv(work: Path) -> None:
    """In the layout of the official archive: one directory of the archive's name, with two programs."""
    (wheel,) = work.glob(f"{UV}-*.whl")
    top = ARCHIVE.removesuffix(".tar.gz")
    with zipfile.ZipFile(wheel) as source, tarfile.open(work / ARCHIVE, "w:gz", compresslevel=1) as archive:
        for member in sorted(source.infolist(), key=lambda member: member.filename):
            name = Path(member.filename)
            if name.parent.name == "scripts" and name.name in ("uv", "uvx"):
                entry = tarfile.TarInfo(f"{top}/{name.name}")
                entry.size, entry.mode, entry.uid, entry.gid = member.file_size, 0o755, 1001, 1001
                with source.open(member) as program:
                    archive.addfile(entry, program)
