"""The machine goes down in the middle of its first run: bootagent.service goes on with it at the next boot."""

import pytest
from lab.deadline import wait_for
from looks import CACHE, SERVICE, USER_DATA, ask, leftovers, releases, secret, status
from services import lingering, talking

pytestmark = pytest.mark.variants

SOAK = {"bootagent.toml": 'install = false\nport = 3000\nhealth = { path = "/health", soak = "6s" }\n'}


@pytest.fixture
def begin(world, binary):
    def begin(files):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", files)
        secret(world, TOKEN="t")
        return world.launch(user_data=USER_DATA, binary=binary)

    return begin


def pull_the_plug(machine) -> None:
    machine.kill()


def orderly(machine) -> None:
    """As far as to the end: systemd tells the run to stop."""
    machine.run(["systemctl", "--no-block", "poweroff"])
    machine.wait_for_stop()


def goes_on(machine) -> None:
    assert machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100).code == 0, (
        machine.run(["bootagent", "status"]).stdout
    )
    code, said = status(machine)
    assert (code, said["state"]) == (0, "healthy"), said
    assert said["boot_id"] == machine.boot_id()
    assert ask(machine, "env")["TOKEN"] == "t"
    assert leftovers(machine) == []
    assert len(releases(machine)) == 1


@pytest.mark.parametrize("down", [pull_the_plug, orderly])
def test_while_packages_are_installed(begin, down):
    machine = begin(lingering())
    wait_for("npm ci to run", lambda: machine.exists(f"{CACHE}/lingers"), 60, evidence=machine.console_tail)
    down(machine)
    assert not machine.exists(f"/var/lib/bootagent/services/{SERVICE}/good.json")
    machine.write(f"{CACHE}/pass", "")
    machine.start()
    goes_on(machine)
    assert "stray-of-" not in machine.check(["ls", f"/opt/{SERVICE}/current/"]), "the half release was taken for whole"


@pytest.mark.parametrize("down", [pull_the_plug, orderly])
def test_while_the_gate_soaks(begin, down):
    machine = begin(talking(**SOAK))

    def soaks() -> bool:
        if not machine.exists("/run/bootagent/status.json"):
            return False
        steps = status(machine)[1]["steps"]
        listens = machine.run(["grep", "-q", ":0BB8 ", "/proc/net/tcp", "/proc/net/tcp6"]).code == 0
        return listens and any(step["id"] == "health-check" and step["outcome"] == "running" for step in steps)

    wait_for("the gate to soak", soaks, 60, every=0.1, evidence=machine.console_tail)
    down(machine)
    assert not machine.exists(f"/var/lib/bootagent/services/{SERVICE}/good.json"), "it passed before the machine went down"
    machine.start()
    goes_on(machine)
