"""An update to a broken commit, while the good one is asked every 20 ms."""

import json

import pytest
from lab.git_repository import Symlink
from looks import SERVICE, current, leftovers, process, shared  # noqa: F401
from poller import Poller
from services import BRIEF, talking
from stage import assert_failed, serving

PACKAGE = json.loads(talking()["package.json"])
DEPENDENT = {"package.json": json.dumps(PACKAGE | {"dependencies": {"picocolors": "1.1.1"}})}


def scripts(**more: str) -> dict[str, str]:
    return {"package.json": json.dumps(PACKAGE | {"scripts": PACKAGE["scripts"] | more})}


# What the commit breaks, with the code of the failure. None of it comes as far as the service.
BROKEN = {
    "checkout": ({"way-out": Symlink("/etc/shadow")}, "E-SOURCE-UNSAFE"),
    "manifest": ({"bootagent.toml": BRIEF + "prot = 1\n"}, "E-MANIFEST-INVALID"),
    "package.json": ({"package.json": "{"}, "E-MANIFEST-INVALID"),
    "lockfile gone": (DEPENDENT | {"package-lock.json": None}, "E-LOCKFILE-MISSING"),
    "lockfile stale": (DEPENDENT, "E-LOCKFILE-STALE"),
    "install": (scripts(postinstall="exit 3"), "E-INSTALL-FAILED"),
    "build": (scripts(build="exit 3"), "E-INSTALL-FAILED"),
    "key": ({"bootagent.toml": BRIEF + 'env.required = ["MISSING"]\n'}, "E-SECRET-KEY-MISSING"),
}  # fmt: skip


class TestBrokenUpdate:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary)

    @pytest.mark.parametrize("broken", BROKEN)
    def test_the_good_one_serves_without_a_failed_request(self, shared, machine, broken):  # noqa: F811
        files, code = BROKEN[broken]
        good, running = current(machine), process(machine)
        shared.repo(SERVICE).commit("test", talking(installs=True, note=broken) | {"way-out": None} | files)
        with Poller(machine) as poller:
            failed = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert_failed(machine, failed, 2, code)
        assert poller.asked and poller.failures == [], poller.failures
        assert (current(machine), process(machine)) == (good, running)
        assert leftovers(machine) == []
