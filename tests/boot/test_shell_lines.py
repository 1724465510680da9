"""Lines of install, build and migrate mean what a shell makes of them: systemd, between the two, changes nothing."""

import json

import pytest
from lab.deadline import wait_for
from looks import SERVICE, beginning, search, secret, shared, status  # noqa: F401
from services import BRIEF, talking
from stage import run

DATA = f"/var/lib/{SERVICE}"
TOKEN = "canary-of-a-migration-4711"
# Everything that systemd would replace in ExecStart= stands here, in and out of quotes.
SAYS = """\
for f in one two; do echo "${f} $f" '${f} $f $$' $f; done; X='a  b'; echo "$X ${X}" $X ${X#a} %n %% %h %i; \
echo "pid $$" | tr -d 0-9; echo "${LANG} $LANG ${NONE:-none}"; echo $((6 * 7)); printf '%s %%\\n' "$(echo sub)" """
# Waits so that the test can look around while the secret is in use.
USES = 'printf %s "${TOKEN}" > "$HOME/token"; while [ ! -e "$HOME/go" ]; do sleep 0.05; done'


def saying(where: str) -> str:
    return f"{{ {SAYS}; }} > {where}"


def told_by_a_shell(machine) -> str:
    # The language is the one that every command of a boot has.
    return machine.check(["env", "LANG=C.UTF-8", "/bin/sh", "-ec", SAYS])


class TestLines:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        lines = {
            "install": [saying("installed"), 'echo "${HOME}" > plain'],
            "build": saying("built"),
            "migrate": [saying('"$HOME/migrated"'), USES],
        }
        manifest = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
        shared.repo(SERVICE).commit("test", talking(**{"bootagent.toml": manifest + BRIEF}))
        secret(shared, TOKEN=TOKEN, LANG="C.UTF-8")
        began = beginning()
        machine = shared.launch(binary=binary)
        machine.check(["systemd-run", "--quiet", "--unit=first", "bootagent", "run", "--repository",
                       "https://github.com/acme/{service}.git"])  # fmt: skip
        wait_for("the migration", lambda: machine.exists(f"{DATA}/token"), 60, evidence=machine.console_tail)
        machine.began = began
        machine.places = search(shared, machine, TOKEN, began)
        machine.check(["touch", f"{DATA}/go"])
        waited = machine.run(["bootagent", "status", "--wait"], timeout=60)
        assert waited.code == 0, waited.stdout
        return machine

    @pytest.mark.parametrize("name", ["installed", "built"])
    def test_install_and_build_say_what_a_shell_says(self, machine, name):
        assert machine.read(f"/opt/{SERVICE}/current/{name}") == told_by_a_shell(machine)

    def test_a_migration_says_what_a_shell_says(self, machine):
        assert machine.read(f"{DATA}/migrated") == told_by_a_shell(machine)

    def test_variables_are_the_commands_own(self, machine):
        assert machine.read(f"/opt/{SERVICE}/current/plain") == "/tmp\n"
        assert machine.read(f"{DATA}/token") == TOKEN

    def test_no_argument_of_any_process_holds_a_secret_that_a_migration_uses(self, machine):
        arguments = {place for place in machine.places if place.endswith("/cmdline")}
        assert not arguments, machine.places
        environments = {place for place in machine.places if place.endswith("/environ")}
        assert environments, f"the search finds nothing where the secret is: it shows nothing ({machine.places})"
        assert not machine.places & {"journal", "systemd", "status", "dry run", "console"}, machine.places


def test_a_start_line_says_what_a_shell_says(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    start = saying('"$HOME/started"') + "; node server.js"
    files = talking(**{"bootagent.toml": f"install = false\nstart = {json.dumps(start)}\n{BRIEF}"})
    world.repo(SERVICE).commit("test", files)
    secret(world, TOKEN=TOKEN, LANG="C.UTF-8")
    machine = world.launch(binary=binary)
    result = run(machine)
    assert result.code == 0, result.stderr
    assert machine.read(f"{DATA}/started") == told_by_a_shell(machine)
