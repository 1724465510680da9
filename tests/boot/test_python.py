"""Flask with pip and gunicorn, as its repository's own README would start it: one machine, from cloud-init to a rollback."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab.deadline import wait_for
from looks import (  # noqa: F401
    SERVICE,
    USER_DATA,
    ask,
    beginning,
    current,
    leftovers,
    process,
    releases,
    search,
    secret,
    shared,
    status,
    wait_until_it_answers,
)
from python_services import POLICY as MIRROR
from python_services import flask, text, with_venv
from stage import POLICY, assert_failed

# What a value may hold; python-dotenv replaces ${...} in a file, so that one arrives by the process environment alone.
VALUES = {
    "EMPTY": "", "PEM": "-----BEGIN PRIVATE KEY-----\nMIIEvQ+/w0=\n-----END PRIVATE KEY-----\n", "QUOTES": "it's \"quoted\"",
    "HASH": "a #b # c", "HASH_FIRST": "#secret", "UNICODE": "Zoë 漢字", "BACKSLASH": "C:\\new\\table\\", "TWO": "a\\\\b",
    "PERCENT": "100%n", "PADDED": "  both ends  ", "JSON": '{"a": [1, "b"]}', "DOLLAR": "$HOME $(id) $$",
}  # fmt: skip
WORD = "the-very-secret-token"
ONLY_IN_PROCESS = {"EXPANDED": "a${HOME}b", "RETURN": "one\r\ntwo"}
RELEASE = f"/opt/{SERVICE}/current"
APP = text("flask/app.py")


def gunicorn(machine) -> list[list[str]]:
    """The processes of the unit, its main one first: pid, parent, user, command line."""
    _, main, _ = process(machine)
    listed = machine.check(["ps", "-o", "pid=,ppid=,user:32=,args=", "--pid", main, "--ppid", main])
    return sorted((line.split(None, 3) for line in listed.splitlines()), key=lambda words: words[0] != main)


class TestFlask:
    @pytest.fixture(scope="class")
    @classmethod
    def since(cls):
        return beginning()

    @pytest.fixture(scope="class")
    @classmethod
    def commit(cls, shared, since):  # noqa: F811
        secret(shared, TOKEN=WORD, **VALUES, **ONLY_IN_PROCESS)
        return shared.repo(SERVICE).commit("test", flask())

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, commit, binary):  # noqa: F811
        return shared.launch(user_data=USER_DATA, binary=binary, files={POLICY: MIRROR}, layers=with_venv())

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def cloud_init(cls, machine):
        return machine.wait_for_cloud_init()

    def test_it_is_healthy_after_cloud_init(self, machine, cloud_init, commit):
        assert (cloud_init.errors, cloud_init.user_data_code) == ([], 0), cloud_init.output
        code, said = status(machine)
        assert (code, said["state"], said["commit"]) == (0, "healthy", commit)
        assert machine.http("http://127.0.0.1:3000/health").status == 200
        assert leftovers(machine) == []

    def test_gunicorn_is_the_unit_s_main_process_as_the_service_s_user(self, machine):
        (main, *workers) = gunicorn(machine)
        assert workers and {each[2] for each in (main, *workers)} == {SERVICE}, (main, workers)
        assert "gunicorn" in main[3] and "app:app" in main[3], main
        shown = machine.systemctl_show(f"{SERVICE}.service")
        assert shown["Type"] == "notify" and shown["NRestarts"] == "0"
        assert ask(machine, "python")["parent"] == int(main[0]), "a worker of it does not answer"

    def test_it_listens_on_all_addresses(self, machine):
        assert machine.http(f"http://{machine.instance.address}:3000/health").status == 200

    def test_it_has_an_environment_of_its_own_with_bytecode(self, machine):
        about = ask(machine, "python")
        assert about["version"] == "3.11" and about["prefix"].startswith(f"/opt/{SERVICE}/releases/"), about
        assert about["bytecode"] and machine.run(["sh", "-c", f"ls {RELEASE}/__pycache__/app.*.pyc"]).code == 0
        odd = machine.check(["find", f"{RELEASE}/", "!", "-user", f"{SERVICE}-build", "!", "-user", "root"])
        assert odd == "", "the service can change what it runs"
        assert ask(machine, f"write?path={RELEASE}/app.py") in ("PermissionError", "OSError")

    def test_the_process_has_exactly_the_secrets_values(self, machine):
        variables = ask(machine, "env")
        assert {name: variables.get(name) for name in VALUES | ONLY_IN_PROCESS} == VALUES | ONLY_IN_PROCESS
        assert variables["PORT"] == "3000" and variables["HOME"] == f"/var/lib/{SERVICE}"

    def test_python_dotenv_reads_the_same_and_what_it_would_change_is_named(self, machine):
        told = ask(machine, "dotenv")
        assert {name: told.get(name) for name in VALUES} == VALUES
        assert not set(told) & set(ONLY_IN_PROCESS), told
        notes = " ".join(status(machine)[1]["notes"])
        assert all(name in notes for name in ONLY_IN_PROCESS), notes

    def test_a_secret_is_in_its_environment_and_nowhere_else(self, shared, machine, since):  # noqa: F811
        found = search(shared, machine, WORD, since)
        assert any(place.endswith("environ") for place in found), "it was not looked for in the right way"
        strays = {place for place in found if not place.startswith((f"/run/bootagent/{SERVICE}/", "/proc/"))}
        assert strays == set() and not any("cmdline" in place for place in found), found

    def test_packages_came_from_the_policy_s_index(self, shared, machine):  # noqa: F811
        asked = {entry["path"].split("/")[-1].partition("-")[0] for entry in shared.pypi.log if entry["path"].endswith(".whl")}
        assert {"flask", "gunicorn", "werkzeug"} <= asked, asked

    @pytest.mark.parametrize("unit", [SERVICE, "bootagent"])
    def test_units_verify(self, machine, unit):
        result = machine.run(["systemd-analyze", "verify", f"/etc/systemd/system/{unit}.service"])
        assert (result.code, result.stdout + result.stderr) == (0, "")

    def test_a_second_run_changes_nothing(self, shared, machine):  # noqa: F811
        running = process(machine)
        shared.pypi.log.clear()
        again = machine.run(["bootagent", "run"], timeout=120)
        assert again.code == 0, again.stderr
        assert process(machine) == running and shared.pypi.log == []
        assert [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"] == []

    def test_a_request_in_flight_is_answered(self, machine):
        """gunicorn drains: its workers finish what they have begun."""
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(machine.http, "http://127.0.0.1:3000/slow", 60)
            wait_for("the request to arrive", lambda: machine.exists(f"/var/lib/{SERVICE}/asked"), 30)
            machine.check(["systemctl", "restart", f"{SERVICE}.service"])
            assert json.loads(asked.result().body) == "whole"
        wait_until_it_answers(machine)

    def test_an_update(self, shared, machine):  # noqa: F811
        good = current(machine)
        commit = shared.repo(SERVICE).commit("test", {"note": "two"})
        updated = machine.run(["bootagent", "update"], timeout=180)
        assert updated.code == 0, updated.stderr
        assert current(machine).startswith(commit) and current(machine) != good
        assert ask(machine, "release").endswith(current(machine))

    def test_a_broken_commit_serves_the_former_one_again(self, shared, machine):  # noqa: F811
        good = current(machine)
        shared.repo(SERVICE).commit("test", {"app.py": 'raise RuntimeError("no database here")\n' + APP})
        failed = machine.run(["bootagent", "update"], timeout=180)
        said = assert_failed(machine, failed, 2, "E-SERVICE-EXITED")
        assert "no database here" in json.dumps(said["error"]), said["error"]
        assert current(machine) == good and ask(machine, "release").endswith(good)

    def test_and_its_repair_serves(self, shared, machine):  # noqa: F811
        commit = shared.repo(SERVICE).commit("test", {"app.py": APP})
        updated = machine.run(["bootagent", "update"], timeout=180)
        assert updated.code == 0, updated.stderr
        assert current(machine).startswith(commit) and len(releases(machine)) == 2

    def test_a_rollback_goes_back(self, machine):
        before = current(machine)
        result = machine.run(["bootagent", "rollback"], timeout=120)
        assert result.code == 0, result.stderr
        assert current(machine) != before and ask(machine, "health") == "ok"

    def test_after_a_reboot_it_serves_without_the_index(self, shared, machine):  # noqa: F811
        shared.pypi.fail(503)
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait"], timeout=120)
        assert waited.code == 0, waited.stdout
        assert ask(machine, "health") == "ok" and ask(machine, "env")["JSON"] == VALUES["JSON"]
        shared.pypi.heal()
