"""A run that ends before it has a plan tells what serves meanwhile, and leaves it alone."""

import pytest
from lab.deadline import wait_for
from looks import SERVICE, answers, ask, process, secret, shared, status, waited_for  # noqa: F401
from services import talking
from stage import POLICY, assert_failed, run

pytestmark = pytest.mark.variants

HANDOVER = f"/run/bootagent/{SERVICE}.handover"


@pytest.fixture(scope="class")
def served(shared, binary):  # noqa: F811
    """A machine whose service is in service, and its commit."""
    commit = shared.repo(SERVICE).commit("test", talking())
    secret(shared, TOKEN="t")
    machine = shared.launch(binary=binary)
    first = run(machine)
    assert first.code == 0, first.stderr
    return machine, commit


@pytest.fixture
def world(shared):  # noqa: F811
    yield shared
    shared.repo(SERVICE).heal()
    shared.aws.heal()


def no_source(world, machine) -> tuple:
    world.repo(SERVICE).fail(503)
    return run(machine, "--update", "--budget=10s"), "E-GIT-UNREACHABLE", "503"


def no_secret(world, machine) -> tuple:
    world.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
    return run(machine, "--imds-wait=3s"), "E-SECRET-DENIED", "not allowed any more"


def no_manifest(world, machine) -> tuple:
    world.repo(SERVICE).commit("test", {"bootagent.toml": "port = 'x'\n"})
    return run(machine, "--update"), "E-MANIFEST-INVALID"


def no_policy(world, machine) -> tuple:
    machine.write(POLICY, "nonsense = 1\n")
    try:
        return run(machine), "E-POLICY-INVALID", "nonsense"
    finally:
        machine.check(["rm", POLICY])


class TestServes:
    @pytest.mark.parametrize("breaks", [no_source, no_secret, no_manifest, no_policy])
    def test_it_serves_on_and_is_told(self, world, served, breaks):
        machine, commit = served
        before = process(machine)
        result, *failure = breaks(world, machine)
        said = assert_failed(machine, result, 2, *failure)
        assert process(machine) == before, "the service was harmed"
        assert (said["serving"], said["commit"], said["unit"]) == (commit, None, f"{SERVICE}.service"), said
        assert "200" in said["probe"], said["probe"]
        assert f"commit {commit[:12]} serves on" in result.stderr, result.stderr
        assert said["notes"] == []
        head = [line for line in machine.console().splitlines() if "is degraded" in line][-1]
        assert f"{commit[:12]} serves" in head, head


class TestDoesNotServe:
    def not_seen(self, world, machine, commit: str, *why: str, answers: bool = False) -> None:
        """`answers`: not what passed, or who knows what; but something does."""
        before, status = self.unit(machine), (4, "degraded") if answers else (1, "failed")
        for breaks, exit in ((no_source, 75), (no_secret, 78)):
            result, *failure = breaks(world, machine)
            said = assert_failed(machine, result, exit, *failure, status=status)
            assert (said["serving"], said["passed"]) == (None, commit), said
            (note,) = said["notes"]
            assert all(word in note for word in (commit[:12], "does not serve", *why)), note
            assert note in result.stderr and "serves on" not in result.stderr, result.stderr
            world.repo(SERVICE).heal()
            world.aws.heal()
        assert self.unit(machine) == before, "it was touched"

    def unit(self, machine) -> list:
        """systemd unloads a unit that is stopped and that no other unit refers to."""
        shown = machine.systemctl_show(f"{SERVICE}.service")
        return [shown.get(what) for what in ("ActiveState", "InvocationID", "MainPID", "NRestarts")]

    def test_it_is_not_known_what_it_runs(self, world, served):
        """A run was killed while it restarted the unit."""
        machine, commit = served
        machine.check(["mv", HANDOVER, f"{HANDOVER}.kept"])
        self.not_seen(world, machine, commit, "something else", answers=True)
        machine.check(["mv", f"{HANDOVER}.kept", HANDOVER])

    def test_it_runs_and_does_not_answer(self, world, served):
        machine, commit = served
        pid = process(machine)[1]
        machine.check(["kill", "-STOP", pid])
        self.not_seen(world, machine, commit, "/health")
        machine.check(["kill", "-CONT", pid])

    @pytest.mark.parametrize("breaks", [no_source, no_secret, no_manifest, no_policy])
    def test_it_is_down_and_what_was_good_is_started(self, world, served, breaks):
        """Stopped by hand, say. Nothing serves, so that there is nothing to harm."""
        machine, commit = served
        machine.check(["systemctl", "stop", SERVICE])
        result, *failure = breaks(world, machine)
        said = assert_failed(machine, result, 2, *failure)
        assert (said["serving"], said["notes"]) == (commit, []) and "200" in said["probe"], said
        assert f"commit {commit[:12]} serves again" in result.stderr, result.stderr

    def test_it_is_down_and_the_command_line_was_wrong(self, world, served):
        machine, commit = served
        machine.check(["systemctl", "stop", SERVICE])
        before = self.unit(machine)
        result = run(machine, "--no-such-flag")
        assert result.code == 64 and self.unit(machine) == before, "it was started"
        assert run(machine).code == 0

    def test_an_update_was_killed_at_its_gate(self, world, served):
        """What answers on the port is the commit that it tried."""
        machine, commit = served
        slow = talking()["bootagent.toml"].replace("1s", "100s")
        tried = world.repo(SERVICE).commit("test", talking(**{"bootagent.toml": slow}))
        machine.check(["systemd-run", "--unit=update", "bootagent", "run", "--update"])
        wait_for("the health check", lambda: waited_for(machine) == ["health-check"], 60)
        wait_for("the commit to answer", lambda: tried in (answers(machine, "release") or ""), 60)
        machine.check(["systemctl", "kill", "--signal=KILL", "update"])
        wait_for("the agent to be gone", lambda: status(machine)[0] == 4, 10)
        assert tried in ask(machine, "release")
        self.not_seen(world, machine, commit, tried, answers=True)


def test_a_first_run_has_nothing_to_tell(world, boot):
    world.repo(SERVICE).commit("test", talking())
    machine, result = boot(world, "--service", SERVICE, "--environment=test", "--imds-wait=3s")
    said = assert_failed(machine, result, 78, "E-SECRET-DENIED")
    assert (said["serving"], said["gate"], said["notes"]) == (None, None, []), said
