"""What an operator told a machine counts: a masked unit, a disabled agent, a hold."""

import json

import pytest
from lab.deadline import wait_for
from looks import SERVICE, answers, ask, process, shared  # noqa: F401
from stage import serving

UNIT = f"{SERVICE}.service"
FILE = f"/etc/systemd/system/{UNIT}"
WANTED = "/etc/systemd/system/multi-user.target.wants/bootagent.service"
HOLD = "/var/lib/bootagent/hold"
STATUS = "/run/bootagent/status.json"
REASON = "the disk is examined"


@pytest.fixture(scope="class")
def machine(shared, binary):  # noqa: F811
    return serving(shared, binary)


def changes(machine) -> str:
    """Whatever a run would have touched first."""
    return machine.check(["sh", "-c", f"stat -c '%n %Y %i' {STATUS} /etc/systemd/system/* /var/lib/bootagent/services/*/*"])


def boots(machine) -> int:
    """Reboots, and waits for the boot's run: its exit status."""
    machine.reboot()
    machine.wait_for_boot()
    return int(machine.systemctl_show("bootagent.service")["ExecMainStatus"])


class TestMasked:
    def refused(self, machine, *arguments: str) -> None:
        before = changes(machine)
        for line in (["bootagent", "run"], ["bootagent", "update"], ["bootagent", "run", "--dry-run"]):
            result = machine.run(line, timeout=60)
            assert result.code == 77 and "E-UNIT-MASKED" in result.stderr, (line, result)
            assert f"systemctl unmask {UNIT}" in result.stderr, result.stderr
        assert [line for line in changes(machine).splitlines() if STATUS not in line] == [
            line for line in before.splitlines() if STATUS not in line
        ]

    def test_a_unit_that_is_masked_at_runtime_stays_masked_and_runs_on(self, machine):
        running = process(machine)
        machine.check(["systemctl", "mask", "--runtime", UNIT])
        self.refused(machine)
        assert machine.readlink(f"/run/systemd/system/{UNIT}") == "/dev/null" and process(machine) == running
        machine.check(["systemctl", "unmask", "--runtime", UNIT])
        assert machine.run(["bootagent", "run"], timeout=60).code == 0

    def test_a_unit_that_is_masked_for_good_is_not_started_again(self, machine):
        machine.check(["systemctl", "stop", UNIT])
        machine.check(["rm", FILE])
        machine.check(["systemctl", "mask", UNIT])
        self.refused(machine)
        assert machine.readlink(FILE) == "/dev/null" and answers(machine, "env") is None

    def test_nor_by_a_run_that_ends_before_it_looks_at_the_unit(self, machine):
        """While nothing serves, what was good is started: but not against an operator's word."""
        machine.write("/etc/bootagent/policy.toml", "budget = 'soon'\n")
        result = machine.run(["bootagent", "run"], timeout=60)
        machine.check(["rm", "/etc/bootagent/policy.toml"])
        assert result.code == 78 and "E-POLICY-INVALID" in result.stderr, result
        assert machine.readlink(FILE) == "/dev/null" and answers(machine, "env") is None

    def test_nor_at_a_boot(self, machine):
        assert boots(machine) == 77
        assert machine.readlink(FILE) == "/dev/null" and answers(machine, "env") is None

    def test_unmasked_it_serves_again(self, machine):
        machine.check(["systemctl", "unmask", UNIT])
        assert machine.run(["bootagent", "run"], timeout=60).code == 0
        assert ask(machine, "env")["TOKEN"] == "t"


