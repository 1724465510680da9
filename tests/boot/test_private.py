"""Private repositories: a deploy key over ssh, a GitHub App over https, and what becomes of each when it is refused."""

import json
import threading

import pytest
from lab.ssh_server import HOST_KEYS
from lab.world import may
from stage import POLICY

import services

CREDENTIAL = "--git-credential-secret=git/credential"
HTTPS = "https://github.com/acme/{service}.git"
SSH = "ssh://git@git.acme.test/acme/{service}.git"
FILES = services.node(**{"bootagent.toml": services.BRIEF + "secret = false\n"})


def known(world) -> list[str]:
    """The lab's host keys, but for the kind that is not used."""
    return [line for line in world.ssh.host_keys if " ssh-rsa " not in line]


def app_secret(app, **changes) -> str:
    written = {"app_id": app.id, "installation_id": app.installation, "private_key": app.private_key}
    return json.dumps(written | changes)


@pytest.fixture
def ssh(stage):
    stage.serve(FILES, secret=None)
    stage.machine.check(["mkdir", "-p", "/etc/bootagent"])
    stage.machine.write(POLICY, f"git.host_keys = {json.dumps(known(stage.world))}\n")
    stage.world.secret("git/credential", stage.repository.deploy_key())
    yield stage
    stage.world.ssh.impostor = stage.world.ssh.refuse_keys = False
    stage.world.ssh.host_key_types = HOST_KEYS
    stage.world.ssh.heal()


@pytest.fixture
def app(stage):
    name = stage.serve(FILES, secret=None)
    app = stage.world.github_app(name)
    stage.world.secret("git/credential", app_secret(app))
    yield app
    stage.world.clock_off(0)
    stage.world.github.heal()


def found_anywhere(machine, secret: str) -> list[str]:
    """Where on the machine a line of it is: files, the journal, command lines and environments."""
    line = secret.splitlines()[2]
    places = ["/etc", "/opt", "/run", "/tmp", "/usr/local", "/var"]
    files = machine.run(["grep", "-rlsF", "--", line, *places]).stdout.split()
    journal = machine.run(["sh", "-c", f"journalctl -a -o export | grep -cF -- '{line}'"]).stdout.strip()
    processes = machine.run(["sh", "-c", f"cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -cF -- '{line}'"]).stdout.strip()
    return files + [f"journal: {journal}"] * (journal != "0") + [f"environments: {processes}"] * (processes != "0")


def one_instance(world, binary, policy: dict, files=FILES):
    """An instance whose policy file says everything."""
    world.tags = {"bootagent:service": "auth-service", "bootagent:environment": "test"}
    world.role([may("secretsmanager:GetSecretValue", "*")])
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in policy.items())
    return world.launch(files={POLICY: text}, binary=binary)


@pytest.mark.parametrize("way", ["deploy key", "app"])
def test_a_boot_leaves_the_credential_nowhere(world, binary, way):
    repository = world.repo("auth-service")
    commit = repository.commit("test", FILES)
    policy = {"git_credential": "git/credential"}
    if way == "app":
        app = world.github_app("auth-service")
        secret, credential = app.private_key, app_secret(app)
        policy["repository"] = HTTPS
    else:
        secret = credential = repository.deploy_key()
        policy |= {"repository": SSH, "git.host_keys": known(world)}
    world.secret("git/credential", credential)
    machine = one_instance(world, binary, policy)
    result = machine.run(["bootagent", "run"], timeout=180)
    assert result.code == 0, result
    assert commit in machine.readlink("/opt/auth-service/current")
    assert not found_anywhere(machine, secret)
    if way == "app":
        # `bootagent seal` knows how tokens begin.
        assert found_anywhere(machine, "-\n-\nghs_") in ([], ["/usr/local/bin/bootagent"])


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "rsa-pkcs1", "ecdsa-sec1"])
def test_other_kinds_of_keys(ssh, kind):
    ssh.world.secret("git/credential", ssh.repository.deploy_key(kind))
    result = ssh.run("--dry-run", "--output", "json", CREDENTIAL, repository=SSH)
    assert result.code == 0, result
    assert result.json()["commit"] == ssh.repository.sha("test")


