"""Values of several sources: secrets, parameters, composed values and files of them, on one machine."""

import json
import secrets

import looks
import pytest
from lab.world import may
from services import talking
from stage import POLICY, REPOSITORY

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

    def test_an_arn_may_name_another_region(self, allowed):
        stage = allowed
        arn = stage.world.aws.secret("shared/far", json.dumps({"FAR": CANARY}), region="eu-central-1")
        stage.machine.write(POLICY, SHARED.replace('"shared/*"', '"shared/*", "arn:aws:secretsmanager:eu-central-1:*:secret:shared/*"'))
        stage.serve(of(f'[env]\nfrom = [{{ secret = "{arn}" }}]\n'))
        done = stage.run(wait="20s", repository=None)
        assert done.code == 0, done.stderr
        assert looks.ask(stage.machine, "env")["FAR"] == CANARY
        hosts = [entry for entry in stage.world.aws.log if entry["secret"] == arn]
        assert hosts and stage.world.dns.log, "the region's own endpoint was not asked"

    @pytest.mark.parametrize(
        "key, suffix", [("fips", "-fips.eu-west-1.amazonaws.com"), ("dual_stack", ".eu-west-1.api.aws")]
    )
    def test_the_policy_chooses_among_aws_s_endpoints(self, allowed, key, suffix):
        stage = allowed
        stage.machine.write(POLICY, SHARED + f"[network]\n{key} = true\n")
        stage.serve(of('[env]\nfrom = [{ parameter = "/shared/API_KEY" }]\n'))
        before = len(stage.world.dns.log)
        stage.plan()
        asked = {entry["name"].rstrip(".") for entry in stage.world.dns.log[before:]}
        assert {f"secretsmanager{suffix}", f"ssm{suffix}"} <= asked, asked
        assert not any(name.startswith(("secretsmanager.", "ssm.")) and suffix not in name for name in asked), asked

    def test_without_a_secret_of_its_own_and_by_the_default_policy(self, allowed):
        stage = allowed
        stage.machine.run(["rm", "-f", POLICY])
        name = stage.serve(of(""), secret=None)
        stage.repository.commit("test", of('secret = false\nenv.from = [{ parameters = "/{service}/{environment}" }]\n'))
        stage.world.parameter(f"/{name}/test/TOKEN", CANARY)
        done = stage.run(wait="20s")
        assert done.code == 0, done.stderr
        assert looks.ask(stage.machine, "env")["TOKEN"] == CANARY

    def test_values_that_changed_are_told_with_the_place_they_come_from(self, allowed):
        stage = allowed
        manifest = '[env]\nfrom = [{ secret = "shared/db", rename = { host = "PGHOST" }, keys = ["port"] }]\n'
        dies = "if (process.env.PGHOST === 'broken') process.exit(3);\n"
        files = of(manifest)
        stage.serve(files | {"server.js": dies + files["server.js"]})
        assert stage.run(wait="20s", repository=None).code == 0
        stage.world.secret("shared/db", json.dumps({"host": "broken", "port": "1"}))
        failed = stage.run(wait="20s", repository=None)
        assert failed.code == 2, failed.stderr
        assert "changed keys: PGHOST, port" in failed.stderr, failed.stderr
        assert "correct the secret shared/db (changed keys: PGHOST, port)" in failed.stderr, failed.stderr
        assert looks.ask(stage.machine, "env")["PGHOST"] == "db.internal"

    def test_the_last_healthy_deployment_starts_with_all_its_sources_when_nothing_can_be_planned(self, allowed):
        stage, machine = allowed, allowed.machine
        name = stage.serve(of(FROM), secret=json.dumps({"OWN": "1"}))
        assert stage.run(wait="20s", repository=None).code == 0
        before = looks.ask(machine, "env")
        stage.repository.fail(404)
        machine.check(["systemctl", "stop", name])
        machine.check(["sh", "-c", f"rm -rf /run/bootagent/{name}/*"])  # as after a reboot
        failed = stage.run("--update", repository=None)
        assert failed.code == 2, failed.stderr
        after = looks.ask(machine, "env")
        assert after["DATABASE_URL"] == before["DATABASE_URL"] and after["PGHOST"] == "db.internal"
        assert json.loads(looks.ask(machine, "read?path=config/production.json"))["API_KEY"] == f"key-{CANARY}"


