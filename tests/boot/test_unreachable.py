"""What a boot needs is out of its reach and stays so: a named failure, as soon as the time for waiting is over."""

import pytest

import services
from stage import GIT, SECRETS

pytestmark = pytest.mark.variants

BUDGET = "--budget=7s"


def refuses(stage, exit: int, code: str, fault: str | None, *names: str, **options) -> None:
    stage.refuses(exit, code, *names, **options)
    error = stage.machine.run(["bootagent", "status", "--output", "json"]).json()["error"]
    assert error.get("fault") == fault, error


# Instance metadata


def test_metadata_never_answers(stage):
    stage.world.imds.delay = 30
    refuses(stage, 75, "E-IMDS-UNREACHABLE", "imds-silent", "from IMDS")


def test_metadata_never_knows_its_type(stage):
    stage.world.instance.type = ""
    refuses(stage, 75, "E-IMDS-UNREACHABLE", "imds-incomplete", "instance-type")


def test_no_session_lives_long_enough(stage):
    stage.world.imds.token_uses = 0
    refuses(stage, 75, "E-IMDS-UNREACHABLE", "imds-token", "from IMDS", "401")


# Secrets Manager


@pytest.mark.parametrize("how", ["refused", "silent", "no route"])
def test_there_is_no_way_to_secrets_manager(stage, how):
    stage.serve(services.node())
    stage.world.unreachable(SECRETS, how=how)
    refuses(stage, 75, "E-SECRET-UNREACHABLE", "secret-unreachable", SECRETS)


@pytest.mark.shipped  # its resolver is another one
@pytest.mark.parametrize("how", ["servfail", "absent"])
def test_the_name_of_secrets_manager_is_not_resolved(stage, how):
    stage.serve(services.node())
    getattr(stage.world.dns, how)(SECRETS)
    refuses(stage, 75, "E-SECRET-UNREACHABLE", "secret-unreachable", SECRETS)


def test_secrets_manager_has_an_untrusted_certificate(stage):
    stage.serve(services.node())
    stage.world.front.untrusted = {SECRETS}
    refuses(stage, 75, "E-SECRET-UNREACHABLE", "secret-untrusted", SECRETS, "certificate")


@pytest.mark.parametrize(
    ("answer", "exit", "code", "fault"),
    [
        ("UnrecognizedClientException", 75, "E-SECRET-UNREACHABLE", "role-unknown"),
        ("ThrottlingException", 75, "E-SECRET-UNREACHABLE", "secret-throttled"),
        ("InternalServiceError", 75, "E-SECRET-UNREACHABLE", "secret-failing"),
        ("InvalidRequestException", 78, "E-SECRET-MISSING", "secret-missing"),
        ("DecryptionFailure", 78, "E-SECRET-DENIED", "secret-denied-yet"),
    ],
)
def test_secrets_manager_never_gives_it(stage, answer, exit, code, fault):
    stage.serve(services.node())
    stage.world.aws.fail("secretsmanager", 400, answer, "said in the lab")
    refuses(stage, exit, code, fault, "said in the lab")


# git


@pytest.mark.parametrize(
    ("how", "fault", "names"),
    [
        (lambda repository: repository.fail(503), "git-busy", ["503", "tried"]),
        (lambda repository: repository.stall(after=100), "git-stalled", []),
        (lambda repository: repository.truncate(after=100), "git-broken-off", ["tried"]),
        (lambda repository: repository.reset(after=100), "git-broken-off", ["tried"]),
    ],
    ids=["503", "stalls", "truncated", "reset"],
)
def test_the_git_server_never_gives_it(stage, how, fault, names):
    stage.serve(services.node())
    how(stage.repository)
    try:
        refuses(stage, 75, "E-GIT-UNREACHABLE", fault, *names, flags=(BUDGET,), within=7)
    finally:
        stage.repository.release()


# Of a server that says nothing at all it shows after 15 s whether it is there.
@pytest.mark.parametrize(
    ("how", "fault"), [("refused", "git-unreachable"), ("silent", "git-stalled"), ("no route", "git-unreachable")]
)
def test_there_is_no_way_to_the_git_server(stage, how, fault):
    stage.serve(services.node())
    stage.world.unreachable(GIT, how=how)
    # That there is no route is told after three seconds: a busy host needs time for one whole attempt.
    budget = 15 if how == "no route" else 7
    refuses(stage, 75, "E-GIT-UNREACHABLE", fault, flags=(f"--budget={budget}s",), within=budget)


# The resolver itself asks a server that fails for 5 s, again and again.
@pytest.mark.shipped
@pytest.mark.parametrize(("how", "budget"), [("servfail", 15), ("absent", 7)])
def test_the_name_of_the_git_server_is_not_resolved(stage, how, budget):
    stage.serve(services.node())
    getattr(stage.world.dns, how)(GIT)
    refuses(stage, 75, "E-GIT-UNREACHABLE", "git-unreachable", flags=(f"--budget={budget}s",), within=budget)


def test_the_git_server_has_an_untrusted_certificate(stage):
    stage.serve(services.node())
    stage.world.front.untrusted = {GIT}
    refuses(stage, 75, "E-GIT-UNREACHABLE", "git-untrusted", "certificate")


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("git.acme.test/acme/x", "git.acme.test"),
        ("github.com/evil/{}", "another owner"),
        ("github.com/acme/../evil/{}", "another owner"),
        ("github.com/acme/{}", "redirects more than"),
    ],
)
def test_the_git_server_sends_elsewhere(stage, to, says):
    """To another server, to whom the repository was handed over, or round and round."""
    name = stage.serve(services.node())
    stage.repository.redirect(f"https://{to.format(name)}.git")
    refuses(stage, 78, "E-REPOSITORY-INVALID", None, says)