def test_a_server_that_has_only_an_rsa_key(ssh):
    """As Azure DevOps and CodeCommit: known by it, and an impostor with another one is not."""
    rsa = [line for line in ssh.world.ssh.host_keys if " ssh-rsa " in line]
    ssh.machine.write(POLICY, f"git.host_keys = {json.dumps(rsa)}\n")
    ssh.world.ssh.host_key_types = ("rsa",)
    result = ssh.run("--dry-run", "--output", "json", CREDENTIAL, repository=SSH)
    assert result.code == 0, result
    assert result.json()["commit"] == ssh.repository.sha("test")
    ssh.world.ssh.impostor = True
    ssh.refuses(77, "E-GIT-HOST-KEY", "ssh-rsa SHA256:", flags=(CREDENTIAL,), repository=SSH)


@pytest.mark.parametrize(
    ("owner", "repository"),
    [
        ("v3/acme/My%20Project", "git@git.acme.test:v3/acme/My%20Project/{service}"),
        ("My Project", "ssh://git@git.acme.test/My%20Project/{service}"),
    ],
    ids=["as-it-is", "decoded"],
)
def test_a_blank_in_the_path(ssh, owner, repository):
    name = ssh.world.tags["bootagent:service"]
    project = ssh.world.repo(name, owner=owner)
    commit = project.commit("test", FILES)
    ssh.world.secret("git/credential", project.deploy_key())
    result = ssh.run("--dry-run", "--output", "json", CREDENTIAL, repository=repository)
    assert result.code == 0, result
    assert result.json()["commit"] == commit


def test_a_server_with_another_host_key(ssh):
    ssh.world.ssh.impostor = True
    before = len(ssh.world.ssh.log)
    ssh.refuses(77, "E-GIT-HOST-KEY", "SHA256:", flags=(CREDENTIAL,), repository=SSH)
    assert [entry["event"] for entry in ssh.world.ssh.log[before:]] == ["connect"], "it was spoken to"


def test_a_server_that_answers_as_github(ssh):
    """Only GitHub has GitHub's keys."""
    repository = "git@github.com:acme/{service}.git"
    ssh.refuses(77, "E-GIT-HOST-KEY", "github.com", "SHA256:", flags=(CREDENTIAL,), repository=repository)


def test_a_server_with_an_unknown_key(ssh):
    ssh.machine.check(["rm", POLICY])
    before = len(ssh.world.ssh.log)
    ssh.refuses(77, "E-GIT-HOST-UNKNOWN", "git.acme.test", flags=(CREDENTIAL,), repository=SSH)
    assert len(ssh.world.ssh.log) == before, "it was connected to"


def test_a_key_of_another_repository(ssh):
    other = ssh.world.repo("other")
    other.commit("test", FILES)
    ssh.world.secret("git/credential", other.deploy_key())
    ssh.refuses(78, "E-GIT-NOT-FOUND", "Repository not found", flags=(CREDENTIAL,), repository=SSH)


def test_a_key_that_is_not_authorized(ssh):
    ssh.world.ssh.refuse_keys = True
    ssh.refuses(78, "E-GIT-REFUSED", "ssh-ed25519 SHA256:", flags=(CREDENTIAL,), repository=SSH)


def test_ssh_without_a_key_and_https_with_one(ssh):
    ssh.refuses(78, "E-GIT-CREDENTIAL", "no credential", repository=SSH)
    ssh.refuses(78, "E-GIT-CREDENTIAL", "private key", flags=(CREDENTIAL,), repository=HTTPS)


def test_a_stall_and_an_early_end_over_ssh_heal(ssh):
    ssh.world.ssh.truncate(0, times=2)
    assert ssh.run("--dry-run", CREDENTIAL, repository=SSH).code == 0


