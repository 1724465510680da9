"""An update is not healthy because less is asked of it: a weaker health check is refused unless the manifest says so in
words, and a port that moves is told. What runs is what is there, however it was restarted."""

import pytest
from lab.deadline import wait_for
from looks import SERVICE, ask, process, secret, shared, status, wait_until_it_answers  # noqa: F401
from poller import Poller
from services import NOTHING, talking
from stage import run, serving

UNIT = f"{SERVICE}.service"
ENVIRONMENT = f"/run/bootagent/{SERVICE}/env"
RECORD = f"/run/bootagent/{SERVICE}.handover"


def manifest(text: str) -> dict[str, object]:
    return talking(**{"bootagent.toml": NOTHING + text})


class TestWeakerCheck:
    """One machine, whose service is asked for /health on port 3000."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, talking())

    def test_what_may_be_written_is_said(self, machine):
        notes = status(machine)[1]["notes"]
        assert any(f"/var/lib/{SERVICE} (its HOME) and /tmp" in note for note in notes), notes

    @pytest.mark.parametrize(
        ("commit", "word"),
        [
            ({"bootagent.toml": None}, "process"),
            (manifest("port = 3000\n"), "port"),
            (manifest('port = 3000\nhealth.check = "port"\n'), None),
        ],
        ids=["no-manifest", "no-path", "in-words"],
    )
    def test_a_weaker_check_is_refused_unless_it_is_said_in_words(self, shared, machine, commit, word):  # noqa: F811
        before = process(machine)
        shared.repo(SERVICE).commit("test", commit)
        with Poller(machine) as poller:
            result = run(machine, "--update")
        if word is None:
            assert result.code == 0 and "becomes weaker, as health.check says" in result.stderr, result
            return
        # 2, where the run tells that the former deployment serves.
        assert result.code in (2, 78) and "E-HEALTH-WEAKER" in result.stderr, result
        assert f'health.check = "{word}"' in result.stderr, result.stderr
        assert process(machine) == before and poller.asked and poller.failures == [], poller.failures

    def test_a_port_that_moves_is_told(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", manifest('port = 3001\nhealth = { path = "/health", soak = "1s" }\n'))
        planned = machine.check(["bootagent", "run", "--dry-run", "--update"], timeout=60)
        result = run(machine, "--update")
        assert result.code == 0, result.stderr
        notes = " ".join(status(machine)[1]["notes"])
        for said in (planned, result.stderr, notes):
            assert "the port moves from 3000 to 3001" in said, said


class TestByHand:
    """An operator edits what the service runs from, and restarts it; or it crashes."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, talking(), TOKEN="good")

    def test_a_service_that_was_restarted_from_an_edited_file_is_restarted(self, machine):
        machine.check(["sed", "-i", "s/TOKEN=.*/TOKEN=byhand/", ENVIRONMENT])
        machine.check(["systemctl", "restart", UNIT])
        wait_until_it_answers(machine)
        assert ask(machine, "env")["TOKEN"] == "byhand"
        result = run(machine)
        assert result.code == 0, result.stderr
        assert ask(machine, "env")["TOKEN"] == "good", "what the operator started runs on"

    def test_one_that_was_put_right_before_the_run_is_restarted_too(self, machine):
        right = machine.read(ENVIRONMENT)
        machine.check(["sed", "-i", "s/TOKEN=.*/TOKEN=byhand/", ENVIRONMENT])
        machine.check(["systemctl", "restart", UNIT])
        wait_until_it_answers(machine)
        # The same bytes, owner and mode as before: only the time of change tells.
        machine.check(["sh", "-c", f"cat > {ENVIRONMENT}"], stdin=right)
        assert run(machine).code == 0
        assert ask(machine, "env")["TOKEN"] == "good", "what the operator started runs on"

    def test_a_crash_does_not_make_it_another_one(self, machine):
        _, pid, _ = process(machine)
        machine.check(["kill", "-9", pid])
        wait_for("another process", lambda: process(machine)[1] not in ("0", pid), 20)
        wait_until_it_answers(machine)
        after = process(machine)
        assert run(machine).code == 0
        assert process(machine) == after, "it was restarted for nothing"
        assert after[0] in machine.read(RECORD), "the invocation that runs is not noted"

    def test_a_record_of_an_earlier_version_is_read(self, machine):
        before = process(machine)
        machine.write(RECORD, machine.read(RECORD).splitlines()[0], mode=0o600)
        assert run(machine).code == 0
        assert process(machine) == before, "it was restarted for nothing"
        assert before[0] in machine.read(RECORD)
