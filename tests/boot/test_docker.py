"""A service runs as a container: built from the repository, or an image of a registry."""

import json

import pytest

import containers
from containers import ASKS_IMDS, CLOSED, OPEN, PASSWORD, USER, built, inside, of_image, page, push
from lab import World
from looks import ask, status
from services import BRIEF, NOTHING, talking
from stage import REPOSITORY, assert_failed

VALUE = "a b \"c\" 'd' $e `f` %n \\ #\nline two\n=x"


@pytest.fixture(scope="module")
def _standing(binary):
    with World() as world:
        yield containers.stage_of(world, binary)


def serve(stage, files, **secret: str) -> str:
    return stage.serve(files, secret=json.dumps(secret or {"TOKEN": "t"}))


def healthy(stage, *flags: str) -> str:
    result = stage.run(*flags)
    assert result.code == 0, result.stderr
    return result.stderr


def inspect(machine, name: str) -> dict:
    return json.loads(machine.check(["docker", "inspect", f"bootagent-{name}"]))[0]


def images(machine, name: str) -> list[str]:
    return machine.check(["docker", "image", "ls", "--format", "{{.Tag}}", f"bootagent/{name}"]).split()


def record(machine, name: str) -> dict:
    release = machine.readlink(f"/opt/{name}/current").rpartition("/")[2]
    return json.loads(machine.read(f"/var/lib/bootagent/services/{name}/images/{release}"))


