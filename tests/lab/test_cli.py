"""`lab shell` serves what is committed in a clone, and `lab push` brings the next commit while the machine runs."""

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import cli, paths
from lab.git_repository import environment

pytest_plugins = ["lab.fixtures"]

IDENTITY = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@acme.test", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@acme.test"}
# No git in the machine: the refs as its server lists them.
REFS = "python3 -c \"import urllib.request as u; print(u.urlopen('https://github.com/acme/%s.git/info/refs?service=git-upload-pack').read())\""


def git(clone: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", clone, "-c", "core.hooksPath=/dev/null", *arguments], capture_output=True, text=True, check=True, env=environment() | IDENTITY)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path) -> Path:
    """With a hook that tells when it runs, an untracked .env, and a change that is not committed; another user's."""
    made = tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", "--initial-branch=feature", made], check=True, env=environment())
    (made / "package.json").write_text("{}")
    git(made, "add", "package.json")
    git(made, "commit", "--quiet", "--message=one")
    (made / ".env").write_text("TOKEN=hunter2")
    (made / "package.json").write_text("not committed")
    for name in ("pre-push", "post-checkout", "reference-transaction"):
        hook = made / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-a-hook\n")
        hook.chmod(0o755)
    for path in [made, *made.rglob("*")]:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    yield made
    assert not (tmp_path / "ran-a-hook").exists()


def test_a_clone_s_head_is_served_and_nothing_else_of_it(world, clone):
    repository = world.repo("x")
    pushed = repository.push(clone)
    assert pushed == git(clone, "rev-parse", "HEAD")
    for branch in ("test", "stage", "main"):
        assert repository.sha(branch) == pushed
        assert repository.git("ls-tree", "--name-only", branch).split() == ["package.json"]
    assert repository.git("show", "test:package.json") == "{}"


def test_what_is_rewritten_replaces_what_was_pushed(world, clone):
    repository = world.repo("x")
    before = repository.push(clone)
    git(clone, "commit", "--quiet", "--amend", "--message=other")
    assert repository.push(clone) not in ("", before) and repository.sha("main") == git(clone, "rev-parse", "HEAD")


def test_a_directory_that_is_not_a_clone_is_refused(world, clone):
    (clone / "within").mkdir()
    with pytest.raises(ValueError, match="not the top of a git clone"):
        world.repo("x").push(clone / "within")


@pytest.mark.parametrize("world_id", [[], ["--world", "absent"]])
def test_a_push_that_no_world_waits_for_is_told(clone, capsys, world_id):
    assert cli.main(["push", *world_id, f"not-served={clone}"]) == 64
    assert "which world is meant" in capsys.readouterr().err


def test_a_second_commit_is_pushed_while_the_machine_runs(clone):
    shell = subprocess.Popen(
        [sys.executable, "-m", "lab", "shell", "--repository", f"pushed={clone}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(paths.PACKAGE.parent)},
    )  # fmt: skip
    try:
        told = until(shell.stderr, "exit to remove it", 120)
        assert f"pushed is at {git(clone, 'rev-parse', 'HEAD')}" in told and "2 uncommitted or untracked" in told, told
        made = re.search(r"in world (\w+);", told)[1]
        first = git(clone, "rev-parse", "HEAD")
        assert first in listed(shell, "pushed")
        git(clone, "commit", "--quiet", "--all", "--message=two")
        assert cli.main(["push", "--world", made, f"pushed={clone}"]) == 0
        refs = listed(shell, "pushed")
        assert git(clone, "rev-parse", "HEAD") in refs and first not in refs, refs
        shell.stdin.write("exit\n")
        shell.stdin.flush()
        assert shell.wait(60) == 0
    finally:
        shell.kill()
        shell.wait()
    assert not (paths.RUN / made).exists()


def listed(shell: subprocess.Popen, name: str) -> str:
    """The refs, asked in the machine."""
    shell.stdin.write(REFS % name + "\n")
    shell.stdin.flush()
    return until(shell.stdout, "refs/heads/test", 30)


def until(stream, word: str, seconds: float) -> str:
    """What is said up to the line with this word."""
    said, end = "", time.monotonic() + seconds
    while word not in said:
        ready, _, _ = select.select([stream], [], [], max(0, end - time.monotonic()))
        line = stream.readline() if ready else ""
        assert line, f"{word!r} was not said within {seconds} s, but: {said}"
        said += line
    return said
