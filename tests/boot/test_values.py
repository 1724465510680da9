"""Values of several sources: secrets, parameters, composed values and files of them, on one machine."""

import json
import secrets

import looks
import pytest
from lab.world import may
from services import talking
from stage import POLICY, REPOSITORY, assert_failed

CANARY = secrets.token_hex(12)
HARD = f"p@ss/w%rd\n:{CANARY}"  # what a URL must escape, and what no line may break
HARD_IN_URL = f"p%40ss%2Fw%25rd%0A%3A{CANARY}"
READ = ["secretsmanager:GetSecretValue", "ssm:GetParameter", "ssm:GetParametersByPath"]
SHARED = f'repository = "{REPOSITORY}"\n[values]\nsecrets = ["shared/*"]\nparameters = ["/shared/*"]\n'

FROM = """
[env]
required = ["DATABASE_URL", "PGHOST", "API_KEY"]
from = [
  { parameters = "/shared/{environment}/" },
  { secret = "shared/db", keys = ["user", "password"], rename = { host = "PGHOST" }, prefix = "DB_" },
  { parameter = "/shared/API_KEY" },
  { parameter = "/shared/list", as = "LIST" },
  { secret = "shared/tls", as = "TLS_KEY" },
  { secret = "shared/none", optional = true },
  { parameter = "/shared/NONE", optional = true },
]
[env.values]
PUBLIC = "yes"
[env.compose]
DATABASE_URL = "postgres://{DB_user:url}:{DB_password:url}@{PGHOST}/app?{{x}}"
HOME_PAGE = "https://{PUBLIC}/{PORT}"
[env.files]
"config/production.json" = "json"
"app.env" = { format = "env", keys = ["API_KEY", "LIST"] }
"""


@pytest.fixture
def allowed(stage):
    """A machine whose policy and role allow what is shared, and a world that has it."""
    world = stage.world
    world.aws.allow("instance", [may(READ, "*")])
    world.secret("shared/db", json.dumps({"host": "db.internal", "user": "us/er", "password": HARD, "port": 5432}))
    world.secret("shared/tls", f"-----BEGIN KEY-----\n{CANARY}\n")
    world.parameter("/shared/API_KEY", f"key-{CANARY}")
    world.parameter("/shared/list", "a,b,c", "StringList")
    for number in range(12):
        world.parameter(f"/shared/test/group/N-{number}", f"n{number}", "String")
    world.parameter("/shared/test/TOKEN", "of the path")
    stage.machine.write(POLICY, SHARED)
    return stage


def of(manifest: str, **files: object) -> dict[str, object]:
    made = talking(**files)
    return made | {"bootagent.toml": made["bootagent.toml"] + manifest}


class TestBoot:
    def test_values_of_all_sources_arrive_in_order(self, allowed):
        stage, machine = allowed, allowed.machine
        name = stage.serve(of(FROM), secret=json.dumps({"TOKEN": "own", "OWN": CANARY}))
        done = stage.run(wait="20s", repository=None)
        assert done.code == 0, done.stderr
        env = looks.ask(machine, "env")
        assert env["DATABASE_URL"] == f"postgres://us%2Fer:{HARD_IN_URL}@db.internal/app?{{x}}"
        assert env["DB_password"] == HARD and "port" not in env and "DB_port" not in env
        assert (env["PGHOST"], env["LIST"], env["API_KEY"]) == ("db.internal", "a,b,c", f"key-{CANARY}")
        assert env["TLS_KEY"] == f"-----BEGIN KEY-----\n{CANARY}\n"
        assert (env["HOME_PAGE"], env["TOKEN"]) == ("https://yes/3000", "own")
        assert [env[f"group_N_{number}"] for number in range(12)] == [f"n{number}" for number in range(12)]

        written = json.loads(looks.ask(machine, "read?path=config/production.json"))
        assert {key: env[key] for key in written} == written and written["DB_password"] == HARD
        assert looks.ask(machine, "read?path=app.env").splitlines()[1:] == [f"API_KEY=key-{CANARY}", "LIST=a,b,c"]
        link = f"/opt/{name}/current/config/production.json"
        assert machine.readlink(link) == f"/run/bootagent/{name}/file-2"
        found = machine.stat(machine.readlink(link))
        assert (oct(found.mode), found.owner, found.group) == ("0o640", "root", name)
        pages = [entry for entry in stage.world.aws.log if entry["action"] == "GetParametersByPath"]
        assert len(pages) >= 2 and {entry["status"] for entry in pages} == {200}

        shown = done.stdout + done.stderr + json.dumps(stage.plan())
        checked = machine.run(["bootagent", "env", "check"])
        assert checked.code == 0, checked
        assert "= PGHOST (host of secret shared/db)" in checked.stdout, checked.stdout
        assert "= DATABASE_URL (composed of DB_password, DB_user, PGHOST)" in checked.stdout
        assert "= TOKEN (secret service_env_" in checked.stdout
        kept = machine.check(["sh", "-c", f"cat /var/lib/bootagent/services/{name}/kept/*"])
        assert "shared/db" in kept and "/shared/test" in kept
        for text in (shown, checked.stdout, kept):
            assert CANARY not in text, "a value was shown"
