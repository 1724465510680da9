"""A service of several containers: what docker compose runs of the repository's compose file."""

import json

import pytest

import containers
from containers import ASKS_IMDS, CLOSED, OPEN, PASSWORD, USER, dockerfile, inside, page, push
from lab import World, layers
from looks import status
from stage import assert_failed

VALUE = "a b \"c\" 'd' $e $$f ${g} `h` %n \\ #\nline two\n=x"
MANIFEST = "port = 3000\n" + containers.BRIEF
WEB = "  web:\n    build: .\n    ports: ['3000:80']\n"
# What a worker is in these tests: it writes to its volume and shows a page to other containers.
WORKS = "touch /data/$$(ls /data | grep -c .); exec httpd -f -p 8000 -h /www"
# It is not healthy before the other container ends, however fast the machine is.
LISTENS_LATE = '    command: [sh, -c, "sleep 5; exec httpd -f -p 80 -h /www"]\n'


@pytest.fixture(scope="module")
def _standing(binary):
    with World() as world:
        yield containers.stage_of(world, binary, layers.compose())


def worker(command: str = WORKS, more: str = "") -> str:
    return f"  worker:\n    build: .\n    command: {json.dumps(['sh', '-c', command])}\n    volumes: ['data:/data']\n{more}"


def composed(page: str = "one", web: str = "", others: str | None = None, manifest: str = "", **files: str) -> dict[str, str]:
    """A repository whose compose file has the containers web, with this page, and worker."""
    services = WEB + web + (worker() if others is None else others)
    compose = f"services:\n{services}volumes:\n  data: {{}}\n"
    names = {"Dockerfile": dockerfile(page), "compose.yaml": compose, "bootagent.toml": f'runtime = "compose"\n{MANIFEST}{manifest}'}
    return names | files


def serve(stage, files, **secret: str) -> str:
    return stage.serve(files, secret=json.dumps(secret or {"TOKEN": "t"}))


def healthy(stage, *flags: str) -> str:
    result = stage.run(*flags)
    assert result.code == 0, result.stderr
    return result.stderr


def ids(machine) -> list[str]:
    return machine.check(["docker", "ps", "--all", "--quiet", "--no-trunc"]).split()


def inspect(machine, name: str, container: str) -> dict:
    return json.loads(machine.check(["docker", "inspect", f"bootagent-{name}-{container}-1"]))[0]