class TestBuilt:
    def test_it_is_built_and_gets_its_values_exactly(self, stage):
        name = serve(stage, built(), TOKEN=VALUE, PLAIN="x")
        healthy(stage)
        machine = stage.machine
        assert page(machine) == "one" and status(machine)[1]["state"] == "healthy"
        assert inside(machine, 'printf %s "$TOKEN"') == VALUE
        assert inside(machine, "echo $PORT $PLAIN") == "80 x"
        unit = machine.read(f"/etc/systemd/system/{name}.service")
        arguments = machine.check(["ps", "-ww", "-eo", "args"])
        assert "line two" not in unit + arguments and "--env TOKEN" in unit

    def test_it_gets_no_more_of_the_machine_than_a_service_needs(self, stage):
        name = serve(stage, built())
        healthy(stage)
        found = inspect(stage.machine, name)
        host = found["HostConfig"]
        assert not host["Privileged"] and host["ReadonlyRootfs"] and host["SecurityOpt"] == ["no-new-privileges"]
        assert host["RestartPolicy"]["Name"] in ("", "no") and host["LogConfig"]["Type"] == "none"
        assert host["NetworkMode"] == "bootagent" and not host["Binds"] and not found["Mounts"]
        assert list(host["PortBindings"]) == ["80/tcp"] and "NET_RAW" in host["CapDrop"]
        machine = stage.machine
        assert "Read-only" in inside(machine, "touch /www/x") and inside(machine, "touch /tmp/x && echo ok") == "ok"

    def test_another_user_has_no_capability_and_writes_to_its_volume(self, stage):
        more = '[docker]\nuser = "web"\nport = 8081\nvolumes = ["files:/files"]\nwritable = ["/cache"]\n'
        serving = 'CMD ["/bin/httpd", "-f", "-p", "8081", "-h", "/www"]\n'
        name = serve(stage, built(manifest=more, serve=serving))
        healthy(stage)
        machine = stage.machine
        assert inspect(machine, name)["HostConfig"]["CapDrop"] == ["ALL"]
        assert inside(machine, "id -u") == "1000"
        assert inside(machine, "echo kept > /files/x; echo lost > /cache/x; cat /files/x /cache/x") == "kept\nlost"
        assert machine.read(f"/var/lib/bootagent/services/{name}/volumes/files/x") == "kept\n"
        stage.repository.commit("test", built("two", manifest=more, serve=serving))
        assert machine.run(["bootagent", "update"], timeout=120).code == 0
        assert page(machine) == "two" and inside(machine, "cat /files/x; ls /cache") == "kept"
        looked = machine.run(["ls", f"/var/lib/bootagent/services/{name}/volumes/files"], user="nobody")
        assert looked.code != 0 and "denied" in looked.stderr

    def test_its_lines_are_in_the_journal_once(self, stage):
        name = serve(stage, built(serve='CMD ["/bin/sh", "-c", "echo the first line; exec httpd -f -p 80 -h /www"]\n'))
        healthy(stage)
        machine = stage.machine
        entries = [entry["MESSAGE"] for entry in machine.journal(unit=f"{name}.service")]
        assert entries.count("the first line") == 1, entries
        assert not [entry for entry in entries if "No such container" in str(entry)], entries
        assert "the first line" in machine.check(["bootagent", "logs"])

    def test_it_gets_sigterm_and_is_started_again_after_a_crash(self, stage):
        script = "trap 'echo it ends; exit 0' TERM; httpd -p 80 -h /www; while :; do sleep 0.1; done"
        name = serve(stage, built(serve=f"CMD {json.dumps(['/bin/sh', '-c', script])}\n"))
        healthy(stage)
        machine = stage.machine
        first = inspect(machine, name)["Id"]
        machine.check(["docker", "kill", f"bootagent-{name}"])
        containers.wait_for_page(machine, "one")
        assert inspect(machine, name)["Id"] != first
        machine.check(["systemctl", "stop", name], timeout=20)
        assert "it ends" in [entry["MESSAGE"] for entry in machine.journal(unit=f"{name}.service")]
        assert machine.run(["docker", "inspect", f"bootagent-{name}"]).code != 0, "it is still there"

    def test_an_update_a_broken_one_and_a_reboot(self, stage):
        name = serve(stage, built())
        healthy(stage)
        machine, repository = stage.machine, stage.repository
        for text in ("two", "three"):
            repository.commit("test", built(text))
            assert machine.run(["bootagent", "update"], timeout=120).code == 0
            assert page(machine) == text
        assert len(images(machine, name)) == 2, "the first image is of no kept release"
        repository.commit("test", built("four", serve='CMD ["/bin/sh", "-c", "echo Error: no database >&2; exit 3"]\n'))
        broken = machine.run(["bootagent", "update"], timeout=180)
        assert_failed(machine, broken, 2, "E-SERVICE-EXITED", "no database")
        assert page(machine) == "three"
        assert status(machine)[0] == 4
        repository.fail(503, times=1000)
        stage.world.tags["bootagent:service"] = name
        machine.reboot()
        containers.wait_for_page(machine, "three")
        repository.heal()
        back = machine.run(["bootagent", "rollback"], timeout=120)
        assert back.code == 0, back.stderr
        assert page(machine) == "two"

    def test_what_the_daemon_s_file_has_stays(self, stage):
        machine, path = stage.machine, "/etc/docker/daemon.json"
        machine.check(["sh", "-c", f"""echo '{{"debug": false, "log-opts": {{"max-size": "7m"}}}}' > {path}"""])
        serve(stage, built())
        healthy(stage)
        assert json.loads(machine.read(path)) == {
            "debug": False,
            "log-driver": "json-file",
            "log-opts": {"max-size": "7m", "max-file": "3"},
        }

    def test_a_build_never_reaches_the_role_and_the_container_if_policy_allows_it(self, stage):
        machine = stage.machine
        asks = f"RUN ({ASKS_IMDS}) > /www/imds 2>/dev/null\n"
        serve(stage, built(more=asks))
        healthy(stage)
        assert page(machine, "/imds") == "blocked"
        assert inside(machine, ASKS_IMDS) == "reached"
        assert "169.254" not in machine.check(["iptables", "-S", "DOCKER-USER"])
        machine.check(["sh", "-c", "mkdir -p /etc/bootagent && printf '[imds]\\nservice = false\\n' > /etc/bootagent/policy.toml"])
        healthy(stage)
        assert inside(machine, f"({ASKS_IMDS}) 2>/dev/null") == "blocked"
        machine.check(["rm", "/etc/bootagent/policy.toml"])
        healthy(stage)
        assert inside(machine, ASKS_IMDS) == "reached"


