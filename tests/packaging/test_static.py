"""The binary that is shipped needs nothing of the machine it lands on: no loader, no library, no shell, no other file."""

import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.shipped

TESTS = Path(__file__).resolve().parent.parent
DYNAMIC, INTERPRETER, NEEDED, END = 2, 3, 1, 0


@pytest.fixture(scope="module")
def binary() -> Path:
    made = Path(os.environ.get("BOOTAGENT", "target/x86_64-unknown-linux-musl/release/bootagent"))
    assert made.is_file(), f"{made} is not there: make static"
    return made


@pytest.fixture
def empty(tmp_path: Path, binary: Path) -> Path:
    """A root directory with the program, the kernel's /proc, and nothing else."""
    shutil.copy(binary, tmp_path / "bootagent")
    (tmp_path / "proc").mkdir()
    return tmp_path


def run_in(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    # The mount is gone with its namespace.
    unshare = [shutil.which("unshare"), "--mount", "--pid", "--fork", f"--root={root}", "--mount-proc"]
    command = [*unshare, "/bootagent", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={})


def needs(program: Path) -> list[str]:
    """What the kernel and the loader must find before the program's first instruction."""
    elf = program.read_bytes()
    assert elf[:5] == b"\x7fELF\x02", f"{program} is no 64-bit ELF file"
    (table,), (size, count) = struct.unpack_from("<Q", elf, 32), struct.unpack_from("<HH", elf, 54)
    found = []
    for at in range(table, table + size * count, size):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, at)
        if kind == INTERPRETER:
            found.append(elf[offset : offset + length].rstrip(b"\0").decode())
        if kind == DYNAMIC:
            for entry in range(offset, offset + length, 16):
                tag, _ = struct.unpack_from("<QQ", elf, entry)
                if tag == END:
                    break
                if tag == NEEDED:
                    found.append("a shared library")
    return found


def test_it_names_no_loader_and_no_library(binary):
    assert needs(binary) == []


def test_a_dynamic_program_would_be_found_out():
    assert "a shared library" in needs(Path("/bin/sh").resolve())


def test_it_runs_where_there_is_nothing_else(empty):
    done = run_in(empty, "--version")
    assert done.returncode == 0 and done.stdout.startswith("bootagent "), done


def test_it_plans_where_there_is_no_shell_no_git_and_no_library(empty):
    shutil.copytree(TESTS / "demo/auth-service", empty / "auth-service")
    shutil.copy(TESTS / "plans/_shared/facts.json", empty)
    (empty / "tmp").mkdir()
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.test", "-C", str(empty / "auth-service")]
    for step in (["init", "--quiet", "--initial-branch=test"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *step], check=True, timeout=60)
    (empty / "env").write_text("DATABASE_URL=mongodb://127.0.0.1/x\n")
    done = run_in(
        empty, "--dry-run", "--service", "auth-service", "--environment", "test",
        "--repository", "/auth-service", "--env-file", "/env", "--facts", "/facts.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "npm ci" in done.stdout


def test_a_failure_there_has_its_code_too(empty):
    done = run_in(empty, "--dry-run", "--service", "a", "--environment", "test", "--repository", "/none")
    assert done.returncode == 78 and "E-REPOSITORY-INVALID" in done.stderr, done


def test_it_starts_at_once(binary):
    def took() -> float:
        began = time.monotonic()
        subprocess.run([binary, "--version"], check=True, capture_output=True)
        return time.monotonic() - began

    # The shortest: other tests run beside it.
    assert min(took() for _ in range(20)) < 0.020


def test_it_stays_small(binary):
    assert binary.stat().st_size < 10 << 20

