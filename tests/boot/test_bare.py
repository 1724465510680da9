"""On a machine without Node: its official archive, and what may be wrong with that."""

import hashlib
import json

import pytest
from lab import image, node_archive
from lab.deadline import wait_for
from looks import SERVICE, ask, leftovers, process, secret, shared, status  # noqa: F401
from services import NOTHING, express, talking
from stage import POLICY, REPOSITORY, assert_failed, run

VERSION = image.NODE[0]
ARCHIVE = f"node-v{VERSION}-linux-x64.tar.gz"
RUNTIME = f"/opt/bootagent/runtimes/node/v{VERSION}"
TALKING = talking(**{"bootagent.toml": 'port = 3000\nhealth = { path = "/health", soak = "1s" }\nnode.version = "22"\n'})


FAMILIES = "RestrictAddressFamilies"


def asked(world) -> list[str]:
    return [entry["path"].rpartition("/")[2] for entry in world.node.log]


class TestBare:
    """A range that the index resolves, a service with packages; then again, and again without the mirror."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        files = express()
        del files[".nvmrc"]
        shared.repo(SERVICE).commit("test", files | {"bootagent.toml": TALKING["bootagent.toml"]})
        secret(shared, TOKEN="t")
        machine = shared.launch(bare=True, binary=binary)
        assert machine.run(["sh", "-c", "command -v git node npm aws"]).code != 0
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    def test_the_newest_release_that_was_built_serves(self, shared, machine):  # noqa: F811
        assert asked(shared) == ["index.json", "SHASUMS256.txt", ARCHIVE]
        start = machine.check(["systemctl", "show", "--value", "--property=ExecStart", SERVICE])
        assert f"path={RUNTIME}/bin/node " in start
        assert machine.check([f"{RUNTIME}/bin/node", "--version"]).strip() == f"v{VERSION}"

    def test_it_is_root_s_and_whole(self, machine):
        odd = machine.check(["find", RUNTIME, "(", "!", "-user", "root", "-o", "!", "-group", "root", ")"])
        writable = machine.check(["find", RUNTIME, "!", "-type", "l", "-perm", "/7022"])
        assert (odd, writable) == ("", "")
        assert machine.check(["ls", RUNTIME]).split() == ["CHANGELOG.md", "LICENSE", "README.md", "bin", "lib"]
        assert machine.check(["ls", "-A", "/opt/bootagent/runtimes"]).split() == ["node"]
        assert leftovers(machine) == []

    def test_a_second_run_asks_no_server_and_changes_nothing(self, shared, machine):  # noqa: F811
        shared.node.log.clear()
        running = process(machine)
        again = machine.run(["bootagent", "run"])
        assert again.code == 0, again.stderr
        assert asked(shared) == [] and process(machine) == running
        assert [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"] == []

    def test_a_reboot_needs_no_mirror(self, shared, machine):  # noqa: F811
        shared.node.fail(503)
        shared.node.log.clear()
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait"], timeout=120)
        assert waited.code == 0, waited.stdout
        assert asked(shared) == []
        shared.node.heal()

    def test_a_runtime_that_no_release_uses_goes(self, shared, machine):  # noqa: F811
        """As if an earlier run had installed it; one that the image brought stays."""
        for version in ("v22.1.0", "v22.2.0"):
            machine.check(["cp", "-a", RUNTIME, f"/opt/bootagent/runtimes/node/{version}"])
        machine.check(["touch", "/var/lib/bootagent/runtimes/node/v22.1.0"])
        again = machine.run(["bootagent", "run"])
        assert again.code == 0, again.stderr
        there = machine.check(["ls", "/opt/bootagent/runtimes/node"]).split()
        assert there == ["v22.2.0", f"v{VERSION}"]


@pytest.fixture
def bare(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", TALKING | {"bootagent.toml": NOTHING + TALKING["bootagent.toml"]})
    secret(world, TOKEN="t")

    def launch(policy: str = ""):
        machine = world.launch(bare=True, binary=binary, files={POLICY: policy} if policy else {})
        machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
        return machine

    return launch


def test_a_mirror_that_fails_twice(world, bare):
    world.node.fail(503, times=2)
    machine = bare()
    done = run(machine)
    assert done.code == 0, done.stderr
    assert [entry["status"] for entry in world.node.log][:3] == [503, 503, 200]
    assert ask(machine, "health") == "ok"


def test_an_archive_that_breaks_off_once(world, bare):
    world.node.truncate(after=1_000_000, times=1)
    machine = bare()
    done = run(machine)
    assert done.code == 0, done.stderr
    assert asked(world).count(ARCHIVE) == 2
    assert machine.check(["ls", "-A", "/opt/bootagent/runtimes"]).split() == ["node"]


def test_who_unpacks_can_hand_nothing_to_anybody(world, bare):
    """While the archive stalls in its middle."""
    world.node.stall(after=1_000_000, times=1)
    machine = bare()
    machine.check(["systemd-run", "--unit=first", "bootagent", "run", "--repository", REPOSITORY])
    unit = f"bootagent-{SERVICE}-runtime.service"
    shown = wait_for("the child", lambda: downloading(machine, unit, world), 60, evidence=machine.console_tail)
    assert set(shown.get(FAMILIES, "").split()) == {"AF_INET", "AF_INET6", "AF_NETLINK"}
    # The property is one thing, what the kernel makes of it another.
    walled = ["systemd-run", "--pipe", "--wait", "--quiet", f"--property=RestrictAddressFamilies={shown[FAMILIES]}"]
    for family, code in [("AF_UNIX", 1), ("AF_INET", 0)]:
        opened = machine.run([*walled, "python3", "-I", "-c", f"import socket; socket.socket(socket.{family})"])
        assert opened.code == code, (family, opened.stderr)
    machine.check(["systemctl", "stop", "first"])


def downloading(machine, unit: str, world) -> dict | None:
    shown = machine.systemctl_show(unit)
    return shown if shown.get("MainPID", "0") != "0" and ARCHIVE in asked(world) else None


class TestPinned:
    def pin(self, sha256: str) -> str:
        return f'[node.checksums]\n"{ARCHIVE}" = "{sha256}"\n'

    def test_the_policy_s_checksum_is_enough(self, world, bare):
        with open(node_archive.path(VERSION), "rb") as archive:
            right = hashlib.file_digest(archive, "sha256").hexdigest()
        world.node.wrong_checksum = {VERSION}
        done = run(bare(self.pin(right)))
        assert done.code == 0, done.stderr
        assert asked(world) == [ARCHIVE], "neither index nor list counts beside the policy"

    def test_and_no_other_will_do(self, world, bare):
        machine = bare(self.pin("0" * 64))
        assert_failed(machine, run(machine), 1, "E-RUNTIME-CHECKSUM", ARCHIVE)


class TestNothingIsInstalled:
    """One machine, on which no run comes as far as to a runtime."""

    @pytest.fixture(scope="class")
    @classmethod
    def launched(cls, shared, binary):  # noqa: F811
        secret(shared, TOKEN="t")
        machine = shared.launch(bare=True, binary=binary)
        machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
        return machine

    @pytest.fixture
    def machine(self, shared, launched):  # noqa: F811
        shared.repo(SERVICE).commit("test", TALKING)
        shared.node.log.clear()
        yield launched
        shared.node.heal()
        shared.node.wrong_checksum = set()
        assert launched.run(["test", "-e", RUNTIME]).code != 0
        # What one run decided for, or made, must not decide the next test, too.
        launched.check(["rm", "-rf", "/var/lib/bootagent/instances", "/opt/bootagent"])

    def test_a_dry_run_shows_the_archive(self, shared, machine):  # noqa: F811
        result = run(machine, "--dry-run", "--output", "json")
        assert result.code == 0, result.stderr
        (step,) = [step for step in json.loads(result.stdout)["steps"] if step["id"] == "runtime"]
        assert step["action"]["archive"]["address"].endswith(ARCHIVE)
        assert asked(shared) == ["index.json"]
        assert not machine.exists("/opt/bootagent")

    def test_an_archive_with_another_checksum_is_refused(self, shared, machine):  # noqa: F811
        shared.node.wrong_checksum = {VERSION}
        assert_failed(machine, run(machine), 1, "E-RUNTIME-CHECKSUM", ARCHIVE)
        assert asked(shared).count(ARCHIVE) == 1, "it was tried again"

    def test_a_version_that_is_listed_and_absent(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", {"bootagent.toml": 'node.version = "24"\n'})
        assert_failed(machine, run(machine), 78, "E-RUNTIME-MISSING", "v24.9.0", "404")

    def test_a_version_that_was_not_built(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", {"bootagent.toml": 'node.version = "19"\n'})
        assert_failed(machine, run(machine), 78, "E-RUNTIME-MISSING", "Node 19", "20.")

    def test_a_mirror_that_does_not_answer(self, shared, machine):  # noqa: F811
        shared.node.fail(503)
        done = run(machine, "--budget", "20s")
        assert_failed(machine, done, 75, ["E-RUNTIME-UNREACHABLE", "E-DEADLINE"], "503")
