"""docs/how-to/operate.md is true: each of its commands that are marked so runs on one machine, in order, and ends as it says there."""

import json
import re
from pathlib import Path

import pytest
from lab.world import may
from looks import SERVICE, ask, secret, shared  # noqa: F401
from services import talking
from stage import serving

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs/how-to/operate.md"
MAIL = "gmail-service"


def blocks() -> list[tuple[str, list[tuple[str, int]]]]:
    """(heading, [(command, exit status)]) of each block that is marked as run by a test."""
    found = []
    heading, inside = "", False
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line == "```sh run":
            inside = True
            found.append((heading, []))
        elif line.startswith("```"):
            inside = False
        elif inside:
            command, _, says = line.partition(" # exits ")
            found[-1][1].append((command.strip(), int(says or 0)))
    return found


def test_the_document_says_what_is_run():
    commands = [command for _, block in blocks() for command, _ in block]
    for verb in ("status", "releases", "logs", "update", "rollback", "run", "hold", "unhold"):
        assert any(re.match(rf"bootagent {verb}\b", command) for command in commands), verb


class TestDocument:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.role([may("secretsmanager:GetSecretValue", "*")])
        shared.repo(MAIL).commit("test", talking(note="mail"))
        shared.secret(f"service_env_{MAIL}_test", json.dumps({"TOKEN": "mail"}))
        return serving(shared, binary, TOKEN="before")

    def happens(self, world, heading: str) -> None:
        """What the text between the commands says that an engineer does elsewhere."""
        match heading:
            case "Deploy":
                world.repo(SERVICE).commit("test", {"note": "two"})
            case "Rotate a secret":
                secret(world, TOKEN="rotated")

    def test_each_command_ends_as_the_document_says(self, shared, machine):  # noqa: F811
        pinned = shared.repo(SERVICE).sha("test")
        done = []
        for heading, commands in blocks():
            if heading not in done:
                self.happens(shared, heading)
            for command, exit in commands:
                line = command.replace("COMMIT", pinned[:12])
                result = machine.run(["sh", "-c", line], timeout=180)
                assert result.code == exit, f"{heading}: {line} ended with {result.code}\n{result.stdout}{result.stderr}"
            done.append(heading)
            self.holds(machine, heading, pinned)

    def holds(self, machine, heading: str, pinned: str) -> None:
        """What the text says of the state that the commands leave."""
        release = ask(machine, "release") if heading != "Hold a machine" else ""
        match heading:
            case "Deploy":
                assert pinned not in release, "the newest one is another"
            case "Roll back":
                assert pinned in release, release
            case "Rotate a secret":
                assert ask(machine, "env")["TOKEN"] == "rotated"
            case "Switch to another service":
                assert release.startswith(f"/opt/{SERVICE}/"), release
