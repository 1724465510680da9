"""The two kinds of machine: one that has all that the bash scripts call, and one that has cloud-init only."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from lab import Machine, World, image, paths
from lab.git_repository import Files

PACKAGES = ["git", "curl", "jq", "awscli"]  # what the bash scripts need besides Node


def launch(world: World, installed: bool, user_data: str, binary: Path, files: Files) -> Machine:
    """Nothing but the lab's image and what the variant says; with the same binary for all, which only one of them uses."""
    if installed:
        return world.launch(user_data=user_data, binary=binary, files=files, layers=[tools()])
    return world.launch(user_data=user_data, binary=binary, files=files, bare=True)


def tools() -> Path:
    """A layer over the lab's image that has what the bash scripts call; baked once, as an operator bakes an AMI."""
    recipe = hashlib.sha256(f"{image.path().name} {PACKAGES} 1".encode()).hexdigest()[:16]
    layer = paths.cache() / f"bench-tools-{recipe}"
    if layer.exists():
        return layer
    print(f"bench: baking the machine that has {', '.join(PACKAGES)}", flush=True)
    work = Path(tempfile.mkdtemp(dir=paths.cache(), prefix="building-"))
    try:
        with World() as world:
            machine = world.launch()
            machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
            apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet=2"]
            machine.check([*apt, "update"], timeout=120)
            machine.check([*apt, "install", "--yes", *PACKAGES], timeout=600)
            machine.check([*apt, "clean"])
            machine.power_off()
            machine.save_changes(work / "layer")
        _forget_the_machine(work / "layer")
        (work / "layer").rename(layer)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    mounted = Path("/proc/self/mountinfo").read_text()
    for old in paths.cache().glob("bench-tools-*"):
        if old != layer and str(old) not in mounted:
            shutil.rmtree(old, ignore_errors=True)
    return layer


def _forget_the_machine(layer: Path) -> None:
    """What would tell the next machines that they have booted before, or keep what each has to fetch anew."""
    for trace in ["etc/machine-id", "etc/hostname"]:
        (layer / trace).unlink(missing_ok=True)
    for trace in ["etc/cloud", "var/log", "var/lib/apt/lists", "var/lib/systemd"]:
        shutil.rmtree(layer / trace, ignore_errors=True)
    layer.chmod(0o755)


def warm(binary: Path) -> None:
    """Read all that the machines boot from, so that no run pays for the first reading of the host's disk."""
    for path in [binary, *image.path().rglob("*"), *tools().rglob("*")]:
        if path.is_file() and not path.is_symlink():
            path.read_bytes()
