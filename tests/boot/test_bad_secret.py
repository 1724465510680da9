"""The service's secret is missing, or holds what no service should get. No value is ever repeated."""

import json

import pytest

import services
from lab.world import may

CANARY = "c4n4ry-b1rd"
# What base64 makes of such a value, without the = at its end: a variable could have this name.
TOKEN = "YzRuNHJ5b2Z0aGViMXJkMDEyMzQ1Njc4OQ"


@pytest.fixture(autouse=True)
def no_value_is_told(stage):
    """Not by the run, its status, the journal or the machine's disk."""
    yield
    machine = stage.machine
    places = ["/run/bootagent", "/run/log", "/var/log", "/var/lib/bootagent", "/etc", "/tmp"]
    for canary in (CANARY, TOKEN):
        found = machine.run(["grep", "--recursive", "--text", "--files-with-matches", canary, *places]).stdout
        assert not found, f"a value stands in {found}"
        assert canary not in machine.run(["journalctl", "--all", "--no-pager"]).stdout
        assert canary not in machine.console()


def refuses(stage, exit: int, code: str, *names: str, flags: tuple[str, ...] = ()) -> None:
    result = stage.refuses(exit, code, *names, flags=flags)
    for canary in (CANARY, TOKEN):
        assert canary not in result.stdout + result.stderr, "the run itself repeats a value"


def test_the_secret_is_missing(stage):
    service = stage.serve(services.node(), secret=None)
    refuses(stage, 78, "E-SECRET-MISSING", f"service_env_{service}_test", "eu-west-1")


def test_another_name_is_asked_for(stage):
    stage.serve(services.node())
    refuses(stage, 78, "E-SECRET-MISSING", "env/test", flags=("--secret=env/{environment}",))


def test_the_role_may_not_read_it(stage):
    service = stage.serve(services.node(), secret=f'{{"A": "{CANARY}"}}')
    stage.world.aws.allow("instance", [may("secretsmanager:GetSecretValue", "*:secret:another-??????")])
    refuses(stage, 78, "E-SECRET-DENIED", f"service_env_{service}_test", "GetSecretValue")


LOADER = ["LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "BASH_ENV", "NODE_OPTIONS"]


@pytest.mark.parametrize(
    ("secret", "exit", "code", "names"),
    [
        (f'{{"A": "{CANARY}",}}', 78, "E-SECRET-INVALID", ["line 1", "column"]),
        (f'{{"A": "{CANARY}"', 78, "E-SECRET-INVALID", ["line 1"]),
        (f'["{CANARY}"]', 78, "E-SECRET-INVALID", ["line 1"]),
        (f"A={CANARY}\nthis line {CANARY} says nothing\n", 78, "E-SECRET-INVALID", ["line 2"]),
        (f"A='{CANARY}\n", 78, "E-SECRET-INVALID", ["line 1"]),
        (f'{{"A": "{CANARY}", "A": "x"}}', 78, "E-SECRET-INVALID", ["A is there twice"]),
        (f'{{"A": "{CANARY}", "B": null}}', 78, "E-SECRET-INVALID", ["B is null"]),
        (f'{{"{CANARY} x": "y"}}', 78, "E-SECRET-INVALID", ["number 1"]),
        (f"{TOKEN}==", 78, "E-SECRET-INVALID", ["line 1", "perhaps a bare token"]),
        (f"{TOKEN}=\n", 78, "E-SECRET-INVALID", ["line 1", "looks like a value"]),
        (json.dumps({TOKEN: "TOKEN"}), 78, "E-SECRET-INVALID", ["key number 1"]),
        (f'{{"A": "{CANARY}\\u0000"}}', 78, "E-SECRET-INVALID", ["A contains a NUL"]),
        (f"A={CANARY}".encode() + b"\xff", 78, "E-SECRET-INVALID", ["UTF-8"]),
        *[(json.dumps({key: CANARY}), 77, "E-SECRET-KEY-REFUSED", [key]) for key in LOADER],
    ],
    ids=["comma", "cut-off", "list", "no-assignment", "open-quote", "twice", "null", "no-name", "token==", "token=",
         "turned-round", "nul", "bytes", *LOADER],
)  # fmt: skip
def test_what_it_holds_is_not_an_environment(stage, secret, exit, code, names):
    service = stage.serve(services.node(), secret=secret)
    refuses(stage, exit, code, f"service_env_{service}_test", *names)


def test_a_required_key_is_absent(stage):
    manifest = 'env.required = ["A", "DATABASE_URL", "B", "TOKEN"]\n'
    service = stage.serve(services.node(**{"bootagent.toml": manifest}), secret=json.dumps({"A": CANARY, "B": ""}))
    refuses(stage, 78, "E-SECRET-KEY-MISSING", f"service_env_{service}_test has no DATABASE_URL, TOKEN")


def test_a_key_that_the_manifest_allows_is_no_longer_refused(stage):
    manifest = 'port = 3000\nenv.allow = ["NODE_OPTIONS"]\n'
    stage.serve(services.node(**{"bootagent.toml": manifest}), secret='{"NODE_OPTIONS": "--max-old-space-size=99"}')
    assert "NODE_OPTIONS" in json.dumps(stage.plan())


@pytest.mark.parametrize("key", ["LD_PRELOAD", "PATH"])
def test_a_key_that_no_manifest_can_allow(stage, key):
    manifest = f'env.allow = ["{key}"]\n'
    stage.serve(services.node(**{"bootagent.toml": manifest}), secret=json.dumps({key: CANARY}))
    refuses(stage, 78, "E-MANIFEST-INVALID", "bootagent.toml:1:", key)
