"""What is tidied after the service serves may fail: the run tells, and the service is in service all the same."""

import pytest
from looks import SERVICE, process, releases, shared, status  # noqa: F401
from services import BRIEF, talking
from stage import serving

OLD = f"/opt/{SERVICE}/releases/old"
# Time enough to put something in its way, and then it fails.
WAITING = 'install = "sh -c \'until [ -e go ]; do sleep 0.1; done; exit 3\'"\n' + BRIEF


class TestTidyingThatFails:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        machine = serving(shared, binary)
        # What is mounted cannot be removed, not even by root.
        machine.check(["sh", "-c", f"mkdir {OLD} && mount -t tmpfs none {OLD}"])
        yield machine
        machine.run(["umount", OLD])

    def test_the_service_is_in_service_and_the_run_says_what_failed(self, machine):
        result = machine.run(["bootagent", "run"], timeout=60)
        assert result.code == 0, result.stderr
        assert "is healthy, with warnings" in result.stderr and OLD in result.stderr, result.stderr
        code, said = status(machine)
        assert (code, said["state"]) == (0, "warnings"), said
        assert OLD in said["error"]["doing"] and "200" in said["probe"], said
        assert "healthy, with warnings" in machine.run(["bootagent", "status"]).stdout

    def test_who_is_strict_hears_it_by_the_exit_status(self, machine):
        assert machine.run(["bootagent", "run", "--strict"], timeout=60).code == 4
        assert machine.run(["bootagent", "status", "--strict"]).code == 4

    def test_a_degraded_service_that_ends_is_a_failure(self, machine):
        machine.check(["systemctl", "stop", f"{SERVICE}.service"])
        assert machine.run(["bootagent", "status", "--strict"]).code == 1

    def test_when_the_cause_is_gone_it_is_healthy(self, machine):
        machine.check(["umount", OLD])
        result = machine.run(["bootagent", "run", "--strict"], timeout=60)
        assert result.code == 0, result.stderr
        assert len(releases(machine)) == 1 and status(machine)[1]["state"] == "healthy"


def test_a_recovery_goes_on_beside_what_fails_in_it(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    machine = serving(world, binary)
    before = process(machine)
    (good,) = releases(machine)
    world.repo(SERVICE).commit("test", talking(**{"bootagent.toml": WAITING}))
    hold = f"cd /opt/{SERVICE}/releases; until n=$(ls | grep -v {good}) && [ -e $n/server.js ]; do sleep 0.1; done; mkdir $n/held; mount -t tmpfs none $n/held"
    machine.run(["systemd-run", "--quiet", "sh", "-c", f"{hold}; touch $n/go"])
    result = machine.run(["bootagent", "run", "--update"], timeout=90)
    code, said = status(machine)
    assert result.code == 2 and said["error"]["code"] == "E-INSTALL-FAILED", result.stderr
    outcomes = {step["id"]: step["outcome"] for step in said["steps"]}
    assert outcomes["discard"] == "failed" and outcomes["health-check-back"] == "unchanged", outcomes
    assert said["serving"] and said["serving"] != said["commit"], said
    assert process(machine) == before, "what served was restarted"
