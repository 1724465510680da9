"""What the instance says of itself is wrong, missing or hostile; so are the policy and the command line."""

import json

import pytest

import services
from lab import Machine
from stage import POLICY, REPOSITORY

SERVICE, ENVIRONMENT, REF = "bootagent:service", "bootagent:environment", "bootagent:ref"

HOSTILE = {
    "empty": "",
    "blank": " ",
    "command": "$(touch /tmp/owned)",
    "backticks": "`touch /tmp/owned`",
    "semicolon": "a;reboot",
    "parent": "../etc",
    "absolute": "/etc",
    "option": "--upload-pack=touch",
    "newline": "auth-service\nExecStart=/bin/sh",
    "trailing-newline": "auth-service\n",
    "nul": "auth\0service",
    "escape": "\x1b]0;owned\x07\x1b[31mauth",
    "256-characters": "a" * 256,
    "26-characters": "a" * 26,
    "right-to-left": "\u202eecivres",
    "lookalike": "аuth-service",  # its first letter is Cyrillic
    "upper-case": "Auth-Service",
    "specifier": "auth%n",
    "placeholder": "{service}",
}


def everywhere(name: str) -> list[str]:
    """The grammars of the other tags have unit tests of their own: here a few values show that they are used."""
    return [SERVICE, ENVIRONMENT, REF] if name in ("command", "newline", "escape", "empty") else [SERVICE]


@pytest.mark.parametrize(("key", "name"), [(key, name) for name in HOSTILE for key in everywhere(name)])
def test_a_hostile_tag_is_refused_before_anybody_is_asked(stage, key, name):
    stage.world.tags[key] = HOSTILE[name]
    asked = len(stage.world.git.log), len(stage.world.aws.log), len(stage.world.dns.log)
    result = stage.refuses(78, "E-TAG-INVALID", f"tag {key}")
    assert (len(stage.world.git.log), len(stage.world.aws.log), len(stage.world.dns.log)) == asked
    control = [c for c in result.stderr if c != "\n" and not c.isprintable()]
    assert not control, f"raw control characters {control} in the output:\n{result.stderr!r}"


def test_tags_are_off(stage):
    stage.world.imds.tags_on = False
    stage.refuses(78, "E-IMDS-TAGS-OFF", "InstanceMetadataTags")


@pytest.mark.parametrize("key", [SERVICE, ENVIRONMENT])
def test_a_tag_is_missing(stage, key):
    del stage.world.tags[key]
    stage.world.tags["Name"] = "an instance"
    stage.refuses(78, "E-TAG-MISSING", key, "Name")


@pytest.mark.parametrize("broken", ["refuses", "answers 503"])
def test_metadata_does_not_answer(stage, broken):
    if broken == "refuses":
        stage.world.imds.refuse()
    else:
        stage.world.imds.fail(times=10_000)
    stage.refuses(75, "E-IMDS-UNREACHABLE", "from IMDS")


def test_the_role_never_comes(stage):
    stage.serve(services.node())
    stage.world.imds.credentials = None
    stage.refuses(75, "E-CREDENTIALS-MISSING", "404")


# Names that stand for something else already


INIT_SCRIPT = """\
#!/bin/sh
### BEGIN INIT INFO
# Provides: mailer
# Required-Start:
# Required-Stop:
# Default-Start: 2 3 4 5
# Default-Stop:
### END INIT INFO
"""


@pytest.fixture
def occupied(stage) -> Machine:
    """A machine on which others live, too."""
    machine = stage.machine
    if not machine.exists("/opt/legacy"):
        for user in ("docker", "web-build"):
            machine.check(["useradd", "--system", user])
        machine.check(["groupadd", "staffers"])
        machine.check(["mkdir", "/opt/legacy", "/var/lib/ledger"])
        machine.write("/etc/systemd/system/nginx.service", "[Service]\nExecStart=/bin/sleep infinity\n")
        machine.write("/opt/legacy/precious", "data\n")
        machine.write("/etc/init.d/mailer", INIT_SCRIPT, 0o755)
        machine.check(["systemctl", "daemon-reload"])
    return machine


@pytest.mark.parametrize(
    ("name", "stands_for"),
    [
        ("root", "root"),
        ("daemon", "user daemon"),
        ("docker", "user docker"),
        ("web", "user web-build"),
        ("staffers", "group staffers"),
        ("nginx", "unit nginx.service"),
        ("dbus", "dbus"),
        ("mailer", "unit mailer.service"),
        ("legacy", "/opt/legacy"),
        ("ledger", "/var/lib/ledger"),
        ("bootagent", "bootagent"),
        ("bootagent-fetch", "bootagent-fetch"),
    ],
)
def test_a_name_that_is_taken_is_never_adopted(stage, occupied, name, stands_for):
    stage.world.repo(name).commit("test", services.node())
    stage.world.secret(f"service_env_{name}_test", '{"A":"b"}')
    stage.world.tags[SERVICE] = name
    stage.refuses(77, "E-NAME-TAKEN", stands_for)


# Policy


