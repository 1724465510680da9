"""Data hosts: a database server of the distribution, without a repository, with its data on a volume of its own."""

import json
import re

import pytest
from lab import Machine, World, layers
from lab.deadline import wait_for
from looks import flat, leftovers
from stage import assert_failed

SERVICE = "orders-db"
MANIFEST = f"/etc/bootagent/services/{SERVICE}.toml"
PASSWORD = "pa$$ %w'o\"rd\\7Yq2 "
USER = {"POSTGRES_USER": "orders", "POSTGRES_DB": "orders", "POSTGRES_PASSWORD": PASSWORD}
QUICK = 'health = { soak = "1s" }\n'
VOLUME = '[volume]\ndevice = "/dev/sdf"\nwait = "60s"\n'
POSTGRESQL = 'runtime = "postgresql"\n' + QUICK
MOUNT = f"/var/lib/{SERVICE}/volume"


def described(world: World, **values: str) -> None:
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.secret(f"service_env_{SERVICE}_test", json.dumps(values))


def launch(world: World, binary, manifest: str) -> Machine:
    """A machine with both servers in its image, whose owner has stopped those of the distribution. The world's other ones end."""
    for other in world.machines:
        other.kill()
    layer = layers.ensure(["postgresql", "redis-server"])
    machine = world.launch(binary=binary, files={MANIFEST: manifest}, layers=[layer])
    own = ["postgresql", "postgresql@15-main", "redis-server"]
    machine.run(["systemctl", "disable", "--now", *own])
    return machine


def run(machine: Machine, *words: str, timeout: float = 180):
    return machine.run(["bootagent", *(words or ("run",))], timeout=timeout)


def healthy(machine: Machine, *words: str):
    result = run(machine, *words)
    assert result.code == 0, result.stdout + result.stderr
    return result


def status(machine: Machine) -> dict:
    return flat(machine.run(["bootagent", "status", "--output", "json"]).json())


