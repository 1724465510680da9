"""The two kinds of machine: one that has all that the bash scripts call, and one that has cloud-init only."""

from pathlib import Path

from lab import Machine, World, image, layers
from lab.git_repository import Files
from sample import SERVICE, Case

PACKAGES = ["git", "curl", "jq", "awscli"]  # what the bash scripts of all cases need


def launch(world: World, case: Case, installed: bool, user_data: str, binary: Path, files: Files) -> Machine:
    """Nothing but the lab's image and what case and variant say; with the same binary for all, which only one of them uses."""
    if installed:
        return world.launch(user_data=user_data, binary=binary, files=files, layers=[tools(case)])
    return world.launch(user_data=user_data, binary=binary, files=files, bare=True)


def floor(case: Case) -> Files:
    """The service's sources, where the floor's script installs them, and what that script calls."""
    return {f"/opt/{SERVICE}/{name}": content for name, content in case.service().items()} | case.floor()


def tools(case: Case) -> Path:
    """A layer over the lab's image that has what the bash scripts call; baked once, as an operator bakes an AMI."""
    return layers.ensure([*PACKAGES, *case.packages])


def warm(binary: Path, case: Case) -> None:
    """Read all that the machines boot from, so that no run pays for the first reading of the host's disk."""
    for path in [binary, *image.path().rglob("*"), *tools(case).rglob("*")]:
        if path.is_file() and not path.is_symlink():
            path.read_bytes()
