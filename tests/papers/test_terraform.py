"""packaging/aws/terraform says the same as the CloudFormation templates. `terraform validate` cannot be run here, because
Terraform is in none of the registries that the tests use: the files are read with the grammar of HCL, every reference in them leads
somewhere, and each module gets the variables that it has. What the provider's schema would refuse is not seen."""

import re
import tomllib

import hcl2
import pytest
from papers import AWS, Stack, module, named, plain, template

FLEET = AWS.parents[1] / "tests/fleet"
MODULES = ("", "network", "service", "mongodb")
# What names of a block's kind are referred to as `KIND.NAME`, besides variables, locals and data.
TYPES = "aws_[a-z0-9_]+"


def _loose(text: str) -> set[str]:
    """References that lead nowhere, and variables that nothing refers to."""
    read = plain(hcl2.loads(text))
    variables = {name for one in read["variable"] for name in one}
    known = {f"var.{name}" for name in variables}
    known |= {f"local.{name}" for one in read["locals"] for name in one}
    known |= {f"data.{name}" for name in named(read.get("data", []))} | set(named(read.get("resource", [])))
    body = re.sub(r"#.*", "", text)
    used = set(re.findall(rf"\b(?:var|local)\.\w+|\bdata\.{TYPES}\.\w+|(?<![\w.\"]){TYPES}\.\w+", body))
    return (used - known) | {f"var.{name}" for name in variables if f"var.{name}" not in used}


@pytest.mark.parametrize("name", MODULES)
def test_every_reference_leads_somewhere(name):
    assert _loose(module(name)[0]) == set()


def test_a_loose_reference_is_seen():
    text, _ = module("service")
    assert _loose(text.replace("[aws_lb_target_group.service.arn]", "[aws_lb_target_group.other.arn]"))
    assert _loose(text.replace("= var.cpu_target", "= 60")) == {"var.cpu_target"}


def test_the_example_gives_each_module_what_it_needs():
    _, root = module("")
    calls = {name: body for one in root["module"] for name, body in one.items()}
    assert set(calls) == {"network", "service", "mongodb"}
    for name, body in calls.items():
        given = set(body) - {"source", "for_each"}
        declared = {name: one for block in module(name)[1]["variable"] for name, one in block.items()}
        assert given <= set(declared) and {name for name, one in declared.items() if "default" not in one} <= given, name
        assert body["source"] == f"./{name}"
        outputs = {name for one in module("network")[1]["output"] for name in one}
        assert set(re.findall(r"module\.network\.(\w+)", str(body))) <= outputs


def test_the_example_has_the_ports_of_the_manifests():
    _, root = module("")
    (services,) = [one["services"] for one in root["locals"]]
    assert len(services) == 8 and len({one["priority"] for one in services.values()}) == 8
    for service, values in services.items():
        text = (FLEET / service / "bootagent.toml").read_text()
        manifest = tomllib.loads(text)
        assert values.get("port", 3000) == manifest["port"], service
        health = manifest.get("health", "/")
        assert values.get("health_path", "/health") == (health if isinstance(health, str) else health["path"]), service
        uses = "MONGODB_URI" in manifest.get("env", {}).get("required", [])
        assert values.get("mongodb", False) == uses, service


def test_the_table_of_services_is_that_of_the_example():
    """What a service does not say in Terraform is the default of the module."""
    _, root = module("")
    (services,) = [one["services"] for one in root["locals"]]
    defaults = {"port": 3000, "health_path": "/health", "min_size": 2, "max_size": 6, "cpu_target": 60, "network_target": 50000000}
    names = ["priority", *defaults, "mongodb"]
    table = {}
    for line in (AWS / "services.txt").read_text().splitlines():
        if not line.startswith("#"):
            service, *values = line.split()
            table[service] = dict(zip(names, values, strict=True))
    ours = {service: {**defaults, "mongodb": False, **values} for service, values in services.items()}
    told = {True: "yes", False: "no"}
    assert {service: {name: told.get(values[name], values[name]) if name == "mongodb" else str(values[name]) for name in names}
            for service, values in ours.items()} == table  # fmt: skip
    # As the module's own, and as the calls of the example fill them in.
    text, _ = module("")
    for name, default in defaults.items():
        assert re.search(rf"try\(each\.value\.{name}, \"?{default}\"?\)", text), name


