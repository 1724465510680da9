"""A directory that is committed as it stands comes out of a clone as it stood."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from lab import Executable, Repository, Symlink
from lab.git_repository import environment, read_directory

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))
LATIN_1 = "Größe: 10 µm\r\n".encode("latin-1")
ODD = [b"with space", b'quoted "twice" \\n', b"two\nlines", "münchen".encode(), "münchen".encode("latin-1"), b"-dash", b"\x01\xff"]


@pytest.fixture
def directory(tmp_path) -> Path:
    made = tmp_path / "a service"
    (made / "public/deep").mkdir(parents=True)
    (made / "empty").mkdir()
    (made / "nothing").write_bytes(b"")
    (made / "public/deep/logo.png").write_bytes(PNG)
    (made / "liesmich.txt").write_bytes(LATIN_1)
    (made / "run").write_bytes(b"#!/bin/sh\n# \xe9\n")
    (made / "run").chmod(0o755)
    # Executable to others than its owner is not executable to git.
    (made / "public/half").write_text("x")
    (made / "public/half").chmod(0o654)
    (made / "link").symlink_to("public/deep/logo.png")
    (made / "folder").symlink_to("public")
    (made / "nowhere").symlink_to(os.fsdecode(b"\xff/absent"))
    for name in ODD:
        Path(os.fsdecode(os.fsencode(made) + b"/" + name)).write_bytes(name)
    return made


@pytest.fixture
def clone(tmp_path):
    """clone() is a clone of what was committed to `clone.repository`."""

    def clone() -> Path:
        to = tmp_path / "clone"
        command = ["git", "clone", "--quiet", "--branch=test", str(clone.repository.path), str(to)]
        subprocess.run(command, check=True, timeout=30, env=environment())
        return to

    clone.repository = Repository(tmp_path / "served.git", "acme", "served")
    return clone


def contents(top: Path) -> dict[bytes, tuple]:
    """Of every file and symlink: whether it is executable, and what is in it."""
    found = {}
    for parent, directories, names in os.walk(os.fsencode(top)):
        if b".git" in directories:
            directories.remove(b".git")
        for name in [*directories, *names]:
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                found[os.path.relpath(path, os.fsencode(top))] = ("link", os.readlink(path))
            elif stat.S_ISREG(mode):
                executable = bool(mode & stat.S_IXUSR)
                found[os.path.relpath(path, os.fsencode(top))] = (executable, Path(os.fsdecode(path)).read_bytes())
    return found


def test_a_directory_is_served_byte_for_byte(directory, clone):
    clone.repository.commit("test", directory)
    expected, served = contents(directory), contents(clone())
    assert served == expected
    assert served[b"public/deep/logo.png"] == (False, PNG) and served[b"liesmich.txt"] == (False, LATIN_1)
    assert served[b"run"][0] is True and served[b"public/half"][0] is False
    assert served[b"folder"] == ("link", b"public") and set(ODD) <= served.keys()


def test_what_git_does_not_keep_is_not_served(directory, clone):
    """An empty directory, the metadata of a clone, and what is not a file."""
    subprocess.run(["git", "init", "--quiet", str(directory)], check=True, env=environment())
    (directory / "module").mkdir()
    (directory / "module/.git").write_text("gitdir: ../elsewhere\n")
    os.mkfifo(directory / "pipe")
    clone.repository.commit("test", directory)
    served = clone()
    assert not (served / "empty").exists() and not (served / "module").exists() and not (served / "pipe").exists()
    assert (served / "nothing").read_bytes() == b""


def test_a_dict_may_hold_bytes_and_delete_what_has_an_odd_name(directory, clone):
    repository = clone.repository
    repository.commit("test", directory)
    odd = os.fsdecode(b"\x01\xff")
    assert read_directory(directory)[odd] == b"\x01\xff"
    repository.commit("test", {odd: None, "run": Executable(b"\xff\0"), "link": Symlink(b"\xfe"), "text": "Größe"})
    served = contents(clone())
    assert b"\x01\xff" not in served and "münchen".encode("latin-1") in served
    assert (served[b"run"], served[b"link"], served[b"text"]) == ((True, b"\xff\0"), ("link", b"\xfe"), (False, "Größe".encode()))