class TestServes:
    def test_values_are_exact_and_no_one_else_sees_them(self, stage):
        web = "    env_file: .env\n    environment:\n      JOINED: \"<${TOKEN}> $$x\"\n      OTHER: \"${NONE:-a $$ b}\"\n"
        alone = worker(more="    environment: [PLAIN]\n")
        name = serve(stage, composed(web=web, others=alone), TOKEN=VALUE, PLAIN="x")
        healthy(stage)
        machine = stage.machine
        assert page(machine) == "one" and status(machine)[1]["state"] == "healthy"
        assert inside(machine, 'printf %s "$TOKEN"') == VALUE
        assert inside(machine, 'printf %s "$JOINED|$OTHER|$PORT"') == f"<{VALUE}> $x|a $ b|80"
        assert inside(machine, "busybox wget -qO- http://worker:8000/health") == "one"
        environment = inspect(machine, name, "worker")["Config"]["Env"]
        assert [line for line in environment if not line.startswith("PATH=")] == ["PLAIN=x"]
        written = machine.read(f"/opt/{name}/compose.json") + machine.read(f"/etc/systemd/system/{name}.service")
        arguments = machine.check(["ps", "-ww", "-eo", "args"])
        assert "line two" not in written + arguments and "${TOKEN}" in written
        entries = [str(entry["MESSAGE"]) for entry in machine.journal(unit=f"{name}.service")]
        assert not [entry for entry in entries if "line two" in entry or "level=warning" in entry], entries
        machine.check(["systemctl", "stop", name], timeout=60)
        assert ids(machine) == [], "containers are left, with their values"
        assert "bootagent-" not in machine.check(["docker", "network", "ls", "--format", "{{.Name}}"])

    def test_an_update_a_broken_one_and_a_reboot(self, stage):
        name = serve(stage, composed())
        healthy(stage)
        machine, repository = stage.machine, stage.repository
        volume = f"/var/lib/docker/volumes/bootagent-{name}_data/_data"
        for text in ("two", "three"):
            repository.commit("test", composed(text))
            done = machine.run(["bootagent", "update"], timeout=180)
            assert done.code == 0, done.stderr
            assert page(machine) == text
        assert machine.check(["ls", volume]).split() == ["0", "1", "2"], "the volume has what all releases wrote"
        tags = machine.check(["docker", "image", "ls", "--format", "{{.Tag}}", f"bootagent/{name}"]).split()
        assert sorted(tag.split(".")[1] for tag in tags) == ["web", "web", "worker", "worker"], tags
        ends = worker("sleep 1; echo Error: no database >&2; exit 3")
        repository.commit("test", composed("four", web=LISTENS_LATE, others=ends))
        broken = machine.run(["bootagent", "update"], timeout=240)
        assert_failed(machine, broken, 2, "E-SERVICE-EXITED")
        assert "no database" in broken.stderr, broken.stderr
        assert page(machine) == "three" and status(machine)[0] == 4
        repository.fail(503, times=1000)
        stage.world.tags["bootagent:service"] = name
        machine.reboot()
        containers.wait_for_page(machine, "three")
        repository.heal()
        back = machine.run(["bootagent", "rollback"], timeout=180)
        assert back.code == 0, back.stderr
        assert page(machine) == "two"

    def test_when_one_ends_all_are_started_again(self, stage):
        name = serve(stage, composed())
        healthy(stage)
        machine = stage.machine
        before = ids(machine)
        machine.check(["docker", "kill", f"bootagent-{name}-worker-1"])
        containers.wait_for("new containers", lambda: len(ids(machine)) == 2 and not set(before) & set(ids(machine)), 40)
        containers.wait_for_page(machine, "one")


class TestEnds:
    def test_a_migration_ends_before_the_others_start_and_its_failure_is_named(self, stage):
        def files(page: str, command: str) -> dict[str, str]:
            migrate = f"  migrate:\n    build: .\n    env_file: .env\n    command: {json.dumps(['sh', '-c', command])}\n    volumes: ['data:/data']\n"
            needs = "    depends_on: {worker: {condition: service_healthy}}\n"
            checked = "    healthcheck: {test: [CMD, cat, /www/health], interval: 1s}\n"
            web = "    env_file: .env\n    volumes: ['data:/data']\n    configs: [site]\n    depends_on: {migrate: {condition: service_completed_successfully}}\n"
            made = composed(page, web=web, others=worker(more=checked) + migrate + needs, site="of the release\n")
            made["compose.yaml"] += "configs: {site: {file: ./site}}\n"
            return made

        name = serve(stage, files("one", 'while [ -e /data/slow ]; do sleep 0.1; done; echo "$$OTEL_X" > /data/migrated'), OTEL_X=VALUE, TOKEN="t")
        healthy(stage)
        machine = stage.machine
        assert page(machine) == "one" and inside(machine, "cat /data/migrated; cat /site") == f"{VALUE}\nof the release"
        assert inside(machine, 'printf %s "$OTEL_X"') == VALUE
        assert "line two" not in machine.check(["ps", "-ww", "-eo", "args"])
        [compose] = machine.check(["pgrep", "-f", "^[^ ]*docker-compose .* up "]).split()
        assert "OTEL_X" not in {entry.split("=")[0] for entry in machine.read(f"/proc/{compose}/environ").split("\0")}
        assert len(ids(machine)) == 2, "the migration's container is left"
        # What runs since the migration is watched like the others.
        before = ids(machine)
        machine.check(["docker", "kill", f"bootagent-{name}-worker-1"])
        containers.wait_for("new containers", lambda: len(ids(machine)) == 2 and not set(before) & set(ids(machine)), 40)
        containers.wait_for_page(machine, "one")
        stage.repository.commit("test", files("two", "echo Error: no such table >&2; exit 4"))
        broken = machine.run(["bootagent", "update"], timeout=240)
        assert_failed(machine, broken, 2, "E-SERVICE-EXITED", "no such table")
        assert page(machine) == "one" and len(ids(machine)) == 2
        inside(machine, "touch /data/slow")
        machine.check(["systemctl", "restart", "--no-block", name])
        running = ["docker", "ps", "--quiet", "--filter", "name=migrate-run"]
        containers.wait_for("the migration", lambda: machine.check(running).strip(), 40)
        machine.check(["systemctl", "stop", name], timeout=60)
        assert ids(machine) == [], "a migration that was stopped goes on"

    def test_another_runtime_finds_no_container_and_no_network_of_the_former_one(self, stage):
        deaf = "trap '' TERM; touch /data/x; while :; do sleep 0.1; done"
        name = serve(stage, composed(others=worker(deaf)))
        machine = stage.machine
        machine.write(f"/etc/systemd/system/{name}.service.d/brief.conf", "[Service]\nTimeoutStopSec=2\n")
        healthy(stage)
        networks = ["docker", "network", "ls", "--format", "{{.Name}}"]
        assert f"bootagent-{name}_default" in machine.check(networks)
        one = containers.built("two")
        one["bootagent.toml"] = 'runtime = "docker"\n' + one["bootagent.toml"]
        stage.repository.commit("test", one)
        update = machine.run(["bootagent", "update"], timeout=180)
        assert update.code == 0, update.stderr
        assert page(machine) == "two" and len(ids(machine)) == 1
        assert f"bootagent-{name}_default" not in machine.check(networks)
        assert f"bootagent-{name}_data" in machine.check(["docker", "volume", "ls", "--quiet"]), "data is kept"
        back = machine.run(["bootagent", "rollback"], timeout=180)
        assert back.code == 0, back.stderr
        assert page(machine) == "one" and len(ids(machine)) == 2
        machine.check(["rm", "-r", f"/etc/systemd/system/{name}.service.d"])


