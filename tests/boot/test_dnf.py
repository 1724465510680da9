"""OS packages by dnf, on a machine that calls itself Amazon Linux 2023. dnf, rpm and the repository are real."""

import re
import time

import pytest
import rpm_packages
from lab import World
from lab.deadline import wait_for
from lab.fixtures import _WORLD
from services import talking
from stage import POLICY, REPOSITORY, Stage, assert_failed

pytestmark = pytest.mark.variants

SAID = "/var/tmp/said"
LOCK = "/var/cache/dnf/metadata_lock.pid"


@pytest.fixture(scope="module")
def _amazon(binary):
    with World() as world:
        amazon = Stage(world, binary, layers=[rpm_packages.layer()])
        rpm_packages.publish(amazon.machine)
        yield amazon


@pytest.fixture
def amazon(request, _amazon):
    request.node.stash[_WORLD] = _amazon.world
    yield _amazon
    _amazon.heal()


def wants(amazon: Stage, *packages: str, policy: str = "") -> None:
    """A new service that needs these."""
    files = talking()
    names = ", ".join(f'"{package}"' for package in packages)
    amazon.serve(files | {"bootagent.toml": f"packages = [{names}]\n{files['bootagent.toml']}"})
    amazon.machine.check(["tee", POLICY], stdin=policy or rpm_packages.policy())


def begins(amazon: Stage, pattern: str) -> None:
    """A run goes on in the background, and a line of its log has that in it."""
    machine = amazon.machine
    machine.check(["rm", "-f", SAID])
    to_file = f"--property=StandardError=file:{SAID}"
    machine.check(["systemd-run", "--quiet", "--collect", "--unit=first", to_file, "bootagent", "run", "--repository", REPOSITORY])
    told = lambda: machine.exists(SAID) and re.search(pattern, machine.read(SAID))  # noqa: E731
    wait_for(f"the run to say {pattern!r}", told, 90, evidence=lambda: machine.read(SAID))


def ends_well(amazon: Stage) -> None:
    followed = amazon.machine.run(["bootagent", "status", "--wait"], timeout=180)
    assert followed.code == 0, f"{followed.stdout}\n{amazon.machine.read(SAID)}"


def test_a_repository_that_another_key_signed(amazon):
    wants(amazon, "libpq", policy=rpm_packages.policy(key=rpm_packages.STRANGER))
    assert_failed(amazon.machine, amazon.run(), 1, "E-OS-PACKAGES-KEY", "GPG signature verification error")
    assert not rpm_packages.has(amazon.machine, "libpq")


def test_a_package_that_is_not_signed(amazon):
    wants(amazon, "libpq", policy=rpm_packages.policy("unsigned"))
    assert_failed(amazon.machine, amazon.run(), 1, "E-OS-PACKAGES-KEY", "libpq-1.0-1", "is not signed")
    assert not rpm_packages.has(amazon.machine, "libpq")


def test_a_package_that_does_not_exist(amazon):
    wants(amazon, "libpq", "nothing-of-the-lab")
    assert_failed(amazon.machine, amazon.run(), 78, "E-OS-PACKAGES-MISSING", "no nothing-of-the-lab")
    assert not rpm_packages.has(amazon.machine, "libpq"), "half of what was asked for"


def test_a_repository_that_cannot_be_reached(amazon):
    wants(amazon, "libpq", policy=rpm_packages.policy("nowhere"))
    rpm_packages.end_to_serve(amazon.machine)
    try:
        failed = amazon.run()
    finally:
        rpm_packages.begin_to_serve(amazon.machine)
    assert_failed(amazon.machine, failed, 75, "E-OS-PACKAGES-UNREACHABLE", "Failed to download metadata")


def test_debian_s_names_and_its_own_are_installed_once(amazon):
    machine = amazon.machine
    wants(amazon, "libpq5", "g++", "program-of-the-lab")
    done = amazon.run()
    assert done.code == 0, done.stderr
    for package in ("libpq", "gcc-c++", "program-of-the-lab", "library-of-the-lab"):
        assert rpm_packages.has(machine, package), package
    assert machine.check(["find", "/var/cache/dnf", "-name", "*.rpm"]) == "", "packages that are installed are not kept"
    again = machine.run(["bootagent", "run"])
    assert again.code == 0, again.stderr
    assert "packages" not in [step["id"] for step in machine.run(["bootagent", "status", "--output", "json"]).json()["last_run"]["steps"] if step["outcome"] == "changed"]


def test_a_repository_that_answers_late_is_asked_again(amazon):
    wants(amazon, "late-of-the-lab")
    amazon.machine.check(["sh", "-c", "rm -rf /var/cache/dnf/*"])
    rpm_packages.end_to_serve(amazon.machine)
    try:
        begins(amazon, "commit [0-9a-f]+, ")
        # Four tries take some five seconds.
        time.sleep(2)
    finally:
        rpm_packages.begin_to_serve(amazon.machine)
    ends_well(amazon)
    assert rpm_packages.has(amazon.machine, "late-of-the-lab")


def test_a_lock_is_waited_for_and_its_holder_named(amazon):
    machine = amazon.machine
    wants(amazon, "locked-of-the-lab")
    machine.check(["systemd-run", "--quiet", "--unit=holder", "sleep", "300"])
    pid = machine.systemctl_show("holder.service")["MainPID"]
    machine.check(["tee", LOCK], stdin=pid)
    begins(amazon, rf"sleep \(pid {pid}\) holds {LOCK}")
    assert not rpm_packages.has(machine, "locked-of-the-lab")
    machine.check(["systemctl", "stop", "holder"])
    ends_well(amazon)
    assert rpm_packages.has(machine, "locked-of-the-lab")
