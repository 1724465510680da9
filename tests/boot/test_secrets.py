"""Who may read a secret, and where its value must not stand."""

import secrets

import pytest
from looks import SERVICE, USER_DATA, ask, beginning, current, process, search, secret, shared  # noqa: F401
from services import talking
from stage import run

RUN = f"/run/bootagent/{SERVICE}"
UNIT = f"/etc/systemd/system/{SERVICE}.service"


class TestHealthy:
    """cloud-init boots a service whose secret holds a value that is nowhere else in the world."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        value, since = secrets.token_hex(24), beginning()
        shared.repo(SERVICE).commit("test", talking(installs=True))
        secret(shared, TOKEN=value, OTHER="x")
        machine = shared.launch(user_data=USER_DATA, binary=binary)
        done = machine.wait_for_cloud_init()
        assert done.user_data_code == 0, done.output
        return machine, value, since

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, story):
        return story[0]

    @pytest.mark.parametrize(
        "path, mode, owner",
        [
            (RUN, 0o750, ("root", SERVICE)),
            (f"{RUN}/env", 0o600, ("root", "root")),
            (f"{RUN}/dotenv", 0o640, ("root", SERVICE)),
            (f"{RUN}/good-env", 0o600, ("root", "root")),
            (f"{RUN}/good-dotenv", 0o600, ("root", "root")),
            (UNIT, 0o644, ("root", "root")),
            ("/var/lib/bootagent", 0o700, ("root", "root")),
            (f"/opt/{SERVICE}/current/", 0o750, (f"{SERVICE}-build", SERVICE)),
        ],
    )
    def test_modes_and_owners(self, machine, path, mode, owner):
        found = machine.stat(path + "." if path.endswith("/") else path)
        assert (oct(found.mode), (found.owner, found.group)) == (oct(mode), owner)

    def test_dotenv_is_a_link_out_of_the_release(self, machine):
        assert machine.readlink(f"/opt/{SERVICE}/current/.env") == f"{RUN}/dotenv"
        assert machine.check(["findmnt", "--noheadings", "--output=FSTYPE", "--target", RUN]).strip() == "tmpfs"

    @pytest.mark.parametrize("user", ["nobody", f"{SERVICE}-build"])
    @pytest.mark.parametrize("path", [f"{RUN}/env", f"{RUN}/dotenv", RUN, f"/var/lib/{SERVICE}", "/var/lib/bootagent"])
    def test_others_cannot_read(self, machine, user, path):
        result = machine.run(["ls", path] if path in (RUN, "/var/lib/bootagent") else ["cat", path], user=user)
        assert result.code != 0 and "Permission denied" in result.stderr, result

    def test_another_local_user_cannot_enter_the_release(self, machine):
        for path in ("", "/server.js", "/.env"):
            result = machine.run(["ls", f"/opt/{SERVICE}/current/{path}"], user="nobody")
            assert result.code != 0 and "Permission denied" in result.stderr, result

    def test_the_service_reads_its_dotenv_and_not_the_env_of_systemd(self, machine):
        assert ask(machine, f"read?path={RUN}/dotenv").count("TOKEN") == 1
        assert ask(machine, f"read?path={RUN}/env") == "EACCES"

    @pytest.mark.parametrize(
        "path", [f"/opt/{SERVICE}/current/server.js", f"/opt/{SERVICE}/current/new", f"/opt/{SERVICE}/new", UNIT,
                 f"{RUN}/env", f"{RUN}/dotenv", f"{RUN}/new", "/run/bootagent/status.json", "/usr/local/bin/bootagent"]  # fmt: skip
    )
    def test_the_service_cannot_write(self, machine, path):
        assert ask(machine, f"write?path={path}") in ("EACCES", "EROFS", "EPERM")
        # Nor could it without its unit's walls.
        result = machine.run(["sh", "-c", 'echo x >>"$0"', path], user=SERVICE)
        assert result.code != 0 and "Permission denied" in result.stderr, result

    def test_the_service_can_write_what_is_its_own(self, machine):
        assert ask(machine, f"write?path=/var/lib/{SERVICE}/new") == "written"

    def test_the_value_stands_in_its_files_and_in_the_services_environment_alone(self, shared, story):  # noqa: F811
        machine, value, since = story
        _, pid, _ = process(machine)
        # Both files, and root's copies of them as they were when they passed the gate.
        expected = {f"{RUN}/{name}" for name in ("env", "dotenv", "good-env", "good-dotenv")} | {f"/proc/{pid}/environ"}
        assert search(shared, machine, value, since) == expected

    def test_the_search_finds_it_in_every_place(self, shared, story):  # noqa: F811
        """The control of the test above, with another value, put everywhere."""
        machine, _, since = story
        value = secrets.token_hex(24)
        script = """
            echo "$V" >/var/tmp/plain; echo "x$V" | base64 -w0 >/opt/encoded; ln -s "$V" /dev/shm/link; mkdir "/tmp/$V"
            echo "$V" | systemd-cat; head -c 9000 /dev/zero | tr '\\0' x | sed "s/$/$V/" | systemd-cat
            echo "$V" >/dev/console; journalctl --sync
            systemd-run --quiet --unit=leak --setenv=LEAK="$V" sleep 600
        """
        try:
            machine.check(["sh", "-c", script], env={"V": value})
            shared.git.log.append({"path": value})
            pid = machine.systemctl_show("leak")["MainPID"]
            expected = {"/var/tmp/plain", "/opt/encoded", "/dev/shm/link", f"the name /tmp/{value}", f"/proc/{pid}/environ",
                        "journal", "systemd", "console", "git"}  # fmt: skip
            found = search(shared, machine, value, since)
            assert expected <= found, f"not found: {expected - found}"
        finally:
            machine.run(["systemctl", "stop", "leak"])


class TestFailing:
    """The app exits at once, and the boot fails."""

    def test_the_value_is_nowhere_but_in_the_two_files(self, shared, binary):  # noqa: F811
        value, since = secrets.token_hex(24), beginning()
        # A first boot waits as long as the manifest says, however often the service ends.
        brief = 'install = false\nport = 3000\nhealth = { path = "/health", timeout = 6 }\n'
        shared.repo(SERVICE).commit("test", talking(**{"server.js": "process.exit(3)", "bootagent.toml": brief}))
        secret(shared, TOKEN=value)
        machine = shared.launch(user_data=USER_DATA, binary=binary)
        assert machine.wait_for_cloud_init().user_data_code == 1
        assert search(shared, machine, value, since) == {f"{RUN}/env", f"{RUN}/dotenv"}
