"""The words of every day: update, rollback, releases, logs; and commits by the digits that a person copies."""

import json

import pytest
from looks import SERVICE, ask, current, releases, shared  # noqa: F401
from services import talking
from stage import serving

EXITS = {"server.js": "process.exit(3)"}


def listed(machine) -> dict[str, str]:
    """{commit: state}"""
    told = json.loads(machine.check(["bootagent", "releases", "--output", "json"]))
    assert told["schema"] == 1
    return {release["commit"]: release["state"] for release in told["releases"]}


def decided(machine) -> str:
    decision = json.loads(machine.check(["sh", "-c", "cat /var/lib/bootagent/instances/*/decision.json"]))
    return decision["source"]["commit"]


class TestEveryday:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary)

    @pytest.fixture(scope="class")
    @classmethod
    def commits(cls, shared, machine):  # noqa: F811
        repo = shared.repo(SERVICE)
        return [repo.sha("test"), *(repo.commit("test", {"note": number}) for number in "23")]

    def serves(self, machine, commit: str) -> None:
        assert current(machine).startswith(commit) and ask(machine, "release").endswith(current(machine))

    def test_there_is_nothing_to_go_back_to_yet(self, machine, commits):
        result = machine.run(["bootagent", "rollback"], timeout=60)
        assert result.code == 64 and "E-NO-RELEASE" in result.stderr and commits[0][:12] in result.stderr, result
        assert listed(machine) == {commits[0]: "serving"}

    def test_an_update_takes_the_commit_whose_beginning_is_given_and_records_it_whole(self, machine, commits):
        result = machine.run(["bootagent", "update", "--ref", commits[1][:12]], timeout=120)
        assert result.code == 0, result.stderr
        self.serves(machine, commits[1])
        assert decided(machine) == commits[1]
        same = machine.run(["bootagent", "run", "--ref", commits[1][:7]], timeout=60)
        assert same.code == 0, "the same commit in fewer digits does not contradict"

    def test_an_update_takes_the_newest(self, machine, commits):
        dry = machine.check(["bootagent", "update", "--dry-run", "--output", "json"], timeout=60)
        assert json.loads(dry)["commit"] == commits[2]
        self.serves(machine, commits[1])
        result = machine.run(["bootagent", "update"], timeout=120)
        assert result.code == 0, result.stderr
        self.serves(machine, commits[2])
        assert listed(machine) == {commits[2]: "serving", commits[1]: "kept"}

    @pytest.mark.parametrize("begun", ["0123456", "0" * 40])
    def test_a_commit_that_the_branch_does_not_have_is_told(self, machine, commits, begun):
        result = machine.run(["bootagent", "update", "--ref", begun], timeout=60)
        assert "E-COMMIT-NOT-ON-BRANCH" in result.stderr and begun in result.stderr, result
        self.serves(machine, commits[2])

    def test_a_rollback_goes_to_what_passed_before_and_back_again(self, machine, commits):
        dry = machine.check(["bootagent", "rollback", "--dry-run"], timeout=60)
        assert dry.startswith(f"{SERVICE} (test) at {commits[1]}"), dry
        for commit in (commits[1], commits[2]):
            result = machine.run(["bootagent", "rollback"], timeout=120)
            assert result.code == 0, result.stderr
            self.serves(machine, commit)
            assert decided(machine) == commit

    def test_a_tag_that_moved_has_no_say_in_a_rollback(self, shared, machine, commits):  # noqa: F811
        """It waits for the next update, which reads the tags anew."""
        shared.tags["bootagent:environment"] = "stage"
        try:
            for _ in range(2):
                result = machine.run(["bootagent", "rollback"], timeout=120)
                assert result.code == 0 and "(test) is healthy" in result.stderr, result
        finally:
            shared.tags["bootagent:environment"] = "test"

    def test_a_rollback_to_a_kept_release_by_its_digits(self, machine, commits):
        result = machine.run(["bootagent", "rollback", commits[1][:10]], timeout=120)
        assert result.code == 0, result.stderr
        self.serves(machine, commits[1])

    def test_a_rollback_to_what_is_not_kept_takes_it_from_the_branch(self, machine, commits):
        assert commits[0] not in listed(machine)
        result = machine.run(["bootagent", "rollback", commits[0][:12]], timeout=120)
        assert result.code == 0, result.stderr
        self.serves(machine, commits[0])

    def test_after_an_update_that_failed_a_rollback_goes_before_what_serves(self, shared, machine, commits):  # noqa: F811
        bad = shared.repo(SERVICE).commit("test", EXITS)
        failed = machine.run(["bootagent", "update"], timeout=120)
        assert failed.code == 2 and "E-SERVICE-EXITED" in failed.stderr, failed
        self.serves(machine, commits[0])
        assert listed(machine).get(bad, "failed") == "failed" and listed(machine)[commits[0]] == "serving"
        result = machine.run(["bootagent", "rollback"], timeout=120)
        assert result.code == 0, result.stderr
        self.serves(machine, commits[1])

    def test_the_list_is_for_people_and_for_root(self, machine, commits):
        lines = machine.check(["bootagent", "releases"]).splitlines()
        assert len(lines) == len(releases(machine))
        assert any(line.startswith(f"serving  {commits[1][:12]}") and SERVICE in line for line in lines), lines
        for verb in ("releases", "rollback"):
            refused = machine.run(["bootagent", verb], user="nobody")
            assert refused.code == 77 and "E-NOT-ROOT" in refused.stderr, refused

    def test_logs_are_the_service_s(self, machine):
        machine.check(["sh", "-c", f"systemd-cat -t other echo not-ours; systemctl kill -s USR1 {SERVICE}"])
        said = machine.run(["bootagent", "logs", "-n", "5"])
        assert said.code == 0 and f"{SERVICE}" in said.stdout and "not-ours" not in said.stdout, said

    def test_followed_logs_hide_values_that_come_meanwhile(self, machine):
        file = machine.systemctl_show(SERVICE)["EnvironmentFiles"].split(" ")[0]
        before = machine.read(file)
        follow = "timeout 6 bootagent logs --follow -n 1 >/root/followed & sleep 2"
        written = f"echo 'NEWER=\"v4lue-of-later\"' >>{file}; systemd-cat -t bootagent echo is v4lue-of-later; wait"
        machine.run(["sh", "-c", f"{follow}; {written}"], timeout=30)
        machine.write(file, before, 0o600)
        followed = machine.read("/root/followed")
        assert "is [NEWER]" in followed and "v4lue-of-later" not in followed, followed

    def test_a_service_that_is_stopped_is_listed_so(self, machine, commits):
        machine.check(["systemctl", "stop", SERVICE])
        assert listed(machine)[commits[1]] == "stopped"
