"""An instance gets another service: the former one stops right before the new one starts, and comes back if that fails. Both
listen on one port, which is asked every 20 ms."""

import json

import pytest
from lab.deadline import wait_for
from lab.world import may
from looks import SERVICE, answers, ask, leftovers, process, shared, status  # noqa: F401
from poller import Poller
from services import BRIEF, talking
from stage import REPOSITORY, serving

MAIL = "gmail-service"
EXITS = {"server.js": "process.exit(3)"}
SWITCHES = f"{SERVICE} is stopped: this instance switches to {MAIL}"
# From the stop of the one to the first answer of the other, on a busy host.
GAP = 10.0


def state(machine, service: str) -> str:
    return machine.systemctl_show(f"{service}.service")["ActiveState"]


def active(machine) -> list[str]:
    return [name for name in (SERVICE, MAIL) if state(machine, name) == "active"]


def serves(machine, service: str) -> None:
    assert active(machine) == [service]
    assert ask(machine, "release").startswith(f"/opt/{service}/"), ask(machine, "release")


def decided(machine) -> str:
    return json.loads(machine.check(["sh", "-c", "cat /var/lib/bootagent/instances/*/decision.json"]))["service"]


class TestSwitch:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.role([may("secretsmanager:GetSecretValue", "*")])
        shared.secret(f"service_env_{MAIL}_test", json.dumps({"TOKEN": "mail"}))
        shared.repo(MAIL).commit("test", talking(**EXITS))
        return serving(shared, binary)

    def test_a_tag_that_moved_is_told_and_left_aside_by_a_plain_run(self, shared, machine):  # noqa: F811
        running = process(machine)
        shared.tags["bootagent:service"] = MAIL
        note = f"tag bootagent:service says {MAIL}, and this instance stays {SERVICE}: bootagent update applies it"
        plain = machine.run(["bootagent", "run"], timeout=60)
        assert plain.code == 0 and note in plain.stderr, plain
        assert note in status(machine)[1]["notes"] if "notes" in status(machine)[1] else note in machine.run(["bootagent", "status"]).stdout
        assert note in machine.check(["bootagent", "run", "--dry-run"], timeout=60)
        assert process(machine) == running

    def test_a_service_that_breaks_before_its_start_costs_no_request(self, shared, machine):  # noqa: F811
        running = process(machine)
        shared.repo(MAIL).commit("test", {"bootagent.toml": "prot = 1\n"})
        with Poller(machine) as poller:
            failed = machine.run(["bootagent", "update"], timeout=120)
        assert failed.code == 2 and "E-MANIFEST-INVALID" in failed.stderr, failed
        assert poller.asked > 5 and poller.failures == [], poller.failures
        assert process(machine) == running and decided(machine) == SERVICE
        serves(machine, SERVICE)

    def test_a_service_that_fails_its_check_gives_way_to_the_former_one(self, shared, machine):  # noqa: F811
        running = process(machine)
        shared.repo(MAIL).commit("test", {"bootagent.toml": talking()["bootagent.toml"]})
        failed = machine.run(["bootagent", "update"], timeout=120)
        assert failed.code == 2 and "E-SERVICE-EXITED" in failed.stderr, failed
        assert SWITCHES in failed.stderr, failed.stderr
        serves(machine, SERVICE)
        assert process(machine)[0] != running[0], "it was never stopped: this test shows nothing"
        with Poller(machine) as poller:
            again = machine.run(["bootagent", "run"], timeout=60)
        assert again.code == 0 and poller.failures == [], (again.stderr, poller.failures)
        assert decided(machine) == SERVICE and leftovers(machine) == []

    def test_the_same_again_by_a_timer_costs_no_request(self, machine):
        with Poller(machine) as poller:
            again = machine.run(["bootagent", "update"], timeout=60)
        assert again.code == 2 and "E-SERVICE-EXITED" in again.stderr and "--again" in again.stderr, again
        assert poller.asked and poller.failures == [], poller.failures
        serves(machine, SERVICE)

    def test_a_reboot_after_that_starts_the_former_one(self, machine):
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
        assert waited.code == 0, waited.stdout
        serves(machine, SERVICE)

    def test_a_run_that_is_killed_in_the_middle_leaves_the_former_choice(self, shared, machine):  # noqa: F811
        shared.repo(MAIL).commit("test", {"server.js": "setInterval(() => {}, 1000)"})
        machine.check(["systemd-run", "--unit=update", "bootagent", "update"])
        wait_for("the new one to be started", lambda: active(machine) == [MAIL], 60, evidence=machine.console_tail)
        machine.check(["systemctl", "kill", "--signal=KILL", "update.service"])
        wait_for("the agent to be gone", lambda: machine.run(["systemctl", "is-active", "update.service"]).code != 0, 20)
        assert decided(machine) == SERVICE
        plain = machine.run(["bootagent", "run"], timeout=60)
        assert plain.code == 0, plain.stderr
        serves(machine, SERVICE)

    def test_a_healthy_one_takes_over_within_a_restart_s_time(self, shared, machine):  # noqa: F811
        commit = shared.repo(MAIL).commit("test", talking(note="mail"))
        with Poller(machine) as poller:
            switched = machine.run(["bootagent", "update"], timeout=120)
        assert switched.code == 0 and f"note: {SWITCHES}" in switched.stderr, switched
        serves(machine, MAIL)
        times = [when for when, _ in poller.failures]
        assert not times or times[-1] - times[0] < GAP, poller.failures
        assert decided(machine) == MAIL
        assert ask(machine, "release").rpartition("/")[2].startswith(commit)
        assert machine.run(["bootagent", "status"]).code == 0
        plain = machine.run(["bootagent", "run"], timeout=60)
        assert plain.code == 0 and "is stopped" not in plain.stderr, plain

    def test_a_reboot_starts_the_new_one_only(self, machine):
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
        assert waited.code == 0, waited.stdout
        serves(machine, MAIL)

    def test_a_flag_switches_back_and_what_it_names_is_kept(self, shared, machine):  # noqa: F811
        line = ["bootagent", "run", "--update", "--service", SERVICE, "--repository", REPOSITORY]
        back = machine.run(line, timeout=120)
        assert back.code == 0, back.stderr
        serves(machine, SERVICE)
        plain = machine.run(["bootagent", "run"], timeout=60)
        assert plain.code == 0 and decided(machine) == SERVICE, plain
        assert "bootagent:service" not in plain.stderr, "a flag that was recorded goes before the tag"

    def test_one_that_passed_before_and_breaks_now_gives_way_as_well(self, shared, machine):  # noqa: F811
        """Its own last good deployment is not what served."""
        shared.repo(MAIL).commit("test", EXITS)
        failed = machine.run(["bootagent", "run", "--update", "--service", MAIL], timeout=120)
        assert failed.code == 2 and "E-SERVICE-EXITED" in failed.stderr, failed
        serves(machine, SERVICE)
        assert decided(machine) == SERVICE
        assert "service = \"gmail-service\"" not in machine.check(["sh", "-c", "cat /var/lib/bootagent/instances/*/policy.toml"])

    def test_what_an_operator_starts_beside_it_is_told_and_left_alone(self, shared, machine):  # noqa: F811
        manifest = "install = false\n" + BRIEF.replace("3000", "3001")
        shared.repo(MAIL).commit("test", talking(**{"bootagent.toml": manifest}))
        for service in (MAIL, SERVICE):
            moved = machine.run(["bootagent", "run", "--update", "--service", service], timeout=120)
            assert moved.code == 0, moved.stderr
        machine.check(["systemctl", "start", f"{MAIL}.service"])
        running = process(machine, f"{MAIL}.service")
        plain = machine.run(["bootagent", "run"], timeout=60)
        assert plain.code == 0 and f"{MAIL} runs beside {SERVICE}" in plain.stderr, plain
        assert active(machine) == [SERVICE, MAIL] and process(machine, f"{MAIL}.service") == running

    def test_a_former_one_that_systemd_starts_again_and_again_is_stopped_for_good(self, shared, machine):  # noqa: F811
        machine.check(["systemctl", "stop", f"{MAIL}.service"])
        broken = f"/run/systemd/system/{SERVICE}.service.d"
        text = "[Service]\\nExecStart=\\nExecStart=/bin/false\\n"
        machine.check(["sh", "-c", f"mkdir -p {broken} && printf '{text}' >{broken}/broken.conf && systemctl daemon-reload"])
        machine.run(["systemctl", "restart", f"{SERVICE}.service"])
        wait_for("it to wait for its next start", lambda: state(machine, SERVICE) == "activating", 20, every=0.05)
        switched = machine.run(["bootagent", "run", "--update", "--service", MAIL], timeout=120)
        assert switched.code == 0 and SWITCHES in switched.stderr, switched
        assert (state(machine, SERVICE), state(machine, MAIL)) == ("inactive", "active")
