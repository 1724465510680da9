"""While nothing serves, every failure is tried again, slowly; and a machine that ran something does not forget it."""

import json
import re

import pytest
from lab.deadline import wait_for
from lab.world import may
from looks import SERVICE, USER_DATA, ask, secret, shared, status  # noqa: F401
from services import talking
from stage import POLICY, run, serving

pytestmark = pytest.mark.variants

SOON = "/etc/systemd/system/bootagent.service.d/soon.conf"
TIMER, RETRY = "bootagent-retry.timer", "bootagent-retry.service"
STATE = "/var/lib/bootagent"


def agent(machine) -> dict:
    return machine.systemctl_show("bootagent.service")


def is_healthy(machine) -> bool:
    return status(machine)[1]["state"] == "healthy"


def ended(machine) -> dict:
    machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
    return status(machine)[1]


class TestAtABoot:
    """What only a person can mend is mended from outside: an operator does not log in to each machine of a fleet."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        machine = serving(shared, binary, talking(), "--imds-wait=3s", TOKEN="first")
        machine.write(SOON, "[Service]\nRestartSec=3\n")
        return machine

    def test_the_pause_is_five_minutes(self, machine):
        machine.check(["rm", SOON])
        machine.check(["systemctl", "daemon-reload"])
        shown = agent(machine)
        assert (shown["Restart"], shown["RestartUSec"]) == ("on-failure", "5min"), shown
        assert shown["RestartPreventExitStatus"].split() == ["2", "64", "70"], shown
        machine.write(SOON, "[Service]\nRestartSec=3\n")
        machine.check(["systemctl", "daemon-reload"])

    def denied(self, shared, machine):  # noqa: F811
        shared.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        return "E-SECRET-DENIED", shared.aws.heal

    def missing(self, shared, machine):  # noqa: F811
        shared.aws.fail("secretsmanager", 400, "ResourceNotFoundException", "there is no such secret any more")
        return "E-SECRET-MISSING", shared.aws.heal

    def refused(self, shared, machine):  # noqa: F811
        machine.write(POLICY, 'services = ["other"]\n')
        return "E-POLICY-REFUSED", lambda: machine.check(["rm", POLICY])

    @pytest.mark.parametrize("breaks", [denied, missing, refused])
    def test_it_comes_back_by_itself(self, shared, machine, breaks):  # noqa: F811
        code, mend = breaks(self, shared, machine)
        machine.reboot()
        said = ended(machine)
        assert said["error"]["code"] == code and said["serving"] is None, said
        assert said["retry_at"] >= said["finished"], said
        assert re.search(r"tried again at \d\d:\d\d:\d\d UTC", machine.console()), machine.console_tail()
        wait_for("a second try", lambda: int(agent(machine)["NRestarts"]) >= 1, 60)
        mend()
        wait_for("the service to serve", lambda: is_healthy(machine), 60, every=1, evidence=machine.console_tail)
        assert ask(machine, "env")["TOKEN"] == "first"
        assert "retry_at" not in status(machine)[1]

    def test_records_that_are_not_there_are_told(self, machine):
        machine.check(["mv", STATE, "/mnt/state"])
        machine.reboot()
        said = ended(machine)
        assert said["state"] == "failed" and said["error"]["code"] == "E-RECORDS-MISSING", said
        assert f"this machine has run {SERVICE}" in " ".join(said["error"]["causes"]), said["error"]
        wait_for("a second try", lambda: int(agent(machine)["NRestarts"]) >= 1, 60)
        machine.check(["sh", "-c", f"rm -rf {STATE} && mv /mnt/state {STATE}"])
        wait_for("the service to serve", lambda: is_healthy(machine), 60, every=1)

    def test_records_on_a_disk_that_is_late_are_waited_for(self, machine):
        """As of a volume that takes a while to attach: the first boot's flags and choice stand on it."""
        machine.check(["sh", "-c", f"mkdir -p /mnt/disk && cp -a {STATE}/. /mnt/disk && rm -rf {STATE} && mkdir {STATE}"])
        machine.write(
            "/etc/systemd/system/slow-disk.service",
            "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=sleep 8\n",
        )
        machine.write(
            "/etc/systemd/system/var-lib-bootagent.mount",
            "[Unit]\nRequires=slow-disk.service\nAfter=slow-disk.service\n"
            f"[Mount]\nWhat=/mnt/disk\nWhere={STATE}\nType=none\nOptions=bind,_netdev\n"
            "[Install]\nWantedBy=multi-user.target\n",
        )
        machine.check(["systemctl", "enable", "var-lib-bootagent.mount"])
        machine.reboot()
        said = ended(machine)
        assert said["state"] == "healthy", said
        assert agent(machine)["NRestarts"] == "0"


def test_where_nothing_ever_ran_there_is_nothing_to_do(world, binary):
    """The control: an image with the unit, before any user-data."""
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    machine = world.launch(binary=binary)
    at_boot = machine.run(["bootagent", "run", "--at-boot", "--imds-wait=3s"])
    assert at_boot.code == 0, at_boot.stderr
    assert status(machine)[1]["state"] == "not-started"


