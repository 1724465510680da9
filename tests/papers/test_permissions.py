"""The roles of the papers may do what `bootagent iam-policy` prints for the policy beside them, and nothing else."""

from pathlib import Path

import pytest
from papers import AWS, Stack, allowed, granted, module, pairs, printed

FLEET = '[fleet]\nprefix = "s3://acme-fleet/bootagent"\n'
GIT = 'git_credential = "git"\n'
SIGNAL = "\nstack ="


def policy(directory: Path, ahead: str = "", behind: str = "", without: str | None = None) -> Path:
    text = (AWS / "policy.toml").read_text()
    if without:
        assert without in text
        text = text.replace(without, "\n# stack =", 1)
    path = directory / "policy.toml"
    path.write_text(ahead + text + behind)
    return path


def of_bootagent(stack: Stack) -> list[dict]:
    return [statement for statement in granted(stack) if statement["Sid"] != "Sessions"]


@pytest.mark.parametrize(
    ("name", "service", "parameters", "ahead", "behind"),
    [
        ("service", "auth-service", {}, "", ""),
        ("service", "auth-service", {"FleetBucket": "acme-fleet", "GitSecret": "git", "Sessions": "yes"}, GIT, FLEET),
        ("mongodb", "mongodb", {"FleetBucket": "acme-fleet"}, "", FLEET),
    ],
    ids=["least", "all", "mongodb"],
)
def test_the_template_s_role_is_what_is_printed(tmp_path, name, service, parameters, ahead, behind):
    statements = of_bootagent(Stack(name, Service=service, **parameters))
    by_sid = {one["Sid"]: one for one in printed(policy(tmp_path, ahead, behind), service)}
    assert {one["Sid"]: one for one in statements} == by_sid


@pytest.mark.parametrize(
    ("name", "service", "variables", "ahead", "behind"),
    [
        ("service", "auth-service", {}, "", ""),
        ("service", "auth-service", {"fleet_bucket": "acme-fleet", "git_secret": "git"}, GIT, FLEET),
        ("mongodb", "mongodb", {"fleet_bucket": "acme-fleet"}, "", FLEET),
    ],
    ids=["least", "all", "mongodb"],
)
def test_terraform_s_role_is_what_is_printed_without_the_signal(tmp_path, name, service, variables, ahead, behind):
    _, read = module(name)
    expected = pairs(printed(policy(tmp_path, ahead, behind, without=SIGNAL), service))
    assert allowed(read, "bootagent", service=service, environment="prod", **variables) == expected


def test_a_wider_statement_is_seen(tmp_path):
    stack = Stack("service")
    expected = pairs(printed(policy(tmp_path), "auth-service"))
    assert pairs(of_bootagent(stack)) == expected
    for statement in of_bootagent(stack):
        kept = statement["Resource"]
        statement["Resource"] = ["*"]
        assert pairs(of_bootagent(stack)) != expected
        statement["Resource"] = kept
        statement["Action"].append("s3:*")
        assert pairs(of_bootagent(stack)) != expected
        statement["Action"].pop()


def test_sessions_are_a_choice_and_read_no_parameters():
    assert all(one["Sid"] != "Sessions" for one in granted(Stack("service")))
    (sessions,) = [one for one in granted(Stack("service", Sessions="yes")) if one["Sid"] == "Sessions"]
    _, read = module("service")
    off, on = (allowed(read, "bootagent", service="x", environment="prod", sessions=value) for value in (False, True))
    assert on - off == {(action, "*", ()) for action in sessions["Action"]}
    assert {action for action in sessions["Action"] if "Get" in action} == set()


def test_the_volume_is_attached_by_a_role_that_may_do_nothing_else():
    statements = Stack("mongodb").resources["AttachPolicy"]["PolicyDocument"]["Statement"]
    of_template = {(one["Sid"], one["Action"], one["Resource"] == "*") for one in statements}
    assert of_template == {
        ("Look", "ec2:DescribeInstances", True),
        ("Name", "route53:ChangeResourceRecordSets", False),
        ("Volume", "ec2:AttachVolume", False),
        ("Instance", "ec2:AttachVolume", False),
    }
    (instance,) = [one for one in statements if one["Sid"] == "Instance"]
    tags = instance["Condition"]["StringEquals"]
    assert tags == {"aws:ResourceTag/bootagent:service": "mongodb", "aws:ResourceTag/bootagent:environment": "prod"}
    # The instance itself attaches nothing.
    assert not any("ec2" in action or "route53" in action for one in granted(Stack("mongodb")) for action in one["Action"])
