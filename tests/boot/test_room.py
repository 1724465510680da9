"""What grows is bounded, and what can be given up is given up before an update fails for want of room."""

import os

import pytest
from looks import CACHE, SERVICE, ask, current, releases, secret, shared, status  # noqa: F401
from services import talking
from stage import run, serving
from test_no_room import mount

MIB = 1 << 20


def files(name: str) -> dict[str, object]:
    return talking(**{"bulk": os.urandom(6 * MIB), "name": name})


class TestRoom:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        """The good release and the one before it are kept, and there is no room for a third."""
        machine = serving(shared, binary, files("first"))
        mount(machine, "/opt", "size=17m")
        shared.repo(SERVICE).commit("test", files("second"))
        second = run(machine, "--update")
        assert second.code == 0, second.stderr
        assert len(releases(machine)) == 2
        return machine

    def test_the_older_release_is_given_up_for_the_next_one(self, shared, machine):  # noqa: F811
        second = current(machine)
        third = shared.repo(SERVICE).commit("test", files("third"))
        result = run(machine, "--update")
        assert result.code == 0, result.stderr
        assert current(machine).startswith(third) and sorted(releases(machine)) == sorted([second, current(machine)])
        told = "the disk was full while building; to make room: remove all releases but 2"
        assert told in result.stderr and any(told in note for note in status(machine)[1]["notes"]), result.stderr

    def test_a_package_cache_is_emptied_when_it_is_too_large(self, machine):
        machine.check(["mkdir", "-p", f"{CACHE}/npm/_cacache"])
        machine.check(["fallocate", "-l", "900M", f"{CACHE}/npm/_cacache/old"])
        assert run(machine).code == 0 and machine.exists(f"{CACHE}/npm/_cacache/old"), "it was not too large yet"
        machine.check(["fallocate", "-l", "200M", f"{CACHE}/npm/_cacache/new"])
        result = run(machine)
        assert result.code == 0, result.stderr
        assert not machine.exists(f"{CACHE}/npm/_cacache") and machine.exists(CACHE)
        assert ask(machine, "env")["TOKEN"] == "t"
