"""A good service is never harmed: by a bad value, a wrong flag, a tag that moved, or a record that cannot be written."""

import pytest
from lab.deadline import wait_for
from looks import SERVICE, USER_DATA, ask, current, process, secret, shared, status  # noqa: F401
from services import TALKING, talking
from stage import SECRETS, serving

# Well with any value but one.
PARTICULAR = {"server.js": 'if (process.env.MODE === "bad") process.exit(7);\n' + TALKING}
MANIFEST = talking()["bootagent.toml"] + 'persist = ["uploads"]\n'
GOOD = f"/var/lib/bootagent/services/{SERVICE}/good.json"


class TestGoodService:
    """On a machine that serves, one thing after the other goes wrong."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, talking(**PARTICULAR), MODE="good", TOKEN="first")

    def serves(self, machine, **expected: str) -> None:
        env = ask(machine, "env")
        assert {name: env.get(name) for name in expected} == expected, env

    def test_a_value_with_which_it_does_not_start_is_taken_back(self, shared, machine):  # noqa: F811
        secret(shared, MODE="bad", TOKEN="second")
        result = machine.run(["bootagent", "run"], timeout=120)
        assert result.code == 2 and "E-SERVICE-EXITED" in result.stderr, result
        self.serves(machine, MODE="good", TOKEN="first")
        code, said = status(machine)
        assert (code, said["state"], said["serving"]) == (4, "degraded", said["commit"]), said
        assert "200" in said["probe"], said["probe"]

    def test_a_wrong_flag_does_not_outlive_its_run(self, shared, machine):  # noqa: F811
        secret(shared, MODE="good", TOKEN="third")
        wrong = machine.run(["bootagent", "run", "--secret", "no_such_secret"], timeout=120)
        assert wrong.code == 2 and "E-SECRET-DENIED" in wrong.stderr, wrong
        right = machine.run(["bootagent", "run"], timeout=120)
        assert right.code == 0, right.stderr
        self.serves(machine, TOKEN="third")

    @pytest.mark.parametrize("flag", [f"--ref={'0' * 40}", "--service=other", "--environment=stage"])
    def test_a_flag_that_would_be_ignored_is_an_error(self, machine, flag):
        before = process(machine)
        result = machine.run(["bootagent", "run", flag])
        assert result.code == 64 and "--update" in result.stderr, result
        assert process(machine) == before, "the service was restarted"

    def test_an_update_takes_another_commit(self, shared, machine):  # noqa: F811
        newest = shared.repo(SERVICE).commit("test", talking(**PARTICULAR, **{"note.txt": "two"}))
        result = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert result.code == 0, result.stderr
        code, said = status(machine)
        assert (code, said["service"], said["commit"]) == (0, SERVICE, newest), said

    def test_a_lost_release_is_made_again(self, machine):
        machine.check(["sh", "-c", f"rm -rf /opt/{SERVICE}/releases/*"])
        result = machine.run(["bootagent", "run"], timeout=120)
        assert result.code == 0, result.stderr
        assert machine.exists(f"/opt/{SERVICE}/releases/{current(machine)}/server.js"), "the release was taken for whole"

    def test_a_record_that_cannot_be_written_stops_nothing(self, shared, machine):  # noqa: F811
        machine.check(["sh", "-c", f"rm {GOOD} && mkdir -p {GOOD}/in-the-way"])
        secret(shared, MODE="good", TOKEN="fourth")
        result = machine.run(["bootagent", "run"], timeout=120)
        assert result.code == 1 and "good.json" in result.stderr, result
        self.serves(machine, TOKEN="fourth")


def test_a_reboot_goes_on_with_a_run_that_failed_before_its_plan(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", talking())
    machine = world.launch(user_data=USER_DATA, binary=binary)
    assert machine.wait_for_cloud_init().user_data_code == 78, "there is no secret yet"
    secret(world, TOKEN="late")
    machine.reboot()
    waited = machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
    assert waited.code == 0, waited.stdout + waited.stderr
    assert ask(machine, "env")["TOKEN"] == "late"


class TestRebootInAnOutage:
    """After an outage no operator logs in to each machine: the last healthy deployment serves again without one."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        machine = serving(shared, binary, talking(**{"bootagent.toml": MANIFEST}), "--imds-wait=3s", TOKEN="first")
        machine.write("/etc/systemd/system/bootagent.service.d/soon.conf", "[Service]\nRestartSec=3\n")
        return machine

    def ended(self, machine) -> tuple[int, dict]:
        waited = machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
        assert waited.code in (0, 1, 4), waited.stdout + waited.stderr
        return status(machine)

    def test_it_is_tried_again_until_the_outage_is_over(self, shared, machine):  # noqa: F811
        shared.unreachable(SECRETS, how="refused")
        machine.reboot()
        _, said = self.ended(machine)
        assert said["state"] == "failed" and said["error"]["code"] == "E-SECRET-UNREACHABLE", said
        shared.dns.forget(SECRETS)
        shared.reachable(SECRETS)
        wait_for("the service to serve again", lambda: status(machine)[1]["state"] == "healthy", 90, every=1)
        assert ask(machine, "env")["TOKEN"] == "first"

    def test_what_a_person_mends_from_outside_is_tried_again_too(self, shared, machine):  # noqa: F811
        shared.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        machine.reboot()
        _, said = self.ended(machine)
        assert said["error"]["code"] == "E-SECRET-DENIED", said
        wait_for("another try", lambda: machine.systemctl_show("bootagent.service")["NRestarts"] != "0", 30)
        shared.aws.heal()
        wait_for("the service to serve again", lambda: status(machine)[1]["state"] == "healthy", 90, every=1)

    def test_what_fails_beside_the_service_does_not_keep_it_down(self, shared, machine):  # noqa: F811
        uploads = f"/var/lib/{SERVICE}/uploads"
        machine.check(["sh", "-c", f"rmdir {uploads} && mkdir /mnt/uploads && ln -s /mnt/uploads {uploads}"])
        machine.reboot()
        code, said = self.ended(machine)
        assert (code, said["state"]) == (4, "degraded") and uploads in said["error"]["doing"], said
        assert said["serving"] == said["commit"] and "200" in said["probe"], said
        assert ask(machine, "env")["TOKEN"] == "first"
