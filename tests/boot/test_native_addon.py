"""An addon in C is compiled while the service is installed: by node-gyp with Node's headers, where there is a compiler. The headers
are those that were installed with Node; where there are none, node-gyp downloads them."""

from pathlib import Path

import pytest
from lab import image, layers
from looks import SERVICE, leftovers, releases, shared, status  # noqa: F401
from services import BRIEF
from stage import POLICY, assert_failed, run

pytestmark = pytest.mark.variants

ADDON = Path(__file__).parent / "addon"
# Those that its manifest asks for. They are on the machine before it boots, as in an AMI: to install them takes a minute.
COMPILER = ["g++", "make", "python3"]
INCLUDE = f"/usr/local/lib/nodejs/node-v{image.NODE[0]}/include"
HEADERS = [f"node-v{image.NODE[0]}-headers.tar.gz", "SHASUMS256.txt"]
MIRROR = "https://mirror.acme.test/node"


def asked(world) -> list[tuple[str, str, int]]:
    return [(entry["host"], entry["path"].rpartition("/")[2], entry["status"]) for entry in world.node.log]


class TestWithACompiler:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", ADDON)
        machine = shared.launch(binary=binary, layers=[layers.ensure(COMPILER)])
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    def test_the_service_runs_what_was_compiled(self, machine):
        assert machine.http("http://127.0.0.1:3000/").body == "42"
        addon = f"/opt/{SERVICE}/current/build/Release/addon.node"
        assert machine.check(["head", "-c4", addon]) == "\x7fELF"
        (packages,) = [step["outcome"] for step in status(machine)[1]["steps"] if step["id"] == "packages"]
        assert packages == "unchanged", "they were not in the layer"

    def test_the_headers_beside_node_were_used(self, shared, machine):  # noqa: F811
        assert asked(shared) == [], "node-gyp downloaded headers"

    def test_the_headers_and_their_checksum_come_from_node_s_own_site_where_node_has_none(self, shared, machine):  # noqa: F811
        machine.check(["rm", "-r", INCLUDE])
        shared.repo(SERVICE).commit("test", {"note": "no headers"})
        updated = machine.run(["bootagent", "run", "--update"], timeout=180)
        assert updated.code == 0, updated.stderr
        assert asked(shared) == [("nodejs.org", name, 200) for name in HEADERS]
        assert machine.http("http://127.0.0.1:3000/").body == "42"

    def test_headers_that_do_not_arrive_whole_are_not_compiled_with(self, shared, machine):  # noqa: F811
        good = releases(machine)
        self.forget_headers(machine)
        shared.node.truncate(after=100_000, only=HEADERS[0])
        shared.repo(SERVICE).commit("test", {"note": "truncated"})
        failed = machine.run(["bootagent", "run", "--update"], timeout=180)
        shared.node.heal()
        assert_failed(machine, failed, 2, "E-INSTALL-FAILED")
        assert releases(machine) == good and machine.http("http://127.0.0.1:3000/").body == "42"

    def test_they_come_from_the_policy_s_mirror(self, shared, machine):  # noqa: F811
        self.forget_headers(machine)
        machine.check(["install", "-D", "-m", "644", "/dev/stdin", POLICY], stdin=f'[mirrors]\nnode = "{MIRROR}"\n')
        shared.unreachable("nodejs.org", how="refused")
        shared.node.log.clear()
        shared.repo(SERVICE).commit("test", {"note": "from the mirror"})
        updated = machine.run(["bootagent", "run", "--update"], timeout=180)
        assert updated.code == 0, updated.stderr
        assert asked(shared) == [("mirror.acme.test", name, 200) for name in HEADERS]
        assert machine.http("http://127.0.0.1:3000/").body == "42"

    def forget_headers(self, machine) -> None:
        """node-gyp keeps them in the build user's cache."""
        machine.check(["find", f"/var/cache/bootagent/{SERVICE}", "-name", "node-gyp", "-prune", "-exec", "rm", "-r", "{}", "+"])


class TestWithoutACompiler:
    def test_it_is_not_in_service_and_the_failure_is_named(self, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", ADDON)
        shared.repo(SERVICE).commit("test", {"bootagent.toml": f"secret = false\n{BRIEF.replace('/health', '/')}"})
        machine = shared.launch(binary=binary)
        assert machine.run(["sh", "-c", "command -v make || command -v g++ || command -v cc"]).code != 0
        said = assert_failed(machine, run(machine), 1, "E-INSTALL-FAILED", "needs make: Error: not found: make")
        assert 'packages = ["g++", "make", "python3"]' in said["last_run"]["error"]["remedy"], said
        assert asked(shared) == [], "node-gyp downloaded headers"
        assert releases(machine) == [] and leftovers(machine) == []
        assert not machine.exists(f"/etc/systemd/system/{SERVICE}.service")