class TestEnds:
    def test_the_next_run_removes_the_rule_of_a_build_that_was_killed(self, stage):
        machine = stage.machine
        serve(stage, built(more="RUN sleep 60\n"))
        rule = "iptables -S DOCKER-USER | grep -q docker0"
        killed = f"bootagent run --repository {REPOSITORY} & for i in $(seq 300); do {rule} && break; sleep 0.1; done; {rule} && kill -9 $!"
        machine.check(["sh", "-c", killed], timeout=60)
        machine.run(["pkill", "-x", "docker"])
        # Nothing of the killed run is left that could remove the rule itself.
        machine.check(["sh", "-c", f"! pgrep -x bootagent && sleep 1 && {rule}"])
        # Another runtime: a build would remove the rule at its beginning.
        stage.repository.commit("test", talking())
        healthy(stage, "--update")
        assert "docker0" not in machine.check(["iptables", "-S", "DOCKER-USER"])

    def test_a_container_that_ignores_its_signal_gives_its_port_to_the_next_runtime(self, stage):
        deaf = "trap '' TERM; httpd -p 80 -h /www; while :; do sleep 0.1; done"
        name = serve(stage, built(serve=f"CMD {json.dumps(['/bin/sh', '-c', deaf])}\n"))
        machine = stage.machine
        machine.write(f"/etc/systemd/system/{name}.service.d/brief.conf", "[Service]\nTimeoutStopSec=3\n")
        healthy(stage)
        program = machine.check(["docker", "inspect", "--format", "{{.State.Pid}}", f"bootagent-{name}"]).strip()
        stage.repository.commit("test", talking(**{"bootagent.toml": NOTHING + BRIEF}))
        update = machine.run(["bootagent", "update"], timeout=120)
        assert update.code == 0, update.stderr
        assert machine.run(["docker", "inspect", f"bootagent-{name}"]).code != 0, "the container is still there"
        assert not machine.exists(f"/proc/{program}") and ask(machine, "release")
        # And back: what fails is a container, and it goes before the former program starts.
        files = built(serve=f"CMD {json.dumps(['/bin/sh', '-c', deaf.replace('-p 80', '-p 81')])}\n")
        stage.repository.commit("test", files | {"bootagent.toml": 'runtime = "docker"\n' + str(files["bootagent.toml"])})
        broken = machine.run(["bootagent", "update"], timeout=180)
        assert_failed(machine, broken, 2, "E-HEALTH-NO-LISTENER", "listens on 81")
        assert machine.run(["docker", "inspect", f"bootagent-{name}"]).code != 0 and ask(machine, "release")


class TestOfARegistry:
    def test_a_tag_is_resolved_once_for_a_release(self, stage):
        machine = stage.machine
        digest = push(machine, f"{OPEN}/acme/site:1", "one")
        name = serve(stage, of_image(f"{OPEN}/acme/site:1"))
        healthy(stage)
        assert page(machine) == "one"
        assert record(machine, name)["digest"] == f"{OPEN}/acme/site@{digest}"
        push(machine, f"{OPEN}/acme/site:1", "moved")
        machine.check(["systemctl", "stop", name])
        # Even if the image is lost, the release has the one that it was made with.
        machine.check(["sh", "-c", f"docker image rm bootagent/{name}:{images(machine, name)[0]}"])
        healthy(stage)
        assert page(machine) == "one"
        stage.repository.commit("test", of_image(f"{OPEN}/acme/site:1", "read_only = false\n"))
        assert machine.run(["bootagent", "update"], timeout=120).code == 0
        assert page(machine) == "moved"

    def test_a_digest_and_a_login(self, stage):
        machine = stage.machine
        digest = push(machine, f"{CLOSED}/acme/private:1", "private")
        files = of_image(f"{CLOSED}/acme/private@{digest}", 'login = "REGISTRY"\n')
        name = serve(stage, files, TOKEN="t", REGISTRY=f"{USER}:{PASSWORD}")
        healthy(stage)
        assert page(machine) == "private"
        assert inside(machine, "env | grep -c REGISTRY") == "0", "the container has the registry's credential"
        found = machine.run(["grep", "-rlE", f"{PASSWORD}|auths", "/root", "/run/bootagent", "/etc/docker", "/etc/bootagent", f"/var/lib/bootagent"])
        left = [path for path in found.stdout.split() if path != f"/run/bootagent/{name}/env" and path != f"/run/bootagent/{name}/good-env"]
        assert not left, left


