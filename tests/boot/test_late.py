"""What a boot needs comes late, or fails a few times first: it is waited for, and the service comes into service."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import services
from stage import GIT, SECRETS

pytestmark = pytest.mark.variants

BRIEF = services.NOTHING + services.BRIEF


@pytest.fixture
def comes(stage) -> Iterator[Callable[..., None]]:
    """comes(*flags): the run of a service ends well, and the service is in service."""
    name = stage.serve(services.node(**{"bootagent.toml": BRIEF}))

    def comes(*flags: str) -> None:
        result = stage.run(*flags, wait="90s")
        assert result.code == 0, f"exit {result.code}\n{result.stdout}{result.stderr}"
        asked = stage.machine.run(["bootagent", "status", "--output", "json"])
        assert asked.code == 0, asked
        assert (asked.json()["service"], asked.json()["serves"]["commit"]) == (name, stage.repository.sha("test"))

    yield comes
    stage.machine.run(["systemctl", "stop", f"{name}.service"])


@contextlib.contextmanager
def later(seconds: float, act: Callable[..., object], *given: object) -> Iterator[None]:
    timer = threading.Timer(seconds, act, given)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def answers(log: list[dict], path: str) -> list[int]:
    return [entry["status"] for entry in log if path in entry["path"]]


# Instance metadata


def test_metadata_that_refuses_at_first(stage, comes):
    before = len(stage.world.imds.log)
    stage.world.imds.refuse(4)
    began = time.monotonic()
    comes()
    assert time.monotonic() - began > 3 and len(stage.world.imds.log) > before


def test_metadata_that_fails_at_first(stage, comes):
    before = len(stage.world.imds.log)
    stage.world.imds.fail(times=5)
    comes()
    assert [entry["status"] for entry in stage.world.imds.log[before:]][:5] == [503] * 5


def test_metadata_that_hangs_at_first(stage, comes):
    imds = stage.world.imds
    imds.delay = 30
    with later(5, setattr, imds, "delay", 0):
        comes()


def test_metadata_that_does_not_know_its_type_yet(stage, comes):
    before, instance = len(stage.world.imds.log), stage.world.instance
    instance.type = ""
    with later(2, setattr, instance, "type", "t3.small"):
        comes()
    assert len(answers(stage.world.imds.log[before:], "/instance-type")) > 1


def test_a_session_that_expires_again_and_again(stage, comes):
    before = len(stage.world.imds.log)
    stage.world.imds.token_uses = 3
    comes()
    log = stage.world.imds.log[before:]
    assert 401 in [entry["status"] for entry in log], "no token expired: this test shows nothing"
    assert len(answers(log, "/latest/api/token")) > 2


def test_tags_that_are_half_a_minute_late(stage, comes):
    before = len(stage.world.imds.log)
    stage.world.imds.tags_after(30)
    comes()
    asked = answers(stage.world.imds.log[before:], "/tags/instance")
    # A fleet that waits must not hammer, either.
    assert 5 < asked.count(404) < 100, asked


def test_one_tag_that_is_later_than_the_other(stage, comes):
    tags = stage.world.tags
    environment = tags.pop("bootagent:environment")
    with later(3, tags.__setitem__, "bootagent:environment", environment):
        comes()


def test_credentials_that_are_404_at_first(stage, comes):
    before = len(stage.world.imds.log)
    stage.world.imds.role_after(requests=4)
    comes()
    assert answers(stage.world.imds.log[before:], "security-credentials").count(404) >= 4


def test_metadata_that_answers_slowly_is_asked_at_once(stage, comes):
    before = len(stage.world.imds.log)
    stage.world.imds.delay = 0.8
    comes()
    log = stage.world.imds.log[before:]
    for several in (("/instance-id", "/region", "/availability-zone", "/instance-type"), ("/bootagent:",)):
        answered = [entry["time"] for entry in log if entry["path"].endswith(several) or several[0] in entry["path"]]
        assert len(answered) >= 2 and max(answered) - min(answered) < 0.8, (several, answered)
    assert len(answers(log, "/latest/api/token")) <= 3, "each question asks for a token of its own"


# Secrets Manager


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ThrottlingException"),
        (429, "TooManyRequests"),
        (500, "InternalServiceError"),
        (503, "ServiceUnavailable"),
        (400, "UnrecognizedClientException"),
        # A policy that was attached a moment ago: nothing was ever healthy on this instance.
        (400, "AccessDeniedException"),
    ],
)
def test_secrets_manager_that_refuses_twice(stage, comes, status, code):
    before = len(stage.world.aws.log)
    stage.world.aws.fail("secretsmanager", status, code, times=2)
    comes()
    assert [entry["error"] for entry in stage.world.aws.log[before:]] == [code, code, None]


def test_credentials_that_are_over_are_asked_for_anew(stage, comes):
    before = len(stage.world.imds.log)
    stage.world.aws.fail("secretsmanager", 400, "ExpiredTokenException", times=1)
    comes()
    asked = [entry for entry in stage.world.imds.log[before:] if "/security-credentials/" in entry["path"]]
    assert len({entry["path"] for entry in asked if entry["path"][-1] != "/"}) == 1 and len(asked) >= 2, asked


# The way to git and to Secrets Manager, at once


@pytest.mark.parametrize("how", ["refused", "silent", "no route"])
def test_a_way_that_opens_late(stage, comes, how):
    world = stage.world
    world.unreachable(GIT, SECRETS, how=how)
    with later(5, world.reachable, GIT, SECRETS):
        comes()


@pytest.mark.shipped  # its resolver is another one
@pytest.mark.parametrize("how", ["servfail", "absent"])
def test_names_that_are_known_late(stage, comes, how):
    dns = stage.world.dns
    before = len(dns.log)
    for name in (GIT, SECRETS):
        getattr(dns, how)(name, 8)
    comes()
    failed = {entry["name"] for entry in dns.log[before:] if entry["answer"] in ("SERVFAIL", "NXDOMAIN")}
    assert {GIT, SECRETS} <= failed, "the names were known: this test shows nothing"


# git


@pytest.mark.parametrize("status", [503, 429, 408])
def test_a_git_server_that_is_busy_twice(stage, comes, status):
    before = len(stage.world.git.log)
    stage.repository.fail(status, times=2)
    comes()
    assert [entry["status"] for entry in stage.world.git.log[before:]][:3] == [status, status, 200]


def test_a_git_server_under_maintenance(stage, comes):
    """It answers 200, and what it answers is a page."""
    before = len(stage.world.git.log)
    stage.repository.page(times=2)
    comes()
    assert [entry["fault"] for entry in stage.world.git.log[before:]][:3] == ["page", "page", None]


def fetches(log: list[dict]) -> int:
    return len(answers(log, "/info/refs"))


@pytest.mark.parametrize("how", ["truncate", "reset"])
@pytest.mark.parametrize("after", [0, 100], ids=["at-once", "in-the-pack"])
def test_a_pack_that_breaks_off(stage, comes, how, after):
    before = len(stage.world.git.log)
    # The first answer of a shallow fetch has no pack yet, and is brief.
    getattr(stage.repository, how)(after=after, times=2)
    comes()
    assert fetches(stage.world.git.log[before:]) > 1, "nothing broke off: this test shows nothing"


def test_a_pack_that_stalls(stage, comes):
    """No side closes the stalled connection: bootagent must notice the stall itself."""
    before = len(stage.world.git.log)
    stage.repository.stall(after=100, times=2)
    comes()
    assert fetches(stage.world.git.log[before:]) == 2
    stage.repository.release()


def test_a_branch_that_is_rewritten_during_the_fetch(stage, comes):
    first = stage.repository.sha("test")
    stage.repository.force_push_during_fetch("test")
    comes()
    assert stage.repository.sha("test") != first


def test_a_repository_that_was_renamed(stage, comes):
    before = len(stage.world.git.log)
    renamed = stage.world.repo("renamed")
    renamed.git("fetch", "--quiet", str(stage.repository.path), "+refs/heads/*:refs/heads/*")
    stage.repository.redirect("https://github.com/acme/renamed.git")
    comes()
    assert 301 in [entry["status"] for entry in stage.world.git.log[before:]]


# The service itself

STARTS = {
    "listens after four seconds": f"setTimeout(() => {{ {services.SERVER} }}, 4000);\n",
    "is unwell for four seconds": services.SERVER.replace(
        'request.url === "/health"', 'request.url === "/health" && process.uptime() > 4'
    ),
    "takes three seconds for an answer": services.SERVER.replace(
        'request.url === "/health"',
        '(Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000), request.url === "/health")',
    ),
    "ends twice": """\
const fs = require("fs"), tries = process.env.HOME + "/tries";
fs.appendFileSync(tries, "x");
if (fs.readFileSync(tries, "utf8").length < 3) process.exit(1);
"""
    + services.SERVER,
}


@pytest.mark.parametrize("how", STARTS)
def test_a_service_that_takes_its_time(stage, comes, how):
    stage.repository.commit("test", {"server.js": STARTS[how]})
    comes()
