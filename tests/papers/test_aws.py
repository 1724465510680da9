"""The CloudFormation template: cfn-lint accepts it, and it says the same as the policy beside it and the source."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

AWS = Path(__file__).resolve().parents[2] / "packaging/aws"
TEMPLATE = AWS / "service.yaml"
AUTOSCALING = Path(__file__).resolve().parents[2] / "src/machine/aws/autoscaling.rs"


class _Loader(yaml.SafeLoader):
    """Reads `!Ref X` as {"Ref": "X"}."""


def _function(loader: _Loader, name: str, node: yaml.Node) -> dict:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    return {name: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


@pytest.fixture(scope="module")
def resources() -> dict[str, dict]:
    template = yaml.load(TEMPLATE.read_text(), _Loader)
    return {name: resource["Properties"] for name, resource in template["Resources"].items()}


@pytest.fixture(scope="module")
def policy() -> dict:
    return tomllib.loads((AWS / "policy.toml").read_text())


def _lint(template: Path) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("cfn-lint"), "--regions", "eu-west-1", "us-east-1", "--", template]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_cfn_lint_accepts_the_template():
    linted = _lint(TEMPLATE)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("HttpTokens: required", "HttpTokens: perhaps", "E3030"),
        ("!Ref TargetGroup", "!Ref NoTargetGroup", "E1020"),
        ("MinSize: !Ref MinSize", "", "E3003"),
    ],
)
def test_it_finds_what_is_wrong(tmp_path, before, after, rule):
    text = TEMPLATE.read_text()
    assert before in text
    (tmp_path / "broken.yaml").write_text(text.replace(before, after, 1))
    linted = _lint(tmp_path / "broken.yaml")
    assert linted.returncode & 2 and rule in linted.stdout, linted.stdout


def test_hooks_have_the_names_and_timeouts_of_the_policy(resources, policy):
    hooks = {hook["LifecycleTransition"].rpartition("_")[2]: hook for hook in resources["Group"]["LifecycleHookSpecificationList"]}
    for transition, table, result in (("LAUNCHING", "lifecycle", "ABANDON"), ("TERMINATING", "watch", "CONTINUE")):
        hook = hooks[transition]
        assert hook["LifecycleHookName"] == policy[table]["hook"] and hook["DefaultResult"] == result
        assert f"{hook['HeartbeatTimeout']}s" == policy[table]["heartbeat_timeout"]


def test_the_role_may_do_what_bootagent_calls_and_nothing_else(resources):
    statements = resources["Role"]["Policies"][0]["PolicyDocument"]["Statement"]
    actions = {action for one in statements for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])}
    called = {name for name in ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat", "SetInstanceHealth") if name in AUTOSCALING.read_text()}
    assert actions == {"secretsmanager:GetSecretValue"} | {f"autoscaling:{name}" for name in called}
    group = resources["Group"]["AutoScalingGroupName"]["Sub"]
    for statement in statements:
        assert statement["Resource"] != "*"
        if "autoscaling" in str(statement["Action"]):
            assert statement["Resource"]["Sub"].endswith(f"autoScalingGroupName/{group}")


def test_instances_have_imdsv2_alone_and_their_tags_from_the_beginning(resources):
    data = resources["LaunchTemplate"]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required" and data["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    tags = {tag["Key"] for tag in data["TagSpecifications"][0]["Tags"]}
    assert {"bootagent:service", "bootagent:environment"} <= tags
    # With InstanceMetadataTags a key with a slash or a blank fails every launch.
    assert not any("/" in tag or " " in tag for tag in tags)
    assert "UserData" not in data


def test_nothing_but_the_load_balancer_reaches_the_service(resources):
    for rule in resources["SecurityGroup"]["SecurityGroupIngress"]:
        assert rule["SourceSecurityGroupId"] == {"Ref": "LoadBalancerSecurityGroupId"} and "CidrIp" not in rule