class TestBeforeTheTags:
    """A first run that fails before it knows which service this is: what a later try needs is recorded already."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", talking())
        secret(shared, TOKEN="t")
        shared.role([may("secretsmanager:GetSecretValue", "*")])
        shared.tags = {"Name": "not ours"}
        return shared.launch(binary=binary)

    def test_it_hands_over(self, machine):
        failed = run(machine, "--imds-wait=3s")
        assert failed.code == 78 and "E-TAG-MISSING" in failed.stderr and "tried again at" in failed.stderr, failed.stderr
        assert machine.systemctl_show(TIMER)["ActiveState"] == "active"

    def test_the_next_try_fails_as_it_did(self, machine):
        machine.write(SOON, "[Service]\nRestartSec=60\n")
        machine.check(["systemctl", "daemon-reload"])
        machine.check(["systemctl", "start", RETRY])
        wait_for("the try to fail", lambda: agent(machine)["SubState"] == "auto-restart", 60, evidence=machine.console_tail)
        assert status(machine)[1]["error"]["code"] == "E-TAG-MISSING"

    def test_mended_by_hand_nothing_is_left_to_be_tried(self, shared, machine):  # noqa: F811
        """What an operator stops after that stays stopped."""
        shared.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        assert agent(machine)["SubState"] == "auto-restart"
        by_hand = machine.run(["bootagent", "run"], timeout=120)
        assert by_hand.code == 0, by_hand.stderr
        assert agent(machine)["SubState"] != "auto-restart" and machine.systemctl_show(TIMER)["ActiveState"] == "inactive"

    def test_a_reboot_serves(self, machine):
        machine.reboot()
        assert ended(machine)["state"] == "healthy"
        assert ask(machine, "env")["TOKEN"] == "t"


class TestHandOver:
    """A run from user-data or by hand, which systemd does not start again."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        """Its user-data failed: there is no secret yet."""
        shared.repo(SERVICE).commit("test", talking())
        machine = shared.launch(user_data=USER_DATA, binary=binary)
        done = machine.wait_for_cloud_init(timeout=300)
        assert done.user_data_code not in (0, 2), done.output
        return machine

    def timer(self, machine) -> str:
        return machine.systemctl_show(TIMER)["ActiveState"]

    def due(self, machine) -> float:
        """In how many seconds the timer ends."""
        left = "systemctl list-timers --output=json bootagent-retry.timer; cut -d. -f1 /proc/uptime; date +%s%6N"
        listed, _, now = machine.check(["sh", "-c", left]).strip().splitlines()
        return (json.loads(listed)[0]["next"] - int(now)) / 1e6

    def test_the_first_boot_hands_over(self, machine):
        said = status(machine)[1]
        assert said["error"]["code"] in ("E-SECRET-MISSING", "E-SECRET-DENIED"), said
        assert self.timer(machine) == "active"
        assert 200 < self.due(machine) <= 300
        (told,) = re.findall(r"tried again at (\d\d:\d\d:\d\d) UTC", machine.run(["cat", "/var/log/cloud-init-output.log"]).stdout)
        assert told in machine.console()

    def test_another_failure_replaces_the_first(self, machine):
        before = machine.systemctl_show(TIMER)["InvocationID"]
        failed = run(machine, "--imds-wait=3s")
        assert failed.code not in (0, 2) and "tried again at" in failed.stderr, failed.stderr
        assert machine.systemctl_show(TIMER)["InvocationID"] != before
        assert 290 < self.due(machine) <= 300

    def test_a_wrong_command_line_is_not_tried_again(self, machine):
        before = machine.systemctl_show(TIMER)["InvocationID"]
        refused = machine.run(["bootagent", "run", "--nonsense"])
        assert refused.code == 64
        assert machine.systemctl_show(TIMER)["InvocationID"] == before

    def test_what_it_starts_goes_on_by_itself(self, shared, machine):  # noqa: F811
        machine.write(SOON, "[Service]\nRestartSec=2\n")
        machine.check(["systemctl", "daemon-reload"])
        machine.check(["systemctl", "start", RETRY])
        wait_for("a second try", lambda: int(agent(machine)["NRestarts"]) >= 1, 60, evidence=machine.console_tail)
        secret(shared, TOKEN="late")
        wait_for("the service to serve", lambda: is_healthy(machine), 60, every=1, evidence=machine.console_tail)
        assert ask(machine, "env")["TOKEN"] == "late"
        assert self.timer(machine) == "inactive"

    def test_after_a_success_by_the_unit_it_is_arranged_all_the_same(self, shared, machine):  # noqa: F811
        """The unit is active (exited): a mere start would do nothing."""
        wait_for("the unit to be done", lambda: agent(machine)["ActiveState"] == "active", 20)
        machine.check(["systemctl", "stop", SERVICE])
        machine.check(["rm", "-rf", f"/run/bootagent/{SERVICE}"])
        shared.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        failed = run(machine, "--imds-wait=3s")
        assert "E-SECRET-DENIED" in failed.stderr and self.timer(machine) == "active", failed.stderr
        shared.aws.heal()
        machine.check(["systemctl", "start", RETRY])
        wait_for("the service to serve", lambda: is_healthy(machine), 60, every=1)
        wait_for("the timer to go", lambda: self.timer(machine) == "inactive", 10)

    def test_a_failure_beside_what_serves_arranges_nothing(self, shared, machine):  # noqa: F811
        shared.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        failed = run(machine, "--imds-wait=3s")
        shared.aws.heal()
        assert failed.code != 0 and "serves on" in failed.stderr and "tried again" not in failed.stderr, failed.stderr
        assert self.timer(machine) == "inactive"