@pytest.mark.variants
class TestFails:
    @pytest.fixture(autouse=True)
    def nothing_else(self, stage):
        yield

    @pytest.mark.parametrize(
        "files, exit, code, names",
        [
            (of_image(f"{OPEN}/acme/none:1"), 78, "E-IMAGE-MISSING", ["acme/none:1", "manifest unknown"]),
            (of_image(f"{CLOSED}/acme/private:1"), 78, "E-IMAGE-REFUSED", ["no basic auth credentials"]),
            (of_image("localhost:5999/acme/x:1"), 75, "E-IMAGE-UNREACHABLE", ["connection refused"]),
            (built(more="RUN echo the reason >&2; exit 7\n"), 1, "E-IMAGE-BUILD-FAILED", ["exit 7"]),
            ({"Dockerfile": "FROM localhost:5000/none:1\n"}, 78, "E-IMAGE-MISSING", ["localhost:5000/none"]),
            (built(serve='CMD ["/bin/sh", "-c", "echo Error: no database >&2; exit 3"]\n', manifest="[docker]\n"), 1, "E-SERVICE-EXITED", ["no database"]),
            (built(serve='CMD ["/bin/httpd", "-f", "-p", "127.0.0.1:80", "-h", "/www"]\n'), 1, "E-HEALTH-NO-LISTENER", ["127.0.0.1:80"]),
            (built(serve='CMD ["/bin/httpd", "-f", "-p", "81", "-h", "/www"]\n'), 1, "E-HEALTH-NO-LISTENER", ["listens on 81, not on 80"]),
            (built(serve='CMD ["/bin/none"]\n'), 1, "E-SERVICE-EXITED", ["status 127"]),
        ],
        ids=["image-missing", "no-login", "unreachable", "build", "base", "exits", "loopback", "port", "program"],
    )
    def test_for_its_reason(self, stage, files, exit, code, names):
        text = files.get("bootagent.toml", "port = 3000\n").replace('soak = "1s"', 'soak = "1s", timeout = "6s"')
        name = serve(stage, files | {"bootagent.toml": text})
        result = stage.run("--budget", "60s") if code == "E-IMAGE-UNREACHABLE" else stage.run()
        assert_failed(stage.machine, result, exit, code, *names)
        assert stage.machine.run(["docker", "inspect", f"bootagent-{name}"]).code != 0
        assert "docker0" not in stage.machine.check(["iptables", "-S", "DOCKER-USER"]), "the rule of a build is left"

    def test_for_a_wrong_login_that_no_message_quotes(self, stage):
        files = of_image(f"{CLOSED}/acme/private:1", 'login = "REGISTRY"\n')
        serve(stage, files, REGISTRY=f"{USER}:not-this-password")
        result = stage.run()
        assert_failed(stage.machine, result, 78, "E-IMAGE-REFUSED", "acme/private")
        assert "not-this-password" not in result.stderr + result.stdout
        assert not stage.machine.run(["grep", "-rl", "auths", "/run/bootagent"]).stdout

    def test_for_a_daemon_s_file_that_is_not_valid(self, stage):
        machine, path = stage.machine, "/etc/docker/daemon.json"
        before = machine.read(path)
        machine.check(["sh", "-c", f"echo '{{\"debug\": ' > {path}"])
        serve(stage, built())
        result = stage.run()
        assert_failed(machine, result, 1, "E-CONTAINER-ENGINE", path)
        assert machine.read(path) == '{"debug": \n'
        # An option that is the unit's as well stops the daemon: the file is put back, and docker runs.
        machine.check(["sh", "-c", f"""echo '{{}}' > {path}; mkdir -p /etc/systemd/system/docker.service.d
            printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/dockerd -H fd:// --log-driver journald\\n' > /etc/systemd/system/docker.service.d/x.conf
            systemctl daemon-reload; systemctl restart docker"""])
        result = stage.run()
        assert_failed(machine, result, 1, "E-CONTAINER-ENGINE", "log-driver")
        assert machine.read(path) == "{}\n" and machine.run(["docker", "ps"]).code == 0
        machine.check(["sh", "-c", "rm -r /etc/systemd/system/docker.service.d; systemctl daemon-reload; systemctl restart docker"])
        machine.write(path, before)
