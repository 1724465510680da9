"""packaging/aws/service.tf says the same as the CloudFormation template. `terraform validate` cannot be run here, because
Terraform is in none of the registries that the tests use: the file is read with the grammar of HCL, and every reference in it leads somewhere."""

import re
from pathlib import Path

import hcl2
import pytest
from test_aws import TEMPLATE, policy, resources  # noqa: F401

FILE = TEMPLATE.with_name("service.tf")
# What names of a block's kind are referred to as `KIND.NAME`, besides variables, locals and data.
TYPES = "aws_[a-z_]+"


def _plain(value: object) -> object:
    """Without the quotes and the marks of the reader."""
    if isinstance(value, dict):
        return {_plain(name): _plain(one) for name, one in value.items() if not str(name).startswith("__")}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.strip('"') if isinstance(value, str) else value


def _read(text: str) -> dict:
    return _plain(hcl2.loads(text))


def _named(blocks: list[dict]) -> dict[str, dict]:
    """{TYPE.NAME: block}"""
    return {f"{kind}.{name}": body for one in blocks for kind, named in one.items() for name, body in named.items()}


@pytest.fixture(scope="module")
def terraform() -> dict[str, dict]:
    return _named(_read(FILE.read_text())["resource"])


def _loose(text: str) -> set[str]:
    """References that lead nowhere, and variables that nothing refers to."""
    read = _read(text)
    variables = {name for one in read["variable"] for name in one}
    known = {f"var.{name}" for name in variables}
    known |= {f"local.{name}" for one in read["locals"] for name in one}
    known |= {f"data.{name}" for name in _named(read["data"])} | set(_named(read["resource"]))
    body = re.sub(r"#.*", "", text)
    used = set(re.findall(rf"\b(?:var|local)\.\w+|\bdata\.{TYPES}\.\w+|(?<![\w.\"]){TYPES}\.\w+", body))
    return (used - known) | {f"var.{name}" for name in variables if f"var.{name}" not in used}


def test_every_reference_leads_somewhere():
    text = FILE.read_text()
    assert _loose(text) == set()
    assert _loose(text.replace("[aws_lb_target_group.service.arn]", "[aws_lb_target_group.other.arn]"))
    assert _loose(text.replace("= var.cpu_target", "= 60")) == {"var.cpu_target"}


def test_hooks_and_policy_say_the_same(terraform, policy):  # noqa: F811
    hooks = {hook["name"]: hook for hook in terraform["aws_autoscaling_group.service"]["initial_lifecycle_hook"]}
    for table, transition, result in (("lifecycle", "LAUNCHING", "ABANDON"), ("watch", "TERMINATING", "CONTINUE")):
        hook = hooks.pop(policy[table]["hook"])
        assert hook["lifecycle_transition"] == f"autoscaling:EC2_INSTANCE_{transition}"
        assert (hook["default_result"], f"{hook['heartbeat_timeout']}s") == (result, policy[table]["heartbeat_timeout"])
    assert hooks == {}


def test_the_role_is_that_of_the_template(resources):  # noqa: F811
    document = _named(_read(FILE.read_text())["data"])["aws_iam_policy_document.bootagent"]
    allowed = {one["sid"]: set(one["actions"]) for one in document["statement"]}
    statements = resources["Role"]["Policies"][0]["PolicyDocument"]["Statement"]
    listed = {one["Sid"]: {one["Action"]} if isinstance(one["Action"], str) else set(one["Action"]) for one in statements}
    assert allowed == listed
    assert all("*" not in one["resources"] for one in document["statement"])


def test_instances_and_balancer_are_those_of_the_template(terraform, resources):  # noqa: F811
    template = terraform["aws_launch_template.service"]
    data = resources["LaunchTemplate"]["LaunchTemplateData"]
    (metadata,) = template["metadata_options"]
    assert metadata["http_tokens"] == data["MetadataOptions"]["HttpTokens"] == "required"
    assert metadata["instance_metadata_tags"] == data["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert "user_data" not in template
    (tags,) = template["tag_specifications"]
    assert set(tags["tags"]) == {tag["Key"] for tag in data["TagSpecifications"][0]["Tags"]}
    (check,) = terraform["aws_lb_target_group.service"]["health_check"]
    target = resources["TargetGroup"]
    same = (
        (check["interval"], "HealthCheckIntervalSeconds"),
        (check["timeout"], "HealthCheckTimeoutSeconds"),
        (check["healthy_threshold"], "HealthyThresholdCount"),
        (check["unhealthy_threshold"], "UnhealthyThresholdCount"),
    )
    assert all(value == target[name] for value, name in same)
    assert str(terraform["aws_lb_target_group.service"]["deregistration_delay"]) == target["TargetGroupAttributes"][0]["Value"]
    (ingress,) = terraform["aws_security_group.service"]["ingress"]
    assert "cidr_blocks" not in ingress and ingress["security_groups"] == ["${var.load_balancer_security_group_id}"]


def test_the_file_is_beside_the_template():
    assert sorted(Path(FILE.parent).glob("service.*")) == [FILE, TEMPLATE]
