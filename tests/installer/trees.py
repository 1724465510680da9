"""What is on disk after an installation, and how two such trees differ."""

import hashlib
import os
from pathlib import Path


def tree(directory: Path) -> dict[str, tuple]:
    """Every path of a project, with what it is."""
    found = {}
    for at, directories, files in os.walk(directory):
        for name in directories + files:
            path = Path(at, name)
            mode = oct(path.lstat().st_mode)
            if path.is_symlink():
                what = "link", os.readlink(path)
            elif path.is_dir():
                what = "directory", mode
            else:
                what = mode, hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(directory))] = what
    return found


def differences(ours: dict, theirs: dict):
    for path in sorted(ours.keys() | theirs.keys()):
        if ours.get(path) != theirs.get(path):
            yield f"{path}: ours {ours.get(path)}, npm's {theirs.get(path)}"