class TestRefused:
    """Each ends before it changes anything, and names what is wrong."""

    @pytest.mark.parametrize(
        "source, code, exit, says",
        [
            ('{ secret = "other/db" }', "E-POLICY-REFUSED", 77, ["does not allow the secret other/db", "allowed: shared/*"]),
            ('{ parameters = "/" }', "E-MANIFEST-INVALID", 78, ["expected a path of parameters"]),
            ('{ parameters = "/other" }', "E-POLICY-REFUSED", 77, ["does not allow the parameters below /other"]),
            ('{ secret = "shared/none" }', "E-SECRET-MISSING", 78, ["shared/none"]),
            ('{ parameter = "/shared/NONE" }', "E-PARAMETER-MISSING", 78, ["parameter /shared/NONE", "eu-west-1"]),
            ('{ parameters = "/shared/empty" }', "E-PARAMETER-MISSING", 78, ["below /shared/empty"]),
            ('{ secret = "shared/db", keys = ["none"] }', "E-SECRET-KEY-MISSING", 78, ["secret shared/db", "has no none"]),
            ('{ secret = "shared/tls" }', "E-SECRET-INVALID", 78, ["shared/tls"]),
            ('{ secret = "shared/db", rename = { host = "PATH" } }', "E-MANIFEST-INVALID", 78, ["PATH is refused"]),
        ],
    )
    def test_a_source(self, allowed, source, code, exit, says):
        allowed.serve(of(f"[env]\nfrom = [{source}]\n"))
        result = allowed.refuses(exit, code, *says, repository=None)
        assert CANARY not in result.stderr

    @pytest.mark.parametrize(
        "manifest, code, says",
        [
            ('[env.compose]\nURL = "x://{NONE}"\n', "E-SECRET-KEY-MISSING", ["composing URL", "it needs NONE"]),
            ('[env.compose]\nA = "{B}"\nB = "{A}"\n', "E-MANIFEST-INVALID", ["A of B of A is composed of itself"]),
            ('[env]\nrequired = ["URL", "NONE"]\n[env.compose]\nURL = "{TOKEN}"\n', "E-SECRET-KEY-MISSING", ["has no NONE"]),
            ('[env.files]\n"server.js" = "json"\n', "E-MANIFEST-INVALID", ["server.js is a file of the repository"]),
            ('[env.files]\n"config" = "json"\n', "E-MANIFEST-INVALID", ["config/default.json is a file of the repository"]),
            ('[env.files]\n"../x.json" = "json"\n', "E-MANIFEST-INVALID", ["relative, without . and .."]),
            ('[env.files]\n"x.json" = { format = "json", keys = ["NONE"] }\n', "E-SECRET-KEY-MISSING", ["x.json", "NONE"]),
        ],
    )
    def test_a_composed_value_or_a_file(self, allowed, manifest, code, says):
        allowed.serve(of(manifest, **{"config/default.json": "{}"}))
        allowed.refuses(78, code, *says, repository=None)

    def test_a_path_that_the_role_may_not_read(self, allowed):
        allowed.world.aws.allow("instance", [may(["secretsmanager:GetSecretValue", "ssm:GetParameter"], "*")])
        allowed.serve(of('[env]\nfrom = [{ parameters = "/shared/test" }]\n'))
        result = allowed.refuses(78, "E-PARAMETER-DENIED", "may not call ssm:GetParametersByPath", repository=None)
        assert "allow ssm:GetParametersByPath on parameter/shared/test and parameter/shared/test/*" in result.stderr
        assert "kms:Decrypt" in result.stderr

    def test_a_parameter_store_that_does_not_answer(self, allowed):
        allowed.world.aws.throttle("ssm")
        allowed.serve(of('[env]\nfrom = [{ parameter = "/shared/API_KEY" }]\n'))
        allowed.refuses(75, "E-PARAMETER-UNREACHABLE", "ThrottlingException", repository=None)

    def test_an_arn_of_another_account_is_refused_by_patterns_for_names(self, allowed):
        arn = "arn:aws:secretsmanager:eu-west-1:210987654321:secret:shared/db-AbCdEf"
        allowed.serve(of(f'[env]\nfrom = [{{ secret = "{arn}" }}]\n'))
        allowed.refuses(77, "E-POLICY-REFUSED", arn, repository=None)

    def test_env_check_names_what_a_composed_value_lacks(self, allowed):
        allowed.serve(of('[env.compose]\nURL = "x://{NONE}"\nGOOD = "{TOKEN:url}"\n'), secret=json.dumps({"TOKEN": CANARY}))
        machine = allowed.machine
        machine.write("/root/bootagent.toml", '[env.compose]\nURL = "x://{NONE}"\nGOOD = "{TOKEN:url}"\n')
        machine.write("/root/values.env", f"TOKEN={CANARY}\n")
        arguments = ["--env-file", "/root/values.env", "--manifest", "/root/bootagent.toml"]
        checked = machine.run(["bootagent", "env", "check", *arguments])
        assert checked.code == 78, checked
        assert "! URL (composed of NONE): does not arrive: it needs NONE" in checked.stdout, checked.stdout
        assert "= GOOD (composed of TOKEN)" in checked.stdout and CANARY not in checked.stdout
