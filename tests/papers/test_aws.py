"""The CloudFormation templates: cfn-lint accepts them, and they say the same as the policy beside them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from papers import AWS, TEMPLATES, Stack, template

GROUPS = ("service", "mongodb")


@pytest.fixture(scope="module")
def policy() -> dict:
    return tomllib.loads((AWS / "policy.toml").read_text())


@pytest.fixture(scope="module", params=GROUPS)
def stack(request) -> Stack:
    return Stack(request.param)


def _lint(*templates: Path) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("cfn-lint"), "--regions", "eu-west-1", "us-east-1", "--", *templates]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_cfn_lint_accepts_the_templates():
    linted = _lint(*(AWS / f"{name}.yaml" for name in TEMPLATES))
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_it_finds_what_is_wrong(tmp_path):
    text = (AWS / "service.yaml").read_text()
    mistakes = {
        "E3030": ("HttpTokens: required", "HttpTokens: perhaps"),
        "E1020": ("!Ref TargetGroup", "!Ref NoTargetGroup"),
        "E3003": ("MinSize: !Ref MinSize", ""),
    }
    for rule, (before, after) in mistakes.items():
        assert before in text
        (tmp_path / f"{rule}.yaml").write_text(text.replace(before, after, 1))
    linted = _lint(*(tmp_path / f"{rule}.yaml" for rule in mistakes))
    assert linted.returncode & 2
    for rule in mistakes:
        assert f"{rule} " in linted.stdout and f"{rule}.yaml" in linted.stdout, linted.stdout


@pytest.mark.parametrize("name", TEMPLATES)
def test_nothing_is_null_and_nothing_is_an_alias(name):
    """CloudFormation refuses both; cfn-lint and the emulator do not."""

    def nulls(value: object) -> bool:
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return value is None or any(map(nulls, values))

    assert not nulls(template(name)) and nulls({"a": [{"b": None}]})
    tokens = yaml.scan((AWS / f"{name}.yaml").read_text())
    assert not any(isinstance(token, yaml.AliasToken | yaml.AnchorToken) for token in tokens)


def test_hooks_have_the_names_and_timeouts_of_the_policy(stack, policy):
    hooks = {hook["LifecycleTransition"].rpartition("_")[2]: hook for hook in stack.resources["Group"]["LifecycleHookSpecificationList"]}
    assert set(hooks) == {"LAUNCHING", "TERMINATING"}
    for transition, table, result in (("LAUNCHING", "lifecycle", "ABANDON"), ("TERMINATING", "watch", "CONTINUE")):
        hook = hooks[transition]
        assert hook["LifecycleHookName"] == policy[table]["hook"] and hook["DefaultResult"] == result
        assert f"{hook['HeartbeatTimeout']}s" == policy[table]["heartbeat_timeout"]


def test_an_instance_whose_drain_failed_is_retained_only_on_demand():
    """The trigger has no effect while the terminate hook's default result is CONTINUE."""
    for after, result in (("terminate", "CONTINUE"), ("retain", "ABANDON")):
        group = Stack("service", AfterFailedDrain=after).resources["Group"]
        assert group["InstanceLifecyclePolicy"] == {"RetentionTriggers": {"TerminateHookAbandon": after}}
        assert group["LifecycleHookSpecificationList"][1]["DefaultResult"] == result


def test_instances_have_imdsv2_alone_and_their_tags_from_the_beginning(stack):
    data = stack.resources["LaunchTemplate"]["LaunchTemplateData"]
    metadata = data["MetadataOptions"]
    assert (metadata["HttpTokens"], metadata["HttpPutResponseHopLimit"], metadata["InstanceMetadataTags"]) == ("required", 1, "enabled")
    tags = {tag["Key"]: tag["Value"] for tag in data["TagSpecifications"][0]["Tags"]}
    group = {tag["Key"]: tag["Value"] for tag in stack.resources["Group"]["Tags"]}
    assert group.items() <= tags.items() and set(group) == {"bootagent:service", "bootagent:environment"}
    # With InstanceMetadataTags a key with a slash or a blank fails every launch.
    assert not any("/" in tag or " " in tag for tag in tags)
    assert "UserData" not in data


def test_only_a_service_in_a_container_may_be_one_hop_further_from_imds():
    data = Stack("service", MetadataHopLimit=2).resources["LaunchTemplate"]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert template("service")["Parameters"]["MetadataHopLimit"]["AllowedValues"] == [1, 2]
    assert "MetadataHopLimit" not in template("mongodb")["Parameters"]


def test_disks_are_encrypted(stack):
    for mapping in stack.resources["LaunchTemplate"]["LaunchTemplateData"]["BlockDeviceMappings"]:
        assert mapping["Ebs"]["Encrypted"] is True and mapping["Ebs"]["VolumeType"] == "gp3"
    for volume in stack.of("AWS::EC2::Volume").values():
        assert volume["Encrypted"] is True and volume["VolumeType"] == "gp3"


def test_the_stack_waits_for_the_signals_that_the_policy_sends(stack, policy):
    group = stack.template["Resources"]["Group"]
    assert policy["evidence"]["stack"] == "{service}-{environment}"
    assert group["CreationPolicy"]["ResourceSignal"]["Count"] in ({"Ref": "MinSize"}, stack.resources["Group"]["MinSize"])
    assert group["UpdatePolicy"]["AutoScalingRollingUpdate"]["WaitOnResourceSignals"] is True


def test_evidence_has_a_log_group_with_an_end(policy):
    network = Stack("network")
    (group,) = network.of("AWS::Logs::LogGroup").values()
    assert group == {"LogGroupName": policy["evidence"]["log_group"], "RetentionInDays": 30}
    assert Stack("network", LogRetentionDays=0).of("AWS::Logs::LogGroup") == {}
    assert Stack("service").template["Parameters"]["LogGroup"]["Default"] == policy["evidence"]["log_group"]


def test_mongodb_s_volume_outlives_its_instance_and_its_stack():
    stack = Stack("mongodb")
    volume = stack.template["Resources"]["DataVolume"]
    assert volume["DeletionPolicy"] == volume["UpdateReplacePolicy"] == "Snapshot"
    device = tomllib.loads((AWS / "mongodb.toml").read_text())["volume"]["device"]
    attach = stack.resources["Attach"]["Definition"]["States"]["Volume"]["Parameters"]
    assert attach["Device"] == device and stack.resources["Attach"]["DefinitionSubstitutions"]["Volume"] == "DataVolume"
    # The launch template does not have it: it would end with the instance.
    mappings = stack.resources["LaunchTemplate"]["LaunchTemplateData"]["BlockDeviceMappings"]
    assert [one["DeviceName"] for one in mappings] == ["/dev/xvda"]
    group = stack.resources["Group"]
    assert (group["MinSize"], group["MaxSize"], group["InstanceMaintenancePolicy"]["MaxHealthyPercentage"]) == (1, 1, 100)
    event = stack.resources["AttachAtLaunch"]["EventPattern"]["detail"]
    assert event == {"AutoScalingGroupName": [group["AutoScalingGroupName"]], "LifecycleHookName": ["ready"]}