@pytest.mark.parametrize("name", ["service", "mongodb"])
def test_hooks_and_group_say_the_same(name):
    group = named(module(name)[1]["resource"])[f"aws_autoscaling_group.{name}"]
    stack = Stack(name)
    hooks = {one["name"]: one for one in group["initial_lifecycle_hook"]}
    for hook in stack.resources["Group"]["LifecycleHookSpecificationList"]:
        same = hooks.pop(hook["LifecycleHookName"])
        assert (same["lifecycle_transition"], same["heartbeat_timeout"]) == (hook["LifecycleTransition"], hook["HeartbeatTimeout"])
        assert hook["DefaultResult"] in same["default_result"]
    assert hooks == {}
    of_template = stack.resources["Group"]
    for ours, theirs in (("health_check_type", "HealthCheckType"), ("health_check_grace_period", "HealthCheckGracePeriod"),
                         ("default_instance_warmup", "DefaultInstanceWarmup")):  # fmt: skip
        assert group[ours] == of_template[theirs]


@pytest.mark.parametrize("name", ["service", "mongodb"])
def test_instances_are_those_of_the_template(name):
    launch = named(module(name)[1]["resource"])[f"aws_launch_template.{name}"]
    data = Stack(name).resources["LaunchTemplate"]["LaunchTemplateData"]
    (metadata,) = launch["metadata_options"]
    assert metadata["http_tokens"] == data["MetadataOptions"]["HttpTokens"] == "required"
    assert metadata["instance_metadata_tags"] == data["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert metadata["http_put_response_hop_limit"] in (1, "${var.metadata_hop_limit}")
    assert "user_data" not in launch and "vpc_security_group_ids" not in launch
    (tags,) = launch["tag_specifications"]
    assert set(tags["tags"]) == {tag["Key"] for tag in data["TagSpecifications"][0]["Tags"]}
    for mapping in launch["block_device_mappings"]:
        (disk,) = mapping["ebs"]
        assert disk["encrypted"] is True and disk["volume_type"] == "gp3"


def test_the_target_group_is_that_of_the_template():
    ours = named(module("service")[1]["resource"])["aws_lb_target_group.service"]
    (check,) = ours["health_check"]
    target = Stack("service").resources["TargetGroup"]
    same = (
        (check["interval"], "HealthCheckIntervalSeconds"),
        (check["timeout"], "HealthCheckTimeoutSeconds"),
        (check["healthy_threshold"], "HealthyThresholdCount"),
        (check["unhealthy_threshold"], "UnhealthyThresholdCount"),
    )
    assert all(value == target[name] for value, name in same)
    assert str(ours["deregistration_delay"]) == target["TargetGroupAttributes"][0]["Value"]


def test_defaults_are_the_same():
    def key(name: str) -> str:
        return name.replace("_", "").lower()

    for name in ("network", "service", "mongodb"):
        ours = {key(each): body.get("default") for one in module(name)[1]["variable"] for each, body in one.items()}
        compared = 0
        for parameter, one in template(name)["Parameters"].items():
            theirs = one.get("Default")
            theirs = {"yes": True, "no": False}.get(theirs, theirs)
            if key(parameter) in ours:
                compared += 1
                assert ours[key(parameter)] == theirs, (name, parameter)
        # Of the parameters of the network alone, some have a module's output in their place.
        assert compared >= len(template(name)["Parameters"]) - 2, name


def test_mongodb_s_machine_is_that_of_the_template():
    """The same states with the same calls: its text is an expression that the reader leaves as it is."""
    text, read = module("mongodb")
    states = Stack("mongodb").resources["Attach"]["Definition"]["States"]
    definition = named(read["resource"])["aws_sfn_state_machine.attach"]["definition"]
    assert re.findall(r'Resource = "(arn:aws:states[^"]+)"', definition) == [state["Resource"] for state in states.values()]
    assert re.findall(r"MaxAttempts = (\d+)", definition) == [str(state["Retry"][0]["MaxAttempts"]) for state in states.values()]
    (volume,) = [one for name, one in named(read["resource"]).items() if name == "aws_ebs_volume.data"]
    assert volume["encrypted"] is True and volume["final_snapshot"] is True
