"""A MongoDB host, and auth-service of the fleet, which keeps its users there from a machine of its own. A real mongod cannot be had here: what bootagent writes, runs and asks is real, the server behind it speaks
the wire protocol."""

import json
from urllib.parse import quote

import fleet
import mongodb_stand_in
import pytest
from lab import Machine, World
from lab.deadline import wait_for
from stage import assert_failed
from test_data_hosts import MANIFEST, PASSWORD, SERVICE, described, healthy, process, run, status

POLICY = "/etc/bootagent/policy.toml"
VALUES = {"MONGO_INITDB_ROOT_USERNAME": "admin", "MONGO_INITDB_ROOT_PASSWORD": PASSWORD}
CLIENT = """
import json, sys
sys.path.insert(0, "/usr/lib/mongodb-stand-in")
from pymongo import MongoClient
words = json.load(sys.stdin)
login = {"username": "admin", "password": words["password"]} if words["password"] else {}
rows = MongoClient("127.0.0.1", 27017, serverSelectionTimeoutMS=3000, **login).orders.rows
if words["word"]:
    rows.insert_one({"word": words["word"]})
print(json.dumps(sorted(row["word"] for row in rows.find())))
"""


def policy(machine: Machine, key: str) -> None:
    table = f'[apt.mongodb]\nurl = "{mongodb_stand_in.ADDRESS}"\nsuite = "./"\nkey = "{key}"\n'
    machine.check(["tee", POLICY], stdin=table)


def ask(machine: Machine, password: str | None = PASSWORD, word: str | None = None):
    return machine.run(["python3", "-c", CLIENT], stdin=json.dumps({"password": password, "word": word}), timeout=30)


@pytest.fixture(scope="module")
def mongodb(binary, tmp_path_factory):
    layers = mongodb_stand_in.ready(tmp_path_factory.mktemp("mongodb") / "layer")
    with World() as world:
        described(world, **VALUES)
        manifest = 'runtime = "mongodb"\nhealth = { soak = "1s" }\n[volume]\ndevice = "/dev/sdf"\n'
        machine = world.launch(binary=binary, files={MANIFEST: manifest}, layers=layers)
        mongodb_stand_in.publish(machine)
        world.volume("256M").attach(machine)
        yield world, machine


@pytest.fixture(scope="module")
def auth(mongodb, binary):
    """The machine of auth-service, which begins when the database serves."""
    host, application = mongodb[0], fleet.AUTH
    with World() as world:
        world.tags = {"bootagent:service": application.name, "bootagent:environment": "test"}
        world.repo(application.name).commit("test", application.files())
        uri = f"mongodb://admin:{quote(PASSWORD, safe='')}@mongodb.test.internal:27017"
        world.secret(f"service_env_{application.name}_test", json.dumps(application.secret | {"MONGODB_URI": uri}))
        application.carry(world)
        world.peer("mongodb.test.internal", 27017, host)
        machine = world.launch(binary=binary, files={POLICY: application.policy})
        done = run(machine, "run", "--repository", "https://github.com/acme/{service}.git")
        assert done.code == 0, done.stdout + done.stderr
        yield machine


ZOE = {"email": "zoe@example.com", "password": "a long passphrase"}


def login(machine: Machine, password: str = ZOE["password"]) -> tuple[int, str]:
    """The status, and the user whose token it is."""
    answer = fleet.AUTH.ask(machine, "/login", ZOE | {"password": password})
    token = json.loads(answer.body).get("token")
    said = fleet.AUTH.ask(machine, "/me", authorization=f"Bearer {token}")
    return answer.status, json.loads(said.body).get("email", "")


def test_packages_that_another_key_signed_are_not_installed(mongodb):
    _, machine = mongodb
    policy(machine, "/etc/bootagent/keys/stranger.asc")
    failed = run(machine)
    assert_failed(machine, failed, 1, "E-OS-PACKAGES-KEY", mongodb_stand_in.ADDRESS)
    assert not machine.exists("/usr/bin/mongod")


def test_the_first_user_of_the_secret_and_no_other_one_gets_in(mongodb):
    _, machine = mongodb
    policy(machine, mongodb_stand_in.KEY)
    healthy(machine)
    source = machine.read("/etc/apt/sources.list.d/bootagent-mongodb.sources")
    assert f"Signed-By: {mongodb_stand_in.KEY}\n" in source
    assert ask(machine, word="first").stdout == '["first"]\n'
    for password in ("wrong", None):
        refused = ask(machine, password=password)
        assert refused.code != 0 and "uthenticat" in refused.stderr, refused
    said = status(machine)
    assert said["state"] == "healthy" and "ready (MongoDB)" in said["probe"]
    assert PASSWORD[:14] not in machine.check(["sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null; journalctl -o cat"])
    before = process(machine)
    assert "0 of" in healthy(machine).stderr and process(machine) == before


def test_a_service_on_another_machine_keeps_its_users_there(auth):
    assert fleet.AUTH.ask(auth, "/register", ZOE).status == 201
    assert fleet.AUTH.ask(auth, "/register", ZOE).status == 409
    assert login(auth) == (200, ZOE["email"])
    assert login(auth, "another passphrase") == (401, "")


def test_a_reboot_brings_it_back_with_its_data(mongodb, auth):
    _, machine = mongodb
    serves = auth.systemctl_show("auth-service.service")["MainPID"]
    machine.check(["systemctl", "stop", f"{SERVICE}.service"])
    assert login(auth) == (503, "")
    machine.reboot()
    wait_for("the service", lambda: status(machine)["state"] == "healthy", 60, evidence=machine.console_tail)
    assert ask(machine, word="second").stdout == '["first", "second"]\n'
    assert machine.read(f"/var/lib/{SERVICE}/volume/mongodb/bootagent-data") == f"mongodb - {SERVICE}\n"
    wait_for("auth-service to find its users", lambda: login(auth) == (200, ZOE["email"]), 20)
    assert auth.systemctl_show("auth-service.service")["MainPID"] == serves
