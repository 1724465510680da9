"""Each `aws` command of the documents exists, takes the options that it is given, and gets those that it needs: by the models of
the real SDK."""

import re
import shlex
from pathlib import Path

import botocore.session
import jmespath
import pytest
from botocore import xform_name
from papers import template

ROOT = Path(__file__).resolve().parents[2]
# Options of the AWS CLI itself, and those that it takes in place of an API's structures.
GLOBAL = {"query", "output", "region", "profile", "no-cli-pager", "max-items"}
OWN = {("ec2", "run-instances"): {"count", "subnet-id", "security-group-ids"}, ("ec2", "get-console-output"): {"latest"}}
# Commands of the CLI that are not one call.
CUSTOM = {("s3", "cp"), ("s3", "sync"), ("autoscaling", "wait")}
DEPLOY = {"stack-name", "template-file", "capabilities", "parameter-overrides", "disable-rollback"}
# What the CLI fills in.
DEFAULTS = {("ec2", "run-instances"): {"min-count", "max-count"}, ("secretsmanager", "create-secret"): {"client-request-token"}}


def commands() -> list[tuple[str, str]]:
    """Place and text of each command in a block of a shell, its continued lines joined."""
    found = []
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", path.read_text(), re.S | re.M):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip().startswith("aws "):
                    found.append((str(path.relative_to(ROOT)), line.strip()))
    return found


def wrong(command: str) -> str | None:
    # A comment, or what another program does with the output, does not belong to it.
    words = shlex.split(command, comments=True)
    words = words[: next((at for at, word in enumerate(words) if word in ("|", ">", "&&")), len(words))]
    service, operation = words[1:3]
    if (service, operation) in CUSTOM:
        return None
    if (service, operation) == ("cloudformation", "deploy"):
        return wrong_deploy(words[3:])
    if "--query" in words:
        jmespath.compile(words[words.index("--query") + 1])
    try:
        model = botocore.session.get_session().get_service_model("s3" if service == "s3api" else service)
    except Exception as error:
        return f"no service {service}: {error}"
    if operation == "wait":
        waiters = botocore.session.get_session().get_waiter_model(service)
        known = {xform_name(name, "-"): name for name in waiters.waiter_names}
        if words[3] not in known:
            return f"{service} wait has no {words[3]}"
        operation = xform_name(waiters.get_waiter(known[words[3]]).operation, "-")
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return f"{service} has no {operation}"
    shape = model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): one for name, one in (shape.members if shape else {}).items()}
    given = {word.removeprefix("--").partition("=")[0] for word in words if word.startswith("--")}
    known = set(members) | GLOBAL | OWN.get((service, operation), set())
    known |= {f"no-{name}" for name, one in members.items() if one.type_name == "boolean"}
    if unknown := given - known:
        return f"{service} {operation} has no {sorted(unknown)}"
    needed = {xform_name(name, "-") for name in (shape.required_members if shape else [])}
    missing = needed - given - {name.removeprefix("no-") for name in given} - DEFAULTS.get((service, operation), set())
    return f"{service} {operation} needs {sorted(missing)}" if missing else None


def wrong_deploy(words: list[str]) -> str | None:
    """Whether it gives a template the parameters that it has and needs. The CLI ignores the network's outputs that are no parameters."""
    options: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            options[word[2:]] = []
        else:
            options[next(reversed(options))].append(word)
    if unknown := set(options) - DEPLOY:
        return f"cloudformation deploy has no {sorted(unknown)}"
    (path,) = options["template-file"]
    if not (ROOT / path).is_file():
        return f"there is no {path}"
    read = template((ROOT / path).stem)
    if "AWS::IAM::Role" in {one["Type"] for one in read["Resources"].values()} and options.get("capabilities") != ["CAPABILITY_IAM"]:
        return f"{path} needs CAPABILITY_IAM"
    overrides = options.get("parameter-overrides", [])
    given = {word.partition("=")[0] for word in overrides if "=" in word}
    if unknown := given - set(read["Parameters"]):
        return f"{path} has no {sorted(unknown)}"
    given |= set(template("network")["Outputs"]) if "$(cat" in overrides else set()
    missing = {name for name, one in read["Parameters"].items() if "Default" not in one} - given
    return f"{path} needs {sorted(missing)}" if missing else None


def test_commands_of_the_documents_are_those_of_aws():
    all_commands = commands()
    assert len(all_commands) > 15
    mistakes = [f"{path}: {command}: {why}" for path, command in all_commands if (why := wrong(command))]
    assert not mistakes, "\n".join(mistakes)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("aws autoscalin describe-auto-scaling-groups", "no service"),
        ("aws autoscaling describe-groups", "has no describe-groups"),
        ("aws autoscaling put-lifecycle-hook --hook x", "has no ['hook']"),
        ("aws autoscaling put-lifecycle-hook --lifecycle-hook-name x", "needs ['auto-scaling-group-name']"),
        ("aws cloudformation deploy --stack x --template-file packaging/aws/network.yaml", "has no ['stack']"),
        ("aws cloudformation deploy --template-file packaging/aws/net.yaml", "there is no"),
        ("aws cloudformation deploy --template-file packaging/aws/service.yaml", "CAPABILITY_IAM"),
        ("aws cloudformation deploy --template-file packaging/aws/network.yaml --parameter-overrides Env=prod", "has no ['Env']"),
        ("aws cloudformation deploy --template-file packaging/aws/network.yaml --parameter-overrides Environment=prod", "needs ['CertificateArn']"),
    ],
)
def test_it_finds_what_is_wrong(command, says):
    assert says in wrong(command)
