"""The Packer template and the component of EC2 Image Builder: they parse, and both bake, then seal as the last command."""

import re
from pathlib import Path

import hcl2
import pytest
import yaml

AWS = Path(__file__).resolve().parents[2] / "packaging/aws"
# What EC2 Image Builder knows: https://docs.aws.amazon.com/imagebuilder/latest/userguide/toe-action-modules.html
ACTIONS = {"ExecuteBash", "ExecuteBinary", "S3Download", "S3Upload", "WebDownload", "CreateFile", "Reboot"}


def plain(value):
    """Without the quotes that the parser leaves around strings and names, and without its notes."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value[1:-1] if isinstance(value, str) and value.startswith('"') else value


@pytest.fixture(scope="module")
def packer() -> dict:
    with (AWS / "image.pkr.hcl").open() as file:
        return plain(hcl2.load(file))


@pytest.fixture(scope="module")
def component() -> dict:
    return yaml.safe_load((AWS / "component.yaml").read_text())


def packer_commands(packer: dict) -> list[str]:
    shells = [step["shell"] for step in packer["build"][0]["provisioner"] if "shell" in step]
    return [command for shell in shells for command in shell["inline"]]


def component_commands(component: dict, phase: str = "build") -> list[str]:
    [phase] = [each for each in component["phases"] if each["name"] == phase]
    return [command for step in phase["steps"] if step["action"] == "ExecuteBash" for command in step["inputs"]["commands"]]


def test_packer_s_template_names_only_variables_that_it_has(packer):
    declared = {name for variable in packer["variable"] for name in variable}
    used = set(re.findall(r"var\.(\w+)", (AWS / "image.pkr.hcl").read_text()))
    assert used == declared
    [source] = packer["source"]
    assert packer["build"][0]["sources"] == [f"source.{kind}.{name}" for kind, sources in source.items() for name in sources]
    ebs = source["amazon-ebs"]["service"]
    assert ebs["metadata_options"][0]["http_tokens"] == "required" and ebs["imds_support"] == "v2.0" and ebs["encrypt_boot"]


def test_the_component_has_the_form_of_image_builder(component):
    assert component["schemaVersion"] == 1.0 and {phase["name"] for phase in component["phases"]} <= {"build", "validate", "test"}
    steps = [step for phase in component["phases"] for step in phase["steps"]]
    assert {step["action"] for step in steps} <= ACTIONS and len({step["name"] for step in steps}) == len(steps)
    declared = {name for parameter in component["parameters"] for name in parameter}
    assert set(re.findall(r"\{\{ (\w+) \}\}", (AWS / "component.yaml").read_text())) == declared
    for step in steps:
        if step["action"] == "S3Download":
            assert isinstance(step["inputs"], list) and all({"source", "destination"} == set(each) for each in step["inputs"])


def test_the_seal_is_the_last_command_of_both_and_follows_a_bake(packer, component):
    for commands in (packer_commands(packer), component_commands(component)):
        assert commands[-1] == "bootagent seal" and "bootagent bake --service" in commands[-2]
        assert any(command.startswith("rm /tmp/") for command in commands)
        assert not any(word in command for command in commands for word in ("--secret", "curl", "wget"))


def test_a_package_from_a_bucket_is_verified_before_it_is_installed(component):
    commands = component_commands(component)
    [verified] = [at for at, command in enumerate(commands) if "sha256sum --check" in command]
    [installed] = [at for at, command in enumerate(commands) if "apt-get install" in command]
    assert verified < installed