class TestDisabled:
    def test_what_an_operator_disabled_is_not_enabled_again(self, machine):
        machine.check(["systemctl", "disable", "bootagent.service"])
        for line in (["bootagent", "run"], ["bootagent", "run", "--dry-run"]):
            result = machine.run(line, timeout=60)
            said = result.stdout + result.stderr
            assert result.code == 0 and "bootagent.service is disabled, and no run enables it" in said, result
        assert not machine.exists(WANTED) and machine.exists("/etc/systemd/system/bootagent.service")

    def test_so_a_boot_starts_nothing(self, machine):
        machine.reboot()
        machine.wait_for_boot()
        assert not machine.exists(STATUS) and answers(machine, "env") is None

    def test_enabled_again_it_is_as_it_was(self, machine):
        machine.check(["systemctl", "enable", "bootagent.service"])
        result = machine.run(["bootagent", "run"], timeout=60)
        assert result.code == 0 and "disabled" not in result.stderr, result
        assert boots(machine) == 0 and ask(machine, "env")["TOKEN"] == "t"


class TestHeld:
    @pytest.fixture(autouse=True)
    def _held(self, machine):
        machine.check(["bootagent", "hold", "--reason", REASON])

    @pytest.mark.parametrize("line", ["run", "run --update", "update", "rollback", "rollback 0123456", "run --at-boot"])
    def test_no_run_changes_anything(self, machine, line):
        before, running = changes(machine), process(machine)
        result = machine.run(["bootagent", *line.split()], timeout=60)
        assert result.code == 77 and "E-HELD" in result.stderr, result
        assert REASON in result.stderr and "held since 20" in result.stderr and "bootagent unhold" in result.stderr, result
        assert (changes(machine), process(machine)) == (before, running)

    def test_a_dry_run_works_and_says_so(self, machine):
        plan = machine.check(["bootagent", "run", "--dry-run"], timeout=60)
        assert "this machine is held: a real run ends at once, until bootagent unhold" in plan

    def test_the_hold_is_root_s_and_plain(self, machine):
        found = machine.stat(HOLD)
        assert (found.mode, found.owner) == (0o600, "root")
        hold = json.loads(machine.read(HOLD))
        assert hold["reason"] == REASON and hold["since"] > 1_700_000_000
        machine.check(["bootagent", "hold"])
        assert json.loads(machine.read(HOLD)) == hold, "held again it is held as before"
        for line in (["hold"], ["unhold"]):
            refused = machine.run(["bootagent", *line], user="nobody")
            assert refused.code == 77 and "E-NOT-ROOT" in refused.stderr, refused

    def test_a_run_that_has_begun_is_named_and_not_broken_off(self, machine):
        assert "a run is active" not in machine.check(["bootagent", "hold"])
        machine.check(["systemd-run", "--unit=runs", "flock", "/run/bootagent/run.lock", "sleep", "600"])
        wait_for("the lock to be taken", lambda: machine.run(["flock", "-n", "/run/bootagent/run.lock", "true"]).code == 1, 10)
        assert "a run is active and continues to its end" in machine.check(["bootagent", "hold"])
        machine.check(["systemctl", "stop", "runs.service"])

    def test_a_boot_changes_nothing_either_and_the_console_tells(self, machine):
        assert boots(machine) == 77
        assert answers(machine, "env") is None and not machine.exists(STATUS)
        words = [line for line in machine.console().splitlines() if line.startswith("bootagent: ")]
        assert "E-HELD" in words[-2] and REASON in words[-2] and "bootagent unhold" in words[-1], words
        assert machine.run(["bootagent", "run", "--at-boot"]).code == 77
        assert [line for line in machine.console().splitlines() if line.startswith("bootagent: ")] == words, "told once"

    def test_a_file_that_was_put_there_by_hand_holds_as_well(self, machine):
        machine.check(["bootagent", "unhold"])
        machine.check(["touch", HOLD])
        result = machine.run(["bootagent", "run"], timeout=60)
        assert result.code == 77 and "held since 20" in result.stderr, result

    def test_unheld_it_serves_again(self, machine):
        said = machine.check(["bootagent", "unhold"])
        assert REASON in said and "next: bootagent run" in said, said
        assert machine.check(["bootagent", "unhold"]) == "this machine was not held\n"
        assert machine.run(["bootagent", "run"], timeout=60).code == 0 and ask(machine, "env")["TOKEN"] == "t"
