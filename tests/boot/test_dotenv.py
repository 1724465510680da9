"""`.env` is the generation's own: one that has none leaves none, and going back brings back what was."""

import pytest
from looks import SERVICE, ask, shared, status  # noqa: F401
from services import BRIEF, TALKING, talking
from stage import serving

RUN = f"/run/bootagent/{SERVICE}"
OF_ALL = ["env", "good-env"]
OF_READERS = ["dotenv", "good-dotenv"]
WITHOUT = "env.file = false\n"


def files(machine) -> list[str]:
    """Which environments there are in memory."""
    return sorted(name for name in machine.check(["ls", "-A", RUN]).split() if "env" in name)


def commit(shared, manifest: str, **overrides: str) -> str:  # noqa: F811
    """Nothing is installed: an environment is all that differs."""
    brief = BRIEF.replace('soak = "1s"', 'soak = "1s", timeout = "1s"') if overrides else BRIEF
    files = {"bootagent.toml": f"install = []\n{brief}{manifest}", "server.js": TALKING} | overrides
    return shared.repo(SERVICE).commit("test", files)


# Answers, but not well.
UNWELL = {"server.js": TALKING.replace('"/health": () => "ok",', "")}


class TestTheGeneration:
    """On one machine, one update after the other."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, talking(**{"bootagent.toml": f"install = []\n{BRIEF}"}), TOKEN="first")

    def update(self, machine, exit: int = 0) -> None:
        result = machine.run(["bootagent", "run", "--update"], timeout=120)
        assert result.code == exit, result.stderr

    def recovery(self, machine) -> list[str]:
        plan = machine.run(["bootagent", "run", "--dry-run", "--output=json"], timeout=60)
        assert plan.code == 0, plan.stderr
        return [step["id"] for step in plan.json()["recover"]]

    def test_one_without_a_file_leaves_none(self, shared, machine):  # noqa: F811
        assert files(machine) == sorted(OF_ALL + OF_READERS) and ask(machine, "dotenv")["TOKEN"] == "first"
        commit(shared, WITHOUT)
        self.update(machine)
        assert files(machine) == OF_ALL
        assert ask(machine, "env")["TOKEN"] == "first"
        assert ask(machine, "read?path=.env") == "ENOENT"

    def test_what_serves_is_known_as_what_is_wanted(self, machine):
        assert "prune-back" not in self.recovery(machine), "the environment that serves is taken for another one"

    def test_one_with_a_file_that_fails_leaves_none_either(self, shared, machine):  # noqa: F811
        commit(shared, "", **UNWELL)
        self.update(machine, exit=2)
        assert status(machine)[1]["error"]["code"] == "E-HEALTH-BAD-ANSWER"
        assert files(machine) == OF_ALL
        assert ask(machine, "read?path=.env") == "ENOENT"

    def test_one_with_a_file_has_it_again(self, shared, machine):  # noqa: F811
        commit(shared, "")
        self.update(machine)
        assert files(machine) == sorted(OF_ALL + OF_READERS)
        assert ask(machine, "dotenv")["TOKEN"] == "first"

    def test_one_without_a_file_that_fails_gives_it_back(self, shared, machine):  # noqa: F811
        commit(shared, WITHOUT, **UNWELL)
        self.update(machine, exit=2)
        assert status(machine)[1]["error"]["code"] == "E-HEALTH-BAD-ANSWER"
        assert files(machine) == sorted(OF_ALL + OF_READERS)
        assert ask(machine, "dotenv")["TOKEN"] == "first"

    def test_what_an_earlier_agent_left_goes(self, shared, machine):  # noqa: F811
        commit(shared, WITHOUT)
        self.update(machine)
        for name in OF_READERS:
            machine.write(f"{RUN}/{name}", "TOKEN=stale\n", 0o600)
        result = machine.run(["bootagent", "run"], timeout=120)
        assert result.code == 0 and files(machine) == OF_ALL, result.stderr