@pytest.mark.variants
class TestWhatItGets:
    def test_no_container_gets_more_of_the_machine_than_it_needs(self, stage):
        web = "    volumes: ['./terms:/www/terms', '/scratch']\n    ports: ['3000:80', '9229:9229']\n    user: web\n"
        serves = "    command: /bin/httpd -f -p 80 -h /www\n    cap_drop: [ALL]\n    cap_add: [NET_BIND_SERVICE]\n"
        files = composed(page="mine", terms="of the release\n")
        files["compose.yaml"] = "services:\n  web:\n    build: .\n" + web + serves + worker() + "volumes: {data: }\n"
        name = serve(stage, files)
        said = healthy(stage)
        machine = stage.machine
        assert page(machine, "/terms") == "of the release"
        host = inspect(machine, name, "web")["HostConfig"]
        assert not host["Privileged"] and host["SecurityOpt"] == ["no-new-privileges:true"] and host["CapDrop"] == ["ALL"]
        assert list(host["PortBindings"]) == ["80/tcp"] and host["RestartPolicy"]["Name"] in ("", "no")
        assert inspect(machine, name, "worker")["HostConfig"]["PortBindings"] in ({}, None)
        [bind] = [mount for mount in inspect(machine, name, "web")["Mounts"] if mount["Type"] == "bind"]
        assert bind["Source"].startswith(f"/opt/{name}/releases/") and not bind["RW"]
        # Those without a name, too; other services of the machine have their own.
        volumes = machine.check(["docker", "volume", "ls", "--quiet"]).split()
        volumes = [volume for volume in volumes if not volume.startswith("bootagent-") or f"-{name}_" in volume]
        assert len(volumes) == 2
        machine.check(["systemctl", "stop", name], timeout=60)
        assert machine.check(["docker", "volume", "ls", "--quiet"]).split() == [f"bootagent-{name}_data"]

    def test_the_policy_keeps_the_role_from_all_of_them(self, stage):
        machine = stage.machine
        machine.check(["sh", "-c", "mkdir -p /etc/bootagent && printf '[imds]\\nservice = false\\n' > /etc/bootagent/policy.toml"])
        serve(stage, composed())
        healthy(stage)
        assert inside(machine, f"({ASKS_IMDS}) 2>/dev/null") == "blocked"
        machine.check(["rm", "/etc/bootagent/policy.toml"])
        healthy(stage)
        assert inside(machine, ASKS_IMDS) == "reached"

    def test_images_of_registries_keep_the_digest_of_their_release(self, stage):
        machine = stage.machine
        push(machine, f"{OPEN}/acme/web:1", "one")
        push(machine, f"{CLOSED}/acme/cache:1", "cache")
        web = f"  web:\n    image: {OPEN}/acme/web:${{TAG}}\n    ports: ['3000:80']\n    depends_on: {{cache: {{condition: service_healthy}}}}\n"
        cache = (
            f"  cache:\n    image: {CLOSED}/acme/cache:1\n    env_file: .env\n"
            "    healthcheck: {test: [CMD, cat, /www/health], interval: 1s}\n"
        )
        more = f'[compose]\nlogins = ["{CLOSED}=REGISTRY"]\n[env.values]\nTAG = "1"\n'
        name = serve(stage, {"compose.yml": f"services:\n{web}{cache}", "bootagent.toml": MANIFEST + more}, REGISTRY=f"{USER}:{PASSWORD}")
        healthy(stage)
        assert page(machine) == "one" and inspect(machine, name, "cache")["State"]["Health"]["Status"] == "healthy"
        assert "REGISTRY" not in str(inspect(machine, name, "cache")["Config"]["Env"])
        push(machine, f"{OPEN}/acme/web:1", "moved")
        machine.check(["systemctl", "stop", name], timeout=60)
        machine.check(["sh", "-c", f"docker image rm $(docker image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' bootagent/{name} | grep web$)"])
        healthy(stage)
        assert page(machine) == "one"


