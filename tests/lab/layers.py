"""Layers over the image that have packages of the distribution, made once per list of packages and kept in the cache."""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from . import image, paths
from .world import World

INSTALL_LIMIT = 600  # seconds
# What would tell the next machines that they have booted before, or keep what each has to fetch anew.
OF_THE_MACHINE = ["etc/cloud", "etc/hostname", "etc/hosts", "etc/machine-id", "var/lib/apt/lists", "var/lib/systemd", "var/log"]


def ensure(packages: Iterable[str], release: str = image.RELEASE, unpacked: Iterable[str] = ()) -> Path:
    """A directory for `launch(layers=[...])`: what a machine has of its own after it installed these packages. They may be
    those of an older release, whose programs run here as well: "bullseye" has Python 3.9. Of those that are `unpacked` it has
    the files alone: what they depend on would be other versions of what the image has."""
    wanted, bare = sorted(packages), sorted(unpacked)
    recipe = f"{image.path().name} {release} {wanted} {bare}".encode() + Path(__file__).read_bytes()
    recipe = hashlib.sha256(recipe).hexdigest()[:16]
    layer = paths.cache() / "layers" / recipe
    layer.parent.mkdir(parents=True, exist_ok=True)
    # Two workers of a test run that need the same one: the second waits for the first.
    with open(layer.parent / f"{recipe}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not layer.exists():
            work = Path(tempfile.mkdtemp(dir=layer.parent, prefix="building-"))
            try:
                _install(wanted, bare, release, work / "layer")
                (work / "layer").rename(layer)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            for old in layer.parent.iterdir():
                if old != layer and image.outdated(old):
                    shutil.rmtree(old, ignore_errors=True)
    return layer


def older_python() -> Path:
    """Python 3.9 beside the image's own, both with what they need to make virtual environments."""
    return ensure(["python3-venv", "python3.9"], release="bullseye", unpacked=["python3-distutils", "python3.9-venv"])


def compose() -> Path:
    """Docker's plugin compose, which the image's own release does not have. A static program."""
    return ensure([], release="trixie", unpacked=["docker-compose"])


def _install(packages: list[str], unpacked: list[str], release: str, layer: Path) -> None:
    with World() as world:
        machine = world.launch(files=_sources(release))
        apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]
        machine.check([*apt, "update"], timeout=120)
        machine.check([*apt, "install", "--yes", *packages], timeout=INSTALL_LIMIT)
        for package in unpacked:
            script = 'cd "$(mktemp --directory)" && apt-get --quiet=2 download "$1" && dpkg-deb --extract *.deb / && rm *.deb'
            machine.check(["sh", "-c", script, "sh", f"{package}/{release}"], timeout=120)
        machine.check([*apt, "clean"])
        machine.power_off()
        machine.save_changes(layer)
    for trace in (*OF_THE_MACHINE, *(path.lstrip("/") for path in _sources(release))):
        path = layer / trace
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    layer.chmod(0o755)


def _sources(release: str) -> dict[str, str]:
    """The host's Debian sources, as that release has them; none for the image's own, which are there."""
    if release == image.RELEASE:
        return {}
    lists = (image.path() / "etc/apt").rglob("*.list")
    lines = [line for each in lists for line in each.read_text().splitlines() if f" {image.RELEASE} " in line]
    older = [line.replace(image.RELEASE, release) for line in lines]
    return {f"/etc/apt/sources.list.d/{release}.list": "\n".join(older) + "\n"}
