"""Kill the installer before its Nth call of a kind takes effect: what is left is not taken for whole, and the next run makes the
same tree as an undisturbed one. The cache has nothing under a wrong name."""

import hashlib
from pathlib import Path

import pytest
import sweep
from hostile import Server, install, project
from killed import KILLED
from lab import image
from trees import differences, tree

# Each thread counts its calls by itself.
CALLS = {"mkdir": 9, "openat": 60, "write": 14, "rename": 3, "unlink": 3, "chmod": 2, "sendto": 3, "recvfrom": 6, "connect": 2, "clone3": 3}
POINTS = [(call, number) for call, most in CALLS.items() for number in range(1, most + 1)]


@pytest.fixture(scope="module")
def server(work):
    server = Server(work, None, 0)
    yield server
    server.close()


@pytest.fixture(scope="module")
def whole(binary, node, work, server, tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "app"
    project(directory)
    done = install(str(binary), node, work, directory, server.url)
    assert done.returncode == 0, done.stderr
    return tree(directory)


def _wrong_names(cache: Path) -> list[str]:
    files = [file for file in (cache / "archives").glob("*") if not file.name.startswith(".unfinished-")]
    return [file.name for file in files if file.name != f"sha512-{hashlib.sha512(file.read_bytes()).hexdigest()}"]


def test_a_killed_installation_is_done_again(binary, node, work, server, whole, tmp_path):
    # The lab's, with its own libraries: a host may have none.
    root = image.ensure()
    libraries = root / "usr/lib/x86_64-linux-gnu"
    strace = [str(root / "lib64/ld-linux-x86-64.so.2"), "--library-path", str(libraries), str(root / "usr/bin/strace")]
    wrong, killed, taken = [], 0, sweep.sample(POINTS, every=9)
    for call, number in taken:
        directory = tmp_path / f"{call}-{number}" / "app"
        project(directory)
        before = [*strace, "-f", "--output=/dev/null", f"--trace={call}", f"--inject={call}:signal=SIGKILL:when={number}"]
        first = install(str(binary), node, work, directory, server.url, before=before)
        made = tree(directory)
        if first.returncode == KILLED:
            killed += 1
            # The hidden lockfile is what npm takes for the state of the tree.
            is_whole = not list(differences({path: made.get(path) for path in whole}, whole))
            if "node_modules/.package-lock.json" in made and not is_whole:
                wrong.append(f"{call} {number}: the hidden lockfile is there before the tree is whole")
            wrong += [f"{call} {number}: the cache has {name}" for name in _wrong_names(directory.parent / "cache")]
        again = install(str(binary), node, work, directory, server.url)
        if again.returncode:
            wrong.append(f"{call} {number}: {again.stderr}")
        wrong += [f"{call} {number}: {line}" for line in list(differences(tree(directory), whole))[:3]]
        left = [file.name for file in (directory.parent / "cache/archives").glob(".unfinished-*")]
        wrong += [f"{call} {number}: the cache keeps {name}" for name in left]
    assert not wrong, sweep.told(taken, wrong)
    # A call may come less often than its number. A sample is too small for a share.
    enough = len(taken) / 3 if sweep.is_whole() else 0
    assert killed > enough, f"only {killed} of {len(taken)} runs were killed"


def test_what_the_cache_has_is_verified_again(binary, node, work, server, whole, tmp_path):
    """An install script can write to it."""
    directory = tmp_path / "app"
    project(directory)
    for spoil in (lambda file: file.write_bytes(b"evil"), lambda file: (file.unlink(), file.symlink_to("/etc/passwd")), lambda file: (file.unlink(), file.mkdir())):
        assert install(str(binary), node, work, directory, server.url).returncode == 0
        asked = sum(server.asked.values())
        assert install(str(binary), node, work, directory, server.url).returncode == 0
        assert sum(server.asked.values()) == asked, "asked for what the cache has"
        for file in (tmp_path / "cache/archives").iterdir():
            spoil(file)
        done = install(str(binary), node, work, directory, server.url)
        assert done.returncode == 0, done.stderr
        assert not list(differences(tree(directory), whole))
        for file in (tmp_path / "cache/archives").iterdir():
            if file.is_dir():
                file.rmdir()
