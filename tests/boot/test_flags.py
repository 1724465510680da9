"""What flags do to a machine that has decided, and how those of an earlier run are got rid of."""

import pytest
from looks import SERVICE, ask, secret, shared, status  # noqa: F401
from services import talking
from stage import POLICY, REPOSITORY, STATUS, assert_failed, assert_refused, run

HERE = REPOSITORY.format(service=SERVICE)
WRONG = "https://github.com/acmee/{service}.git"
ELSEWHERE = 'repository = "https://github.com/evil/{service}.git"\ngit_credential = "git/evil"\n'


def recorded(machine) -> str:
    return machine.check(["sh", "-c", "cat /var/lib/bootagent/instances/*/policy.toml"])


class TestDecided:
    """A machine that serves what it decided for."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", talking())
        shared.repo(SERVICE, "evil").commit("test", talking())
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary)
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    @pytest.mark.parametrize(
        ("flag", "names"),
        [
            ("--repository=https://github.com/evil/{service}.git", HERE),
            ("--git-credential-secret=git/typo", "git/typo"),
            ("--service=other", "--service"),
            ("--environment=prod", "--environment"),
        ],
    )
    def test_a_flag_against_the_decision_starts_no_run(self, machine, flag, names):
        before, told = recorded(machine), machine.run(["cat", STATUS])
        assert_refused(machine, told, run(machine, flag, repository=None), names)
        assert recorded(machine) == before
        assert status(machine)[1]["state"] == "healthy"

    def test_a_flag_that_a_run_fails_by_is_told_and_not_recorded(self, machine):
        before = recorded(machine)
        wrong = run(machine, "--repository=ftp://github.com/acme/{service}.git", repository=None)
        assert_failed(machine, wrong, 2, "E-REPOSITORY-INVALID", "ftp")
        assert recorded(machine) == before
        again = run(machine, repository=None)
        assert again.code == 0, again.stderr
        assert status(machine)[1]["repository"] == HERE

    def test_the_same_flags_again_do_not_contradict(self, machine):
        again = run(machine)
        assert again.code == 0, again.stderr

    def test_a_policy_that_names_another_repository_waits_for_an_update(self, shared, machine):  # noqa: F811
        machine.write(POLICY, ELSEWHERE)
        try:
            shared.git.log.clear()
            machine.check(["sh", "-c", f"rm -rf /opt/{SERVICE}/releases/*"])
            kept = run(machine, "--forget-flags", repository=None)
            assert kept.code == 0, kept.stderr
            assert status(machine)[1]["repository"] == HERE
            asked = {entry["path"].split("/")[1] for entry in shared.git.log}
            assert asked == {"acme"}, "the decided commit came from elsewhere"
            update = run(machine, "--update", repository=None)
            assert_failed(machine, update, 2, "E-SECRET-DENIED", "git/evil")
        finally:
            machine.check(["rm", POLICY])


def test_flags_of_a_run_that_failed_are_named_and_can_be_forgotten(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", talking())
    secret(world, TOKEN="t")
    machine = world.launch(binary=binary)
    assert_failed(machine, run(machine, "--imds-wait=20s", repository=WRONG), 78, ["E-GIT-NOT-FOUND", "E-GIT-REFUSED"], "acmee")

    machine.write(POLICY, f'repository = "{REPOSITORY}"\n')
    origin = "repository is a flag of an earlier run, recorded in /var/lib/bootagent/instances/"
    again = run(machine, repository=None)
    told = assert_failed(machine, again, 78, ["E-GIT-NOT-FOUND", "E-GIT-REFUSED"], "acmee", origin)
    assert "bootagent run --forget-flags" in told["error"]["remedy"]

    dry = machine.run(["bootagent", "--dry-run", "--forget-flags"], timeout=60)
    assert dry.code == 0 and "acmee" in recorded(machine), "a dry run forgot them"
    mended = run(machine, "--forget-flags", repository=None)
    assert mended.code == 0, mended.stderr
    assert "acmee" not in recorded(machine) and "wait" not in recorded(machine)
    machine.reboot()
    waited = machine.run(["bootagent", "status", "--wait", "--timeout", "90s"], timeout=100)
    assert waited.code == 0, waited.stdout + waited.stderr
    assert ask(machine, "env")["TOKEN"] == "t"


def test_an_environment_may_be_said_by_its_long_name_again_and_again(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "prod"}
    world.repo(SERVICE).commit("main", talking())
    secret(world, "prod", TOKEN="t")
    machine = world.launch(binary=binary)
    for _ in range(2):
        result = run(machine, "--environment=production")
        assert result.code == 0, result.stderr
        assert status(machine)[1]["environment"] == "prod"
    before = machine.run(["cat", STATUS])
    assert_refused(machine, before, run(machine, "--environment=staging"), "prod")
