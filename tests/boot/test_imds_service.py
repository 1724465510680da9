"""A service to which the policy denies instance metadata: its own unit proves at every start that it has none."""

import pytest
from lab.deadline import wait_for
from looks import SERVICE, ask, current, process, secret, shared, status  # noqa: F401
from services import BRIEF, TALKING, talking
from stage import POLICY, assert_failed, run

DENIED = "[imds]\nservice = false\n"
# What leaves the unit's IPAddressDeny= without effect, as a kernel without cgroup BPF does.
WITHOUT_EFFECT = {"reset": "IPAddressDeny=", "allowed": "IPAddressAllow=any"}
STARTED = f"/var/lib/{SERVICE}/started"
NOTING = f'require("fs").appendFileSync("{STARTED}", "x");\n' + TALKING
REHEARSING = 'port = 3000\nrehearsal.port = 13000\nhealth = { path = "/health", soak = "1s", timeout = "5s" }\n'
MIGRATED = f"/var/lib/{SERVICE}/migrated"
# A filter that refuses datagrams to the address, and lets connections pass.
NO_DATAGRAMS = """
table inet operator {
    chain output {
        type filter hook output priority 0; policy accept;
        ip daddr 169.254.169.254 meta l4proto udp drop
    }
}
"""


def put(machine, unit: str, line: str) -> None:
    machine.check(["mkdir", "-p", f"/etc/systemd/system/{unit}.d"])
    machine.write(f"/etc/systemd/system/{unit}.d/none.conf", f"[Service]\n{line}\n")
    machine.check(["systemctl", "daemon-reload"])


def take_back(machine, unit: str) -> None:
    machine.check(["rm", f"/etc/systemd/system/{unit}.d/none.conf"])
    machine.check(["systemctl", "daemon-reload"])


def starts(machine) -> int:
    return len(machine.read(STARTED)) if machine.exists(STARTED) else 0


def proof(machine) -> str:
    """How the proof before the service's last start ended."""
    return machine.systemctl_show(f"{SERVICE}.service").get("ExecStartPre", "").rpartition("status=")[2]


class TestDenied:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", talking(**{"server.js": NOTING}))
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary, files={POLICY: DENIED})
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    def test_it_serves_and_has_no_metadata(self, machine):
        assert ask(machine, "imds") in ("TimeoutError", "EPERM", "EACCES")
        assert proof(machine).startswith("0 "), "the unit has proved nothing"

    def test_a_second_run_does_not_restart_it(self, machine):
        running = process(machine)
        again = machine.run(["bootagent", "run"])
        assert again.code == 0 and process(machine) == running, again.stderr

    @pytest.mark.parametrize("line", WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
    def test_after_a_crash_it_is_not_started_where_metadata_would_answer(self, machine, line):
        unit = f"{SERVICE}.service"
        put(machine, unit, line)
        before = starts(machine)
        try:
            machine.check(["kill", "-KILL", machine.systemctl_show(unit)["MainPID"]])
            wait_for("the proof to fail", lambda: proof(machine).startswith("189 "), 20, every=0.2)
            told = machine.run(["bootagent", "status"])
            assert told.code == 1 and "the service could reach IMDS" in told.stdout, told.stdout
            failed = machine.run(["bootagent", "run"], timeout=120)
            said = assert_failed(machine, failed, 1, "E-IMDS-ANSWERS", f"starting {unit}")
            assert any("169.254.169.254:80 answers" in line for line in said["error"]["output"]), said["error"]
            assert starts(machine) == before, "it was started"
        finally:
            take_back(machine, unit)
        wait_for("the service to come back", lambda: machine.systemctl_show(unit)["SubState"] == "running", 20, every=0.2)
        again = machine.run(["bootagent", "run"], timeout=120)
        assert again.code == 0 and starts(machine) > before, again.stderr

    def test_a_candidate_of_an_update_is_not_started_either(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", {"bootagent.toml": REHEARSING})
        assert machine.run(["bootagent", "run", "--update"], timeout=120).code == 0
        serving, running, before = current(machine), process(machine), starts(machine)
        commit = shared.repo(SERVICE).commit("test", {"note": "a candidate"})
        unit = f"bootagent-{SERVICE}-candidate.service"
        put(machine, unit, WITHOUT_EFFECT["reset"])
        try:
            failed = machine.run(["bootagent", "run", "--update"], timeout=120)
        finally:
            take_back(machine, unit)
        assert_failed(machine, failed, 2, "E-IMDS-ANSWERS", f"starting {unit}")
        assert (current(machine), process(machine), starts(machine)) == (serving, running, before)
        updated = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert updated.code == 0 and current(machine).startswith(commit), updated.stderr
        assert starts(machine) == before + 2, "the candidate and the service"

    def test_a_migration_is_not_begun_either(self, shared, machine):  # noqa: F811
        serving, running = current(machine), process(machine)
        shared.repo(SERVICE).commit("test", {"bootagent.toml": BRIEF + f'migrate = "touch {MIGRATED}"\n'})
        unit = f"bootagent-{SERVICE}-migrate.service"
        put(machine, unit, WITHOUT_EFFECT["reset"])
        try:
            failed = machine.run(["bootagent", "run", "--update"], timeout=120)
        finally:
            take_back(machine, unit)
        assert_failed(machine, failed, 2, "E-IMDS-ANSWERS", "touch")
        assert (current(machine), process(machine)) == (serving, running) and not machine.exists(MIGRATED)
        updated = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert updated.code == 0 and machine.exists(MIGRATED), updated.stderr


def test_on_a_first_boot_nothing_is_started_where_metadata_would_answer(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", talking(**{"server.js": NOTING}))
    secret(world, TOKEN="t")
    machine = world.launch(binary=binary, files={POLICY: DENIED})
    put(machine, f"{SERVICE}.service", WITHOUT_EFFECT["reset"])
    assert_failed(machine, run(machine), 1, "E-IMDS-ANSWERS", f"starting {SERVICE}.service")
    assert starts(machine) == 0
    assert machine.systemctl_show(f"{SERVICE}.service")["ActiveState"] == "inactive"
    assert status(machine)[1]["serving"] is None


def test_a_filter_of_datagrams_is_not_a_proof(world, binary):
    """The kernel's word about a datagram comes first, and is not the last one."""
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", talking(**{"bootagent.toml": BRIEF}))
    secret(world, TOKEN="t")
    machine = world.launch(binary=binary)
    machine.check(["nft", "-f", "-"], stdin=NO_DATAGRAMS)
    put(machine, f"bootagent-{SERVICE}-install.service", WITHOUT_EFFECT["reset"])
    assert_failed(machine, run(machine), 1, "E-IMDS-ANSWERS", "the proof failed")