def test_a_branch_that_is_rewritten_during_the_fetch_over_ssh(ssh):
    before, first = len(ssh.world.ssh.log), ssh.repository.sha("test")
    ssh.repository.force_push_during_fetch("test")
    result = ssh.run("--dry-run", "--output", "json", CREDENTIAL, repository=SSH)
    assert result.code == 0, result
    assert result.json()["commit"] == ssh.repository.sha("test") != first
    assert [entry["event"] for entry in ssh.world.ssh.log[before:]].count("command") == 2, "nothing was lost: this shows nothing"


def test_a_branch_that_is_rewritten_again_and_again_over_ssh(ssh):
    ssh.repository.force_push_during_fetch("test", times=None)
    flags = (CREDENTIAL, "--budget=8s")
    ssh.refuses(75, "E-GIT-UNREACHABLE", "this happened twice", flags=flags, repository=SSH, within=8)
    ssh.repository.force_push_during_fetch("test", times=0)


def test_a_pinned_commit_of_another_branch_over_ssh(ssh):
    ssh.world.tags["bootagent:ref"] = ssh.repository.commit("feature", FILES | {"new": "file"})
    ssh.refuses(77, "E-COMMIT-NOT-ON-BRANCH", "branch test", flags=(CREDENTIAL,), repository=SSH)


def test_an_app_is_refused_by_name(stage, app):
    def refuses(code, *names, **changes):
        stage.world.secret("git/credential", app_secret(app, **changes))
        result = stage.refuses(78, code, *names, flags=(CREDENTIAL,), repository=HTTPS)
        assert "BEGIN RSA" not in result.stderr

    refuses("E-GIT-REFUSED", "signature", "401", app_id=app.id + 1)
    refuses("E-GIT-REFUSED", "no installation", "404", installation_id=app.installation + 1)
    refuses("E-GIT-CREDENTIAL", "RSA", private_key="none")
    app.repositories.clear()
    refuses("E-GIT-REFUSED", "not installed", "422")


def test_github_that_fails_twice_gives_a_token_then(stage, app):
    stage.world.github.fail(503, times=2)
    assert stage.run("--dry-run", CREDENTIAL, repository=HTTPS).code == 0


class TestClock:
    """GitHub takes a signature that is at most ten minutes long, and none of the future."""

    # What AWS still takes.
    AHEAD = -200

    def test_a_clock_that_is_ahead_of_github_s(self, stage, app):
        stage.world.clock_off(self.AHEAD)
        flags = (CREDENTIAL, "--budget=8s")
        stage.refuses(75, "E-CLOCK-WRONG", "'iat'", "clock is 20", "s ahead of GitHub's", flags=flags, repository=HTTPS, within=8)
        assert "'Issued at' claim" in stage.world.github.log[-1]["error"]

    def test_a_clock_that_is_set_right_meanwhile(self, stage, app):
        stage.world.clock_off(self.AHEAD)
        timer = threading.Timer(3, stage.world.clock_off, [0])
        timer.start()
        result = stage.run("--dry-run", CREDENTIAL, repository=HTTPS)
        timer.join()
        assert result.code == 0, result
        assert stage.world.github.log[-1]["status"] == 201

    def test_a_clock_that_is_behind_is_not_github_s_fault(self, stage, app):
        stage.world.clock_off(-self.AHEAD)
        assert stage.run("--dry-run", CREDENTIAL, repository=HTTPS).code == 0

    @pytest.mark.parametrize(("offset", "side"), [(3600, "behind"), (-3600, "ahead of")])
    def test_an_hour_is_told_by_aws_which_has_the_app_s_key(self, stage, app, offset, side):
        stage.world.clock_off(offset)
        stage.refuses(75, "E-CLOCK-WRONG", "the clock is 3", f"s {side} AWS's", flags=(CREDENTIAL,), repository=HTTPS)