@pytest.mark.variants
class TestFails:
    @pytest.mark.parametrize(
        "files, exit, code, names",
        [
            (composed(web=LISTENS_LATE, others=worker("sleep 1; exit 3")), 1, "E-SERVICE-EXITED", []),
            (composed(web="    healthcheck: {test: [CMD, cat, /none], interval: 1s, retries: 2}\n"), 1, "E-HEALTH-BAD-ANSWER", ["web-1", "cat"]),
            (composed(web="    command: /bin/httpd -f -p 127.0.0.1:80 -h /www\n"), 1, "E-HEALTH-NO-LISTENER", ["127.0.0.1:80"]),
            (composed(web="    volumes: ['/var/run/docker.sock:/x']\n"), 77, "E-COMPOSE-REFUSED", ["services.web.volumes[0]", "socket"]),
            (composed(web="    command: serve --token ${TOKEN}\n"), 77, "E-COMPOSE-REFUSED", ["services.web.command", "TOKEN"]),
            (composed(web="    environment: {A: '${NONE}'}\n"), 78, "E-SECRET-KEY-MISSING", ["NONE"]),
        ],
        ids=["exits", "unhealthy", "loopback", "socket", "argument", "unset"],
    )
    def test_for_its_reason(self, stage, files, exit, code, names):
        text = files["bootagent.toml"].replace('soak = "1s"', 'soak = "1s", timeout = "10s"')
        name = serve(stage, files | {"bootagent.toml": text})
        result = stage.run()
        assert_failed(stage.machine, result, exit, code, *names)
        assert ids(stage.machine) == []

    def test_a_container_that_ends_again_and_again_beside_one_that_answers(self, stage):
        """Which limit comes first, of restarts or of time, is the machine's speed."""
        files = composed(others=worker("sleep 1; exit 3"))
        text = files["bootagent.toml"].replace('soak = "1s"', 'soak = "5s", timeout = "10s"')
        serve(stage, files | {"bootagent.toml": text})
        assert_failed(stage.machine, stage.run(), 1, ["E-SERVICE-EXITED", "E-HEALTH-FLAPPING"], "status 3")
        assert ids(stage.machine) == []

    def test_without_the_plugin(self, stage):
        machine, plugins = stage.machine, "/usr/libexec/docker/cli-plugins"
        machine.check(["mv", plugins, f"{plugins}.away"])
        serve(stage, composed())
        result = stage.run()
        machine.check(["mv", f"{plugins}.away", plugins])
        assert_failed(machine, result, 78, "E-RUNTIME-MISSING", "plugin is not installed", "Debian 12")
