"""`writable`: what a service may change in its release, on one machine: a reboot, an update, a broken one, and a build that leaves a link."""

import json

import pytest
from looks import SERVICE, ask, current, process, shared  # noqa: F401
from services import BRIEF, talking
from stage import assert_failed, serving

WRITABLE = 'writable = ["public", "db.json", "made"]\n'


def repository(build: str | None = None, **more: object) -> dict[str, object]:
    """A service with a directory and a file of its own, which it changes, and one that it may not change."""
    files = {"public/list.json": "[]", "db.json": "{}", "config/fixed.json": "{}"}
    line = f"build = {json.dumps(build)}\n" if build else ""
    return talking(**files | {"bootagent.toml": f"install = false\n{line}{WRITABLE}{BRIEF}"} | more)


class TestWritable:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, repository())

    def test_the_service_changes_what_is_named_and_nothing_else(self, machine):
        for path in ("public/list.json", "public/new", "db.json", "made/new"):
            assert ask(machine, f"write?path={path}") == "written", path
        for path in ("server.js", "config/fixed.json", "config/new", "new", ".env2"):
            assert ask(machine, f"write?path={path}") in ("EACCES", "EROFS"), path
        owners = machine.check(["stat", "-c", "%U %n", *(f"/opt/{SERVICE}/current/{name}" for name in ("db.json", "server.js"))])
        assert [line.split()[0] for line in owners.splitlines()] == [SERVICE, f"{SERVICE}-build"]

    def test_what_it_wrote_is_there_after_a_run_and_a_reboot(self, machine):
        before = process(machine)
        again = machine.run(["bootagent", "run"], timeout=180)
        assert again.code == 0 and process(machine) == before, again.stderr
        machine.reboot()
        assert machine.run(["bootagent", "run"], timeout=180).code == 0
        assert ask(machine, "read?path=db.json") == "{}x"
        assert ask(machine, "write?path=public/new") == "written"

    def test_the_next_release_begins_with_the_repository_s_content(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", repository(**{"second.txt": ""}))
        assert machine.run(["bootagent", "update"], timeout=180).code == 0
        assert ask(machine, "read?path=db.json") == "{}" and ask(machine, "read?path=public/new") == "ENOENT"
        assert ask(machine, "write?path=db.json") == "written"

    def test_after_a_broken_update_the_former_release_has_what_the_service_wrote(self, shared, machine):  # noqa: F811
        was = current(machine)
        shared.repo(SERVICE).commit("test", repository(**{"server.js": "process.exit(1)"}))
        assert machine.run(["bootagent", "update"], timeout=180).code == 2
        assert current(machine) == was and ask(machine, "read?path=db.json") == "{}x"

    @pytest.mark.parametrize(
        "build",
        ["rm -r public && ln -s /etc public", "mv db.json real && ln -s real db.json", "ln db.json public/again"],
        ids=["a-link-out-of-it", "a-link-in-it", "a-second-name"],
    )
    def test_a_link_that_the_build_leaves_is_refused(self, shared, machine, build):  # noqa: F811
        shared.repo(SERVICE).commit("test", repository(f"sh -c '{build}'"))
        update = machine.run(["bootagent", "update"], timeout=180)
        assert_failed(machine, update, 2, "E-MANIFEST-INVALID", "making /opt/", " writable for the service")
        assert machine.check(["stat", "-c", "%U", "/etc", "/etc/passwd"]).split() == ["root", "root"]
        assert ask(machine, "read?path=db.json") == "{}x"
