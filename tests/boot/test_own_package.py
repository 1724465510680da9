"""bootagent's own packages: installation, upgrade and removal break no service that runs, and leave nothing behind. Its .deb on
a machine with a service, its .rpm in a root directory of its own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import image
from looks import SERVICE, ask, secret, shared  # noqa: F401
from services import talking
from stage import run

pytestmark = pytest.mark.shipped

MAKE = Path(__file__).resolve().parent.parent.parent / "packaging/packages"
UNIT = "/etc/systemd/system/bootagent.service"


def packages(binary: Path, directory: Path, *version: str) -> tuple[Path, Path]:
    """The .deb and the .rpm."""
    done = subprocess.run([str(MAKE), str(binary), str(directory), *version], capture_output=True, text=True, timeout=600, env=os.environ | {"FAST": "1"})
    assert done.returncode == 0, done.stderr
    deb, rpm = map(Path, done.stdout.split())
    return deb, rpm


@pytest.fixture(scope="module")
def older(binary, tmp_path_factory) -> tuple[Path, Path]:
    return packages(binary, tmp_path_factory.mktemp("older"), "0.0.9")


@pytest.fixture(scope="module")
def newer(binary, tmp_path_factory) -> tuple[Path, Path]:
    return packages(binary, tmp_path_factory.mktemp("newer"))


def test_the_same_program_gives_the_same_packages(binary, newer, tmp_path):
    again = packages(binary, tmp_path)
    assert [path.name for path in again] == [path.name for path in newer]
    for one, other in zip(newer, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_what_is_in_them_belongs_to_root_and_nothing_is_enabled(newer):
    listed = subprocess.run(["dpkg-deb", "--contents", str(newer[0])], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root" and mode[5] == "-" and mode[8] == "-" and "s" not in mode, line
    for path in ("usr/bin/bootagent", "usr/lib/systemd/system/bootagent.service", "usr/share/doc/bootagent/policy.toml",
                 "usr/share/man/man8/bootagent.8.gz", "usr/share/bash-completion/completions/bootagent"):  # fmt: skip
        assert f"./{path}\n" in listed, path
    assert ".wants/" not in listed


class TestDeb:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, older, newer):  # noqa: F811
        shared.repo(SERVICE).commit("test", talking())
        secret(shared, TOKEN="t")
        machine = shared.launch(files={"/root/older.deb": older[0].read_bytes(), "/root/newer.deb": newer[0].read_bytes()})
        machine.before = traces(machine)
        return machine

    def test_1_installation_starts_and_enables_nothing(self, machine):
        machine.check(["dpkg", "--install", "/root/older.deb"], timeout=120)
        assert machine.run(["systemctl", "is-enabled", "bootagent.service"]).stdout == "disabled\n"
        assert machine.run(["systemctl", "is-active", "bootagent.service"]).stdout == "inactive\n"
        first = run(machine)
        assert first.code == 0, first.stderr
        assert machine.run(["systemctl", "is-enabled", "bootagent.service"]).stdout == "enabled\n"
        assert not machine.exists("/usr/local/bin/bootagent"), "the package's program needs no copy"

    def test_2_an_upgrade_restarts_nothing(self, machine):
        before = pid(machine)
        machine.check(["dpkg", "--install", "/root/newer.deb"], timeout=120)
        again = machine.run(["bootagent", "run"], timeout=120)
        assert again.code == 0 and pid(machine) == before, again.stderr

    def test_3_the_program_of_the_package_runs_at_a_boot(self, machine):
        machine.reboot()
        assert machine.run(["bootagent", "status", "--wait", "--timeout", "60s"], timeout=90).code == 0
        assert ask(machine, "env")["TOKEN"] == "t"

    def test_4_the_logs_have_the_service_and_the_agent_and_no_value(self, machine, shared):  # noqa: F811
        shared.repo(SERVICE).commit("test", talking({"start": "echo token-is $TOKEN:$LONG; exec node server.js"}))
        secret(shared, TOKEN="t", LONG="hunter2-hunter2-hunter2")
        updated = machine.run(["bootagent", "update", "--quiet"], timeout=120)
        assert (updated.code, updated.stdout, updated.stderr) == (0, "", ""), updated
        logs = machine.check(["bootagent", "logs", "-n", "400"])
        assert "hunter2" not in logs and ":[LONG]" in logs, logs
        assert " bootagent[" in logs and " systemd[1]: " in logs and "health check: " in logs, logs
        assert machine.run(["sh", "-c", "timeout 20 bootagent logs --follow | head -n 3"], timeout=30).stdout.count("\n") == 3

    def test_5_no_removal_while_a_run_is_active(self, machine):
        script = "flock /run/bootagent/run.lock sleep 60 & sleep 0.3; dpkg --remove bootagent; code=$?; kill $!; exit $code"
        refused = machine.run(["sh", "-c", script], timeout=90)
        assert refused.code != 0 and "a run is active: wait for its end" in refused.stderr, refused
        assert machine.exists("/usr/bin/bootagent") and machine.exists(UNIT)

    def test_5_no_upgrade_either(self, machine):
        script = "flock /run/bootagent/run.lock sleep 60 & sleep 0.3; dpkg --install /root/newer.deb; code=$?; kill $!; exit $code"
        refused = machine.run(["sh", "-c", script], timeout=90)
        assert refused.code != 0 and "a run is active: wait for its end" in refused.stderr, refused
        assert machine.check(["dpkg-query", "-W", "-f", "${db:Status-Status}", "bootagent"]) == "installed"
        assert machine.run(["bootagent", "--version"]).code == 0

    def test_6_a_removal_leaves_the_service_and_its_records(self, machine):
        before = pid(machine)
        machine.check(["dpkg", "--remove", "bootagent"], timeout=120)
        assert pid(machine) == before
        machine.check(["systemctl", "restart", SERVICE])
        assert machine.run(["systemctl", "is-active", SERVICE]).stdout == "active\n"
        for path in ("/usr/bin/bootagent", UNIT, "/etc/systemd/system/multi-user.target.wants/bootagent.service"):
            assert not machine.exists(path), path
        machine.check(["dpkg", "--install", "/root/newer.deb"], timeout=120)
        again = machine.run(["bootagent", "run"], timeout=120)
        assert again.code == 0 and "commit" in again.stderr, again.stderr

    def test_7_a_purge_takes_the_records_too(self, machine):
        before = pid(machine)
        machine.write("/opt/bootagent/node/v1/bin/node", "a runtime")
        machine.check(["dpkg", "--purge", "bootagent"], timeout=120)
        assert pid(machine) == before
        assert traces(machine) == machine.before
        # Services run with what is in there.
        assert machine.exists("/opt/bootagent/node/v1/bin/node")
        machine.reboot()
        failed = machine.check(["systemctl", "--failed", "--no-legend", "--plain"])
        assert "bootagent" not in failed, failed


def pid(machine) -> str:
    return machine.check(["systemctl", "show", "--property=MainPID", "--value", SERVICE])


def traces(machine) -> list[str]:
    """What is called bootagent on the disk, but for the runtimes that services use."""
    found = machine.check(["find", "/", "-xdev", "-name", "*bootagent*", "-not", "-path", "/root/*", "-not", "-path", "/var/log/*"])
    return sorted(path for path in found.splitlines() if not path.startswith(("/opt/bootagent", f"/opt/{SERVICE}")))


class TestRpm:
    @pytest.fixture
    def root(self, tmp_path) -> Iterator[Path]:
        for name in ("upper", "work", "root"):
            (tmp_path / name).mkdir()
        options = f"lowerdir={image.ensure()},upperdir={tmp_path}/upper,workdir={tmp_path}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "root")], check=True, timeout=30)
        try:
            yield tmp_path / "root"
        finally:
            subprocess.run(["umount", str(tmp_path / "root")], check=True, timeout=30)

    def rpm(self, root: Path, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["rpm", f"--root={root}", "--nodeps", *arguments], capture_output=True, text=True, timeout=300)

    def test_it_is_installed_upgraded_and_erased(self, root, older, newer):
        program = root / "usr/bin/bootagent"
        for way, package in (("--install", older[1]), ("--upgrade", newer[1])):
            done = self.rpm(root, way, str(package))
            assert done.returncode == 0 and program.stat().st_mode & 0o7777 == 0o755, done.stderr
        # What a run writes, and what is the operator's.
        unit, policy = root / UNIT.lstrip("/"), root / "etc/bootagent/policy.toml"
        unit.write_text((root / "usr/lib/systemd/system/bootagent.service").read_text())
        policy.write_text("services = []\n")
        verified = self.rpm(root, "--verify", "bootagent")
        assert verified.returncode == 0, verified.stdout
        done = self.rpm(root, "--erase", "bootagent")
        assert done.returncode == 0, done.stderr
        assert not program.exists() and not unit.exists() and policy.exists()
        assert not (root / "usr/share/doc/bootagent").exists() and not (root / "usr/share/zsh/site-functions/_bootagent").exists()
