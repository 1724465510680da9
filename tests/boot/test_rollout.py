"""bootagent rollout: pins a commit, replaces the group's instances, follows that and goes back."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab.deadline import wait_for
from lab.refresh import Group, Refresh
from lab.world import may

import services
from stage import POLICY, REPOSITORY

BUCKET, GROUP = "acme-rollout", "auth-service-main"
TEXT = f'repository = "{REPOSITORY}"\n[fleet]\nprefix = "s3://{BUCKET}"\n'
OPERATOR = {"ReadFleetMemory", "ListFleetMemory", "Pin", "DescribeGroups", "Refresh", "TargetHealth"}
DESCRIBE = ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeInstanceRefreshes"]


class Rollouts:
    def __init__(self, stage) -> None:
        self.stage, self.machine, self.aws = stage, stage.machine, stage.world.aws
        self.service = stage.serve(services.node())
        self.good = stage.repository.sha("test")
        stage.repository.commit("test", {"more": "x"})
        self.newest = stage.repository.sha("test")
        tags = {"bootagent:service": self.service, "bootagent:environment": "test"}
        self.group = Group(GROUP, tags=tags)
        stage.world.autoscaling.groups = [self.group]
        self.machine.write(POLICY, TEXT)
        printed = self.machine.check(["bootagent", "iam-policy", *self.named, "--for", "operator"])
        self.statements = json.loads(printed)["Statement"]
        self.aws.allow("instance", self.statements)
        self.put("good.json", commit=self.good, instance="i-0aaa")

    @property
    def named(self) -> list[str]:
        return ["--service", self.service, "--environment", "test"]

    def put(self, name: str, **content: object) -> None:
        self.aws.put_object(BUCKET, f"{self.service}/test/{name}", json.dumps({"schema": 1, **content}))

    def text(self, name: str) -> str | None:
        return self.aws.object(BUCKET, f"{self.service}/test/{name}")

    def pin(self) -> str | None:
        text = self.text("pin.json")
        return text and json.loads(text)["commit"]

    def run(self, *flags: str):
        return self.machine.run(["bootagent", "rollout", *self.named, *flags], timeout=120)

    def start(self, *flags: str):
        """In the background, until the refresh is started."""
        before = len(self.group.refreshes)
        running = ThreadPoolExecutor(1).submit(self.run, "--yes", *flags)
        wait_for("the refresh to start", lambda: running.done() or len(self.group.refreshes) > before, 60, every=0.1)
        assert not running.done(), running.result()
        return running


@pytest.fixture
def rollouts(stage) -> Iterator[Rollouts]:
    stage.world.aws.bucket(BUCKET)
    yield Rollouts(stage)
    stage.world.autoscaling.groups = []


def test_the_newest_commit_is_pinned_and_the_group_is_replaced(rollouts):
    shown = rollouts.run("--dry-run")
    assert shown.code == 0 and rollouts.newest in shown.stderr and rollouts.pin() is None, shown
    assert f"group {GROUP}: 3 of 3 instances in service" in shown.stderr, shown.stderr
    running = rollouts.start()
    assert rollouts.pin() == rollouts.newest
    assert rollouts.group.refreshes[0].preferences == {
        "MinHealthyPercentage": "100",
        "MaxHealthyPercentage": "110",
        "SkipMatching": "false",
    }
    rollouts.group.move("Successful", 100)
    result = running.result(60)
    assert result.code == 0 and f"done: {GROUP} runs commit {rollouts.newest[:12]}" in result.stderr, result.stderr
    # And back.
    running = rollouts.start("--back")
    assert rollouts.pin() == rollouts.good
    rollouts.group.move("Successful", 100)
    assert running.result(60).code == 0


def test_a_commit_that_fails_goes_back(rollouts):
    running = rollouts.start()
    rollouts.group.targets = {"i-0aaa": ("unhealthy", "Target.ResponseCodeMismatch")}
    rollouts.group.move("InProgress", 33, "waiting for an instance")
    error = {"code": "E-SERVICE-EXITED", "doing": "waiting", "causes": ["status 3"], "remedy": "x"}
    for instance in ("i-0aaa", "i-0aab", "i-0aac"):
        name = f"failures/{rollouts.newest}/{instance}.json"
        rollouts.put(name, commit=rollouts.newest, instance=instance, error=error)
    wait_for("the second refresh", lambda: running.done() or len(rollouts.group.refreshes) == 2, 60, every=0.1)
    assert rollouts.group.refreshes[1].status == "Cancelled" and rollouts.pin() == rollouts.good
    rollouts.group.move("Successful", 100)
    result = running.result(60)
    assert result.code == 2 and "bootagent why i-0aab" in result.stderr, result.stderr
    told = "i-0aaa is unhealthy at the load balancer: the health check's path answers with a status"
    # Once in each of the two refreshes at most.
    assert 1 <= result.stderr.count(told) <= 2, result.stderr
    assert f"runs commit {rollouts.good[:12]} again" in result.stderr, result.stderr
    # It may have been healthy on one instance meanwhile: the way back does not lead to it.
    assert json.loads(rollouts.text("pin.json"))["failed"] == [rollouts.newest]
    rollouts.put("good.json", commit=rollouts.newest, instance="i-0aaa", before=rollouts.good)
    refused = rollouts.run("--dry-run", "--back")
    assert refused.code == 77 and "no commit before the present one" in refused.stderr, refused


@pytest.mark.variants
def test_a_refresh_whose_state_is_not_told_any_more_is_cancelled(rollouts):
    running = rollouts.start()
    kept = [one for one in rollouts.statements if one["Sid"] != "DescribeGroups"]
    rollouts.aws.allow("instance", kept)
    result = running.result(60)
    assert result.code not in (0, 2) and "E-ROLLOUT-FAILED" in result.stderr, result
    assert "is pinned, and the end of the cancelled refresh was not seen" in result.stderr, result.stderr
    assert rollouts.pin() == rollouts.good and rollouts.group.refreshes[0].status == "Cancelled"


@pytest.mark.variants
@pytest.mark.parametrize(
    ("sid", "code"),
    [
        ("ReadFleetMemory", "E-FLEET-DENIED"),
        ("ListFleetMemory", "E-FLEET-DENIED"),
        ("Pin", "E-FLEET-DENIED"),
        ("DescribeGroups", "E-ROLLOUT-DENIED"),
        ("Refresh", "E-ROLLOUT-DENIED"),
    ],
)
def test_each_statement_of_the_operator_is_needed(rollouts, sid, code):
    assert {one["Sid"] for one in rollouts.statements} == OPERATOR
    rollouts.aws.allow("instance", [one for one in rollouts.statements if one["Sid"] != sid])
    if sid == "ListFleetMemory":
        failed = rollouts.machine.run(["bootagent", "fleet", *rollouts.named])
    else:
        failed = rollouts.run("--yes")
    assert failed.code != 0 and code in failed.stderr, failed
    # If the refresh could not start, no commit of it stays pinned.
    assert rollouts.pin() in (None, rollouts.good) and rollouts.group.refreshes == []


def test_the_operator_stops_it(rollouts):
    running = rollouts.start()
    pid = rollouts.machine.check(["pgrep", "--full", "--oldest", "^bootagent rollout"]).strip()
    rollouts.machine.check(["kill", "-INT", pid])
    result = running.result(60)
    assert result.code == 2 and "no instance was replaced" in result.stderr, result.stderr
    assert rollouts.pin() == rollouts.good and rollouts.group.refreshes[0].status == "Cancelled"


@pytest.mark.variants
def test_a_refresh_that_fails_goes_back(rollouts):
    running = rollouts.start()
    rollouts.group.move("Failed", 0, "the hook was abandoned")
    result = running.result(60)
    assert result.code == 2 and "the hook was abandoned" in result.stderr, result.stderr
    assert rollouts.pin() == rollouts.good


@pytest.mark.variants
@pytest.mark.parametrize("wrong", ["no hook", "no group", "active", "unknown commit", "not confirmed", "denied", "ref"])
def test_what_does_not_fit_is_refused_and_changes_nothing(rollouts, wrong):
    flags, code, says = ["--yes"], 77, "E-ROLLOUT-REFUSED"
    match wrong:
        case "no hook":
            rollouts.group.hooks = ()
        case "no group":
            rollouts.group.tags = {}
        case "active":
            rollouts.group.refreshes.insert(0, Refresh({}, status="InProgress"))
        case "unknown commit":
            flags, says = ["--yes", "--commit", "0123456789" * 4], "E-COMMIT-NOT-ON-BRANCH"
        case "not confirmed":
            flags, code, says = [], 64, "E-USAGE"
        case "ref":
            rollouts.machine.write(POLICY, f'ref = "{rollouts.good}"\n{TEXT}')
            says = "the policy's ref names"
        case "denied":
            kept = [one for one in rollouts.statements if one["Sid"] != "DescribeGroups"]
            rollouts.aws.allow("instance", [*kept, may(DESCRIBE[1:], "*")])
            code, says = 78, "autoscaling:DescribeAutoScalingGroups"
    result = rollouts.run(*flags)
    assert result.code == code and says in result.stderr, result
    assert rollouts.pin() is None and len(rollouts.group.refreshes) == (1 if wrong == "active" else 0)
