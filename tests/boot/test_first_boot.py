"""From two tags and one line of user-data to a service in service, with real packages and real values."""

from pathlib import Path

import pytest
from looks import SERVICE, USER_DATA, ask, process, secret, shared, status  # noqa: F401
from services import express, talking

# What a value may hold. Two of them no .env can carry: they arrive by the process environment alone.
VALUES = {
    "EMPTY": "",
    "PEM": "-----BEGIN PRIVATE KEY-----\nMIIEvQ+/w0=\n-----END PRIVATE KEY-----\n",
    "QUOTES": "it's \"quoted\"",
    "TICKS": "say `id`, 'and' \"more\"",
    "HASH": "a #b # c",
    "HASH_FIRST": "#secret",
    "UNICODE": "Zoë 漢字 🚀",
    "BACKSLASH": "C:\\new\\table\\",
    "PERCENT": "100%n %%h",
    "PADDED": "  both ends  ",
    "JSON": '{"a": [1, "b"]}',
    "EQUALS": "a=b==",
}
ONLY_IN_PROCESS = {"RETURN": "one\r\ntwo", "DOLLAR": "$HOME ${PATH} $(id) $$"}
# What systemd itself tells every service.
SYSTEMD = {"LANG", "PATH", "HOME", "LOGNAME", "USER", "SHELL", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID"}


def own(variables: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in SYSTEMD}


def start_of(machine) -> str:
    return machine.check(["systemctl", "show", "--value", "--property=ExecStart", SERVICE])


def test_the_user_data_here_is_the_readmes():
    assert USER_DATA in (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.shipped
class TestFirstBoot:
    """cloud-init runs the README's line on a fresh instance; the service has packages and asks for Node 20."""

    @pytest.fixture(scope="class")
    @classmethod
    def commit(cls, shared):  # noqa: F811
        secret(shared, **VALUES, **ONLY_IN_PROCESS)
        return shared.repo(SERVICE).commit("test", express({"start": "MODE=plain node server.js"}))

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, commit, binary):  # noqa: F811
        return shared.launch(user_data=USER_DATA, binary=binary)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def cloud_init(cls, machine):
        return machine.wait_for_cloud_init()

    def test_cloud_init_has_no_errors(self, cloud_init):
        assert (cloud_init.errors, cloud_init.user_data_code) == ([], 0), cloud_init.output

    def test_the_health_url_answers(self, machine):
        assert machine.http("http://127.0.0.1:3000/health").status == 200

    def test_status_says_healthy_at_the_branchs_commit(self, machine, commit):
        code, said = status(machine)
        assert (code, said["state"], said["commit"]) == (0, "healthy", commit)
        text = machine.check(["bootagent", "status"])
        assert "healthy" in text and commit[:12] in text

    def test_systemctl_has_it_active_as_its_own_user(self, machine):
        assert "Active: active (running)" in machine.check(["systemctl", "status", SERVICE])
        _, pid, _ = process(machine)
        assert machine.check(["ps", "-o", "user:32=", "-p", pid]).strip() == SERVICE

    def test_nvmrc_picks_one_of_two_nodes(self, machine):
        assert len(machine.check(["ls", "/usr/local/lib/nodejs"]).split()) == 2
        assert ask(machine, "node").startswith("v20.")

    def test_without_a_build_development_dependencies_are_not_installed(self, machine):
        there = machine.check(["ls", f"/opt/{SERVICE}/current/node_modules"]).split()
        assert "express" in there and "picocolors" not in there

    def test_npm_is_not_a_process_of_the_service(self, machine):
        _, pid, _ = process(machine)
        assert machine.check(["ps", "-o", "ppid=", "-p", pid]).strip() == "1"
        tree = machine.check(["systemd-cgls", "--no-pager", "--full", f"/system.slice/{SERVICE}.service"])
        assert "server.js" in tree and "npm" not in tree

    def test_the_process_has_exactly_the_secrets_values(self, machine):
        expected = VALUES | ONLY_IN_PROCESS | {"MODE": "plain", "NODE_ENV": "production", "PORT": "3000"}
        assert own(ask(machine, "env")) == expected

    def test_the_dotenv_package_reads_the_same(self, machine):
        assert ask(machine, "dotenv") == VALUES | {"MODE": "plain", "NODE_ENV": "production", "PORT": "3000"}

    def test_what_dotenv_cannot_carry_is_named(self, machine):
        assert any("DOLLAR, RETURN" in note for note in status(machine)[1]["notes"])

    @pytest.mark.parametrize("unit", [SERVICE, "bootagent"])
    def test_units_verify(self, machine, unit):
        result = machine.run(["systemd-analyze", "verify", f"/etc/systemd/system/{unit}.service"])
        assert (result.code, result.stdout + result.stderr) == (0, "")

    def test_the_services_unit_is_hardened(self, machine):
        result = machine.run(
            ["systemd-analyze", "security", "--offline=true", "--threshold=30", f"/etc/systemd/system/{SERVICE}.service"]
        )
        assert result.code == 0, result.stdout


def test_a_build_uses_development_dependencies_and_sheds_them(world, boot):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    secret(world, A="b")
    scripts = {"build": "node build.js", "start": "cross-env MODE=bin node server.js"}
    world.repo(SERVICE).commit("test", express(scripts))
    machine, run = boot(world)
    assert run.code == 0, run.stderr
    page = machine.http("http://127.0.0.1:3000/page.txt")
    assert (page.status, page.body) == (200, "built in \x1b[32mgreen\x1b[39m")
    there = machine.check(["ls", f"/opt/{SERVICE}/current/node_modules"]).split()
    assert "express" in there and "picocolors" not in there
    # cross-env only sets variables: no process of its own stands between systemd and the service.
    assert "server.js" in start_of(machine)
    assert ask(machine, "env")["MODE"] == "bin"
    tree = machine.check(["systemd-cgls", "--no-pager", "--full", f"/system.slice/{SERVICE}.service"])
    assert "cross-env" not in tree and "npm" not in tree


def test_shell_syntax_in_the_start_line_and_a_secret_in_dotenv_text(world, boot):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    text = "# a comment\nexport PLAIN=some words # not these\nSINGLE='$HOME #1'\nDOUBLE=\"two\\nlines\"\nEMPTY=\n"
    world.secret(f"service_env_{SERVICE}_test", text)
    world.repo(SERVICE).commit("test", talking({"start": 'export MODE="$PLAIN, too" && exec node server.js'}))
    machine, run = boot(world)
    assert run.code == 0, run.stderr
    carried = {"PLAIN": "some words", "DOUBLE": "two\nlines", "EMPTY": ""}
    assert ask(machine, "dotenv") == carried | {"NODE_ENV": "production", "PORT": "3000"}
    secrets = carried | {"SINGLE": "$HOME #1"}
    variables = own(ask(machine, "env"))
    variables.pop("PWD", None)  # the shell's
    assert variables == secrets | {"MODE": "some words, too", "NODE_ENV": "production", "PORT": "3000"}
    assert "/bin/sh" in start_of(machine) and "npm" not in start_of(machine)


def test_a_service_without_a_secret_boots_without_one(world, boot):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    manifest = talking()["bootagent.toml"] + "secret = false\n"
    world.repo(SERVICE).commit("test", talking(**{"bootagent.toml": manifest}))
    machine, run = boot(world)
    assert run.code == 0, run.stderr
    assert own(ask(machine, "env")) == {"NODE_ENV": "production", "PORT": "3000"}