@pytest.mark.parametrize(
    ("policy", "tags", "exit", "code", "names"),
    [
        ("", {ENVIRONMENT: "qa"}, 77, "E-POLICY-REFUSED", ["qa", "test"]),
        ('[environments]\nlive = "main"\n', {}, 77, "E-POLICY-REFUSED", ["test", "live"]),
        ('services = ["web", "mail"]\n', {}, 77, "E-POLICY-REFUSED", ["auth-service", "policy.toml"]),
        ('budget = "5m"\nrepostory = "x"\n', {}, 78, "E-POLICY-INVALID", ["policy.toml:2", "repostory"]),
        ('repository = "https://x\n', {}, 78, "E-POLICY-INVALID", ["policy.toml:1"]),
        ('[environments]\ntest = "../main"\n', {}, 78, "E-POLICY-INVALID", ["../main"]),
    ],
    ids=["environment", "own-environments", "service", "typo", "no-toml", "branch"],
)
def test_the_policy_refuses_or_is_wrong(stage, policy, tags, exit, code, names):
    stage.world.tags.update(tags)
    stage.machine.write("/etc/bootagent/policy.toml", policy)
    stage.refuses(exit, code, *names)


EVIL = 'repository = "https://github.com/evil/{service}.git"\n'
MANIFEST = "/etc/bootagent/services/auth-service.toml"


@pytest.mark.parametrize(
    ("path", "breaks", "named", "owner"),
    [
        (POLICY, f"chmod 666 {POLICY}", POLICY, "(mode 0666, owner root)"),
        (POLICY, f"chown daemon {POLICY}", POLICY, "(mode 0644, owner daemon)"),
        (POLICY, "chmod 777 /etc/bootagent", "/etc/bootagent ", "(mode 0777, owner root)"),
        (POLICY, f"mv {POLICY} /tmp/p; chown nobody /tmp/p; ln -s /tmp/p {POLICY}", "/tmp/p", "owner nobody"),
        (MANIFEST, f"chown daemon {MANIFEST}", MANIFEST, "(mode 0644, owner daemon)"),
        (MANIFEST, "chmod 775 /etc/bootagent/services", "/etc/bootagent/services ", "(mode 0775, owner root)"),
    ],
    ids=["file", "owner", "directory", "link", "manifest", "manifests"],
)
def test_what_others_than_root_can_write_is_not_a_policy(stage, path, breaks, named, owner):
    stage.world.repo("auth-service").commit("test", services.node())
    stage.machine.write(path, EVIL if path == POLICY else services.BRIEF)
    stage.machine.check(["sh", "-c", breaks])
    try:
        stage.refuses(78, "E-POLICY-INVALID", path, named, owner, repository=None if path == POLICY else REPOSITORY)
    finally:
        stage.machine.check(["rm", "-rf", "/etc/bootagent", "/tmp/p"])
    assert not [asked for asked in stage.world.git.log if "evil" in asked["path"]]


@pytest.mark.parametrize(
    ("makes", "says"),
    [
        (f"mkdir -p {POLICY}", "is not a file"),
        (f"printf 'repository = \"\\377\"' > {POLICY}", "UTF-8"),
        (f"head -c 5000000 /dev/zero > {POLICY}", "is over"),
    ],
    ids=["directory", "bytes", "endless"],
)
def test_a_policy_that_is_not_text_is_invalid(stage, makes, says):
    stage.machine.check(["sh", "-c", f"mkdir -p /etc/bootagent; {makes}"])
    stage.refuses(78, "E-POLICY-INVALID", POLICY, says)


def test_a_policy_by_root_s_own_link_and_readable_for_root_alone(stage):
    stage.world.repo("auth-service").commit("test", services.node())
    stage.world.secret("service_env_auth-service_test", '{"TOKEN":"t"}')
    stage.machine.write("/etc/bootagent/image/one.toml", f'repository = "{REPOSITORY}"\n', 0o600)
    stage.machine.check(["ln", "-sfn", "image/one.toml", POLICY])
    plan = json.loads(stage.machine.check(["bootagent", "--dry-run", "--output", "json"]))
    assert {"name": "repository", "value": REPOSITORY.format(service="auth-service"), "origin": POLICY} in plan["settings"]


def test_no_setting_names_the_repository(stage):
    stage.refuses(78, "E-POLICY-NO-REPOSITORY", "policy.toml", repository=None)


@pytest.mark.parametrize("flag", ["--service=../x", "--environment=Prod"])
def test_a_flag_is_held_to_the_same_grammar(stage, flag):
    stage.refuses(78, "E-POLICY-INVALID", "flag", flags=(flag,))


# The command line: nothing is begun, so there is no status to write


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--nonsense"], "--nonsense"),
        (["run", "--budget", "soon"], "soon"),
        (["run", "--ref=main"], "7 to 40 hexadecimal digits"),
        (["update", "--ref=main"], "7 to 40 hexadecimal digits"),
        (["rollback", "main"], "7 to 40 hexadecimal digits"),
        (["run", "--env-file", "/etc/hostname"], "--dry-run"),
        (["run", "--repository", "/srv/repository"], "--dry-run"),
        (["--service", "x"], "bootagent run"),
        (["nonsense"], "nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage(stage, arguments, says):
    before = stage.machine.run(["bootagent", "status", "--output", "json"])
    result = stage.machine.run(["bootagent", *arguments])
    assert result.code == 64 and says in result.stderr, result
    assert stage.machine.run(["bootagent", "status", "--output", "json"]) == before


def test_only_root_may_run_but_everybody_may_ask(stage):
    stage.world.imds.tags_on = False
    stage.refuses(78, "E-IMDS-TAGS-OFF")
    result = stage.machine.run(["bootagent", "run"], user="nobody")
    assert result.code == 77 and "E-NOT-ROOT" in result.stderr and "--dry-run" in result.stderr, result
    asked = stage.machine.run(["bootagent", "status", "--output", "json"], user="nobody")
    assert asked.code == 1 and asked.json()["error"]["code"] == "E-IMDS-TAGS-OFF", asked