def sql(machine: Machine, text: str, password: str = PASSWORD, host: str = "127.0.0.1"):
    line = ["psql", "-h", host, "-U", "orders", "-d", "orders", "-At", "-v", "ON_ERROR_STOP=1", "-c", text]
    return machine.run(line, env={"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "5"})


def rows(machine: Machine) -> list[str]:
    found = sql(machine, "SELECT word FROM kept ORDER BY 1")
    assert found.code == 0, found.stderr
    return found.stdout.split()


def process(machine: Machine) -> str:
    return machine.systemctl_show(f"{SERVICE}.service")["MainPID"]


def write(machine: Machine, manifest: str) -> None:
    machine.check(["tee", MANIFEST], stdin=manifest)


def update(machine: Machine, manifest: str):
    write(machine, manifest)
    return healthy(machine, "update")


@pytest.fixture(scope="module")
def postgres(binary):
    """A world, its volume, and a machine whose first run began before the volume was attached."""
    with World() as world:
        described(world, **USER)
        volume = world.volume()
        machine = launch(world, binary, POSTGRESQL + VOLUME)
        machine.check(["systemd-run", "--quiet", "--unit=first", "bootagent", "run"])
        waits = lambda: [one["id"] for one in status(machine).get("waiting", [])] == ["volume"]  # noqa: E731
        wait_for("the run to wait for the volume", waits, 30, evidence=machine.console_tail)
        volume.attach(machine)
        healthy_now = lambda: status(machine)["state"] == "healthy"  # noqa: E731
        wait_for("the service to be healthy", healthy_now, 90, evidence=machine.console_tail)
        done = sql(machine, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('first')")
        assert done.code == 0, done.stderr
        yield world, volume, machine


def test_it_serves_at_loopback_and_the_private_address_with_a_password_only(postgres):
    world, _, machine = postgres
    address = world.instance.address
    assert sql(machine, "SELECT 1", host=address).stdout == "1\n"
    assert sql(machine, "SELECT rolsuper FROM pg_roles WHERE rolname = 'orders'").stdout == "t\n"
    for host in ("127.0.0.1", address):
        refused = sql(machine, "SELECT 1", password="wrong", host=host)
        assert refused.code != 0 and "password authentication failed" in refused.stderr
    # As the service's own user, by the socket: no other way in.
    local = machine.run(["psql", "-w", "-h", f"/var/lib/{SERVICE}", "-U", "orders", "-d", "orders", "-c", "SELECT 1"], user=SERVICE)
    assert local.code != 0 and "no password supplied" in local.stderr
    listening = machine.check(["ss", "-Hltn", "sport = :5432"])
    assert sorted(line.split()[3] for line in listening.splitlines()) == ["127.0.0.1:5432", f"{address}:5432"]


def test_its_data_is_on_the_volume_and_the_server_is_the_service_s(postgres):
    _, _, machine = postgres
    mounted = machine.check(["findmnt", "-no", "SOURCE,FSTYPE,OPTIONS", MOUNT])
    assert mounted.split()[:2] == ["/dev/xvdf", "ext4"] and "nosuid" in mounted and "nodev" in mounted
    assert machine.read(f"{MOUNT}/postgresql/bootagent-data") == f"postgresql 15 {SERVICE}\n"
    assert machine.check(["ps", "-o", "user=", "-p", process(machine)]).strip() == SERVICE
    for unit in ("postgresql", "postgresql@15-main"):
        assert machine.run(["systemctl", "is-enabled", unit]).stdout.strip() == "masked", unit
    unit = machine.read(f"/etc/systemd/system/{SERVICE}.service")
    assert f"RequiresMountsFor={MOUNT}\n" in unit and "KillSignal=SIGINT" in unit
    assert leftovers(machine) == []


def test_the_password_is_in_no_argument_log_or_file(postgres):
    _, _, machine = postgres
    key = PASSWORD[:14]
    assert key not in machine.check(["journalctl", "-o", "cat", "--no-pager"])
    assert key not in machine.check(["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null || true"])
    environment = machine.check(["cat", f"/proc/{process(machine)}/environ"])
    assert "POSTGRES" not in environment
    found = machine.run(["grep", "-rlaF", key, "/etc", "/opt", "/var/lib", "/var/log", "/tmp", "/run"]).stdout.split()
    # The environment of a service is in memory, for root alone; this one's server reads none of it.
    assert set(found) <= {f"/run/bootagent/{SERVICE}/env", f"/run/bootagent/{SERVICE}/good-env"}, found


def test_the_manifest_stands_for_a_commit(postgres):
    _, _, machine = postgres
    said = status(machine)
    assert said["repository"] == MANIFEST and re.fullmatch("[0-9a-f]{40}", said["commit"])
    again = healthy(machine)
    assert "0 of" in again.stderr, again.stderr
    # A changed file is applied by an update alone.
    before = process(machine)
    write(machine, POSTGRESQL + VOLUME + "[postgresql]\nmax_connections = \"33\"\n")
    healthy(machine)
    assert sql(machine, "SHOW max_connections").stdout == "100\n" and process(machine) == before


def test_an_update_restarts_only_if_the_configuration_changed(postgres):
    _, _, machine = postgres
    before = process(machine)
    update(machine, 'runtime = "postgresql"\nhealth = { soak = "2s" }\n' + VOLUME)
    assert process(machine) == before, "only the health check changed"
    update(machine, POSTGRESQL + VOLUME + "[postgresql]\nmax_connections = \"33\"\n")
    assert sql(machine, "SHOW max_connections").stdout == "33\n" and process(machine) != before
    assert rows(machine) == ["first"]


def test_a_rollback_brings_the_former_manifest_back(postgres):
    _, _, machine = postgres
    update(machine, POSTGRESQL + VOLUME + "[postgresql]\nmax_connections = \"44\"\n")
    healthy(machine, "rollback")
    assert sql(machine, "SHOW max_connections").stdout == "33\n"
    assert rows(machine) == ["first"]


def test_a_broken_update_leaves_the_former_one_serving(postgres):
    _, _, machine = postgres
    write(machine, POSTGRESQL + VOLUME + "[postgresql]\nshared_buffers = \"900GB\"\n")
    assert run(machine, "update").code == 2
    assert rows(machine) == ["first"] and sql(machine, "SHOW max_connections").stdout == "33\n"


def test_a_reboot_brings_it_back_with_its_data(postgres):
    _, _, machine = postgres
    machine.reboot()
    wait_for("the service", lambda: status(machine)["state"] == "healthy", 60, evidence=machine.console_tail)
    assert rows(machine) == ["first"]


def test_another_machine_has_the_rows_of_a_terminated_one(postgres, binary):
    world, volume, machine = postgres
    assert sql(machine, "INSERT INTO kept VALUES ('second')").code == 0
    # Terminated, and not stopped: the server has no time to end.
    machine.kill()
    other = launch(world, binary, POSTGRESQL + VOLUME)
    # Its users get other numbers than the first one's.
    other.check(["useradd", "--system", "first-one"])
    other.check(["useradd", "--system", "second-one"])
    volume.attach(other)
    healthy(other)
    assert rows(other) == ["first", "second"]
    owner = other.check(["stat", "-c", "%U", f"{MOUNT}/postgresql/PG_VERSION"]).strip()
    assert owner == SERVICE
    other.power_off()


def test_what_is_not_this_service_s_is_refused_and_left_alone(postgres, binary):
    world, _, _ = postgres
    machine = launch(world, binary, POSTGRESQL + VOLUME.replace("60s", "2s"))
    missing = run(machine)
    assert_failed(machine, missing, 75, "E-VOLUME-MISSING", "/dev/sdf", "not attached within 2 s")
    foreign = world.volume("32M")
    foreign.run("mkfs.ext4", "-q", "-L", "billing", "{}")
    written = world.volume("32M")
    with open(written.path, "r+b") as file:
        file.seek(20 << 20)
        file.write(b"no file system, and yet someone's bytes")
        file.seek(1 << 20)
        file.write(b"x")
    for number, (volume, says) in enumerate([(foreign, "the label billing"), (written, "bytes of no known file system")]):
        before = volume.bytes()
        name = f"/dev/xvd{'gh'[number]}"
        volume.attach(machine, name)
        write(machine, POSTGRESQL + VOLUME.replace("/dev/sdf", name))
        result = run(machine, "update")
        assert_failed(machine, result, 77, "E-VOLUME-FOREIGN", name, says)
        assert volume.bytes() == before, says
    # With two disks of one label, a boot would mount either of them.
    twin, empty = world.volume("32M"), world.volume("32M")
    twin.run("mkfs.ext4", "-q", "-L", SERVICE, "{}")
    twin.attach(machine, "/dev/xvdi")
    wait_for("the link of the label", lambda: machine.exists(f"/dev/disk/by-label/{SERVICE}"), 10)
    empty.attach(machine, "/dev/xvdj")
    write(machine, POSTGRESQL + VOLUME.replace("/dev/sdf", "/dev/xvdj"))
    assert_failed(machine, run(machine, "update"), 77, "E-VOLUME-FOREIGN", "/dev/xvdj is empty", f"the label {SERVICE} already")
    assert not any(empty.bytes())
    # Of two disks with the label, the one that was prepared is mounted, or none.
    copy = world.volume("32M")
    copy.run("mkfs.ext4", "-q", "-L", SERVICE, "{}")
    copy.attach(machine, "/dev/xvdk")
    machine.check(["systemctl", "stop", "lab-udev"])
    machine.check(["ln", "-sfn", "/dev/xvdk", f"/dev/disk/by-label/{SERVICE}"])
    write(machine, POSTGRESQL + VOLUME.replace("/dev/sdf", "/dev/xvdi"))
    assert_failed(machine, run(machine, "update"), 77, "E-VOLUME-FOREIGN", "another disk than /dev/xvdi")
    assert MOUNT not in machine.read("/proc/self/mounts")
    # Data of another service, or of an unknown origin, is refused, too.
    write(machine, POSTGRESQL)
    for record in (None, "postgresql 15 billing-db\n"):
        directory = f"/var/lib/{SERVICE}/postgresql"
        machine.check(["install", "-d", "-o", SERVICE, "-g", SERVICE, "-m", "0700", directory])
        machine.check(["sh", "-c", f"echo 15 >{directory}/PG_VERSION"])
        if record:
            machine.check(["tee", f"{directory}/bootagent-data"], stdin=record)
        result = run(machine, "update")
        assert_failed(machine, result, 77, "E-DATA-FOREIGN", directory)
        assert machine.read(f"{directory}/PG_VERSION") == "15\n"
    machine.check(["rm", "-rf", directory])
    described(world, POSTGRES_USER="orders")
    assert_failed(machine, run(machine, "update"), 78, "E-SECRET-KEY-MISSING", "POSTGRES_PASSWORD")
    described(world, **USER | {"POSTGRES_DB": "a b"})
    assert_failed(machine, run(machine, "update"), 78, "E-SECRET-INVALID", "POSTGRES_DB")
    described(world, **USER)
    machine.check(["tee", "/etc/bootagent/policy.toml"], stdin="[packages]\nallow = false\n")
    assert_failed(machine, run(machine, "update"), 77, "E-POLICY-REFUSED", "postgresql")
    machine.power_off()


def test_first_data_of_a_killed_run_is_made_whole_once(postgres, binary):
    world, _, _ = postgres
    machine = launch(world, binary, POSTGRESQL)
    half = f"/var/lib/{SERVICE}/.postgresql.bootagent/PG_VERSION"
    machine.check(["systemd-run", "--quiet", "--unit=first", "bootagent", "run"])
    wait_for("the first data to be half-made", lambda: machine.exists(half), 30, every=0.02, evidence=machine.console_tail)
    assert not machine.exists(f"/var/lib/{SERVICE}/postgresql")
    machine.kill()
    machine.start()
    wait_for("the service", lambda: status(machine)["state"] == "healthy", 90, evidence=machine.console_tail)
    assert sql(machine, "SELECT count(*) FROM pg_roles WHERE rolsuper").stdout == "1\n"
    assert not machine.exists(half) and leftovers(machine) == []
    machine.power_off()


def test_redis_keeps_its_keys_and_wants_the_secret_s_password(binary):
    with World() as world:
        described(world, REDIS_PASSWORD=PASSWORD)
        manifest = 'runtime = "redis"\nhealth = { soak = "1s", timeout = "5s" }\n' + '[redis]\nmaxmemory = "64mb"\n'
        # The packages come from the distribution while the run waits.
        machine = world.launch(binary=binary, files={MANIFEST: manifest})
        # An image has the packages, and neither the password nor data.
        asked = len(world.aws.log)
        healthy(machine, "bake", "--service", SERVICE, "--environment", "test")
        assert status(machine)["state"] == "prepared" and machine.exists("/usr/bin/redis-server")
        assert len(world.aws.log) == asked and not machine.exists(f"/var/lib/{SERVICE}/redis")
        assert machine.run(["systemctl", "is-active", f"{SERVICE}.service"]).code != 0
        healthy(machine)
        assert machine.run(["journalctl", "-u", "redis-server", "-o", "cat", "-q"]).stdout == "", "the package's own server ran"

        def redis(*words: str, password: str = PASSWORD) -> str:
            done = machine.run(["redis-cli", "--no-auth-warning", *words], env={"REDISCLI_AUTH": password})
            return (done.stdout + done.stderr).strip()

        assert redis("set", "word", "kept") == "OK"
        assert "WRONGPASS" in redis("get", "word", password="wrong")
        assert "NOAUTH" in machine.run(["redis-cli", "get", "word"]).stdout
        # The health check's user may do nothing else.
        assert "NOPERM" in machine.run(["redis-cli", "--user", "bootagent", "--pass", "-", "get", "word"]).stdout
        assert redis("config", "get", "maxmemory").split()[-1] == str(64 << 20)
        assert PASSWORD[:14] not in machine.check(["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null; journalctl -o cat"])
        before = process(machine)
        assert "0 of" in healthy(machine).stderr and process(machine) == before
        described_again = PASSWORD[::-1]
        world.secret(f"service_env_{SERVICE}_test", json.dumps({"REDIS_PASSWORD": described_again}))
        healthy(machine)
        assert process(machine) != before and redis("get", "word", password=described_again) == "kept"
        assert "WRONGPASS" in redis("get", "word")
        machine.reboot()
        wait_for("the service", lambda: status(machine)["state"] == "healthy", 60, evidence=machine.console_tail)
        assert redis("get", "word", password=described_again) == "kept"
        # An open port that says nothing is not a server.
        machine.check(["systemctl", "stop", SERVICE])
        machine.check(["mv", "/usr/bin/redis-server", "/usr/bin/redis-server.kept"])
        machine.check(["install", "-m", "755", "/dev/stdin", "/usr/bin/redis-server"], stdin=MUTE)
        failed = run(machine)
        assert failed.code == 1 and "E-HEALTH-BAD-ANSWER" in failed.stderr and "Redis's protocol" in failed.stderr, failed.stderr


MUTE = """#!/usr/bin/python3
import socket

listening = socket.create_server(("127.0.0.1", 6379))
open_ones = []
while True:
    open_ones.append(listening.accept())
"""
