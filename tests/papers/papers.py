"""Reads the papers of packaging/aws: CloudFormation with its parameters filled in, Terraform with its variables. Knows as much of
both languages as these papers use, and refuses the rest."""

import json
import os
import re
import subprocess
from pathlib import Path

import hcl2
import yaml

AWS = Path(__file__).resolve().parents[2] / "packaging/aws"
TEMPLATES = ("network", "service", "mongodb")
ACCOUNT, REGION = "123456789012", "eu-west-1"
PSEUDO = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}
# As CloudFormation gives them to a stack; values of parameters that have no default.
GIVEN = {
    "Service": "auth-service",
    "Environment": "prod",
    "CertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/1",
    "HostName": "auth-service.example.com",
    "Priority": 10,
    "ImageId": "ami-1",
}
_NOTHING = object()


class _Loader(yaml.SafeLoader):
    """Reads `!Ref X` as {"Ref": "X"}, and `!Sub X` as {"Fn::Sub": "X"}."""


def _function(loader: _Loader, name: str, node: yaml.Node) -> dict:
    name = name if name in ("Ref", "Condition") else f"Fn::{name}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if name == "Fn::GetAtt" else value}
    return {name: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def template(name: str) -> dict:
    return yaml.load((AWS / f"{name}.yaml").read_text(), _Loader)


class Stack:
    """A template with its parameters filled in. What refers to a resource is the resource's name, `Name.Attribute` an attribute."""

    def __init__(self, read: dict | str, **parameters: object) -> None:
        self.template = template(read) if isinstance(read, str) else read
        declared = self.template["Parameters"]
        # As network.yaml gives them: the name of what it makes stands for it.
        given = {name: parameters.get(name, one.get("Default", GIVEN.get(name, name))) for name, one in declared.items()}
        assert set(parameters) <= set(given), set(parameters) - set(given)
        self._values = {**PSEUDO, **given, **{name: name for name in self.template["Resources"]}}
        self._conditions = {name: self._filled(one) for name, one in self.template.get("Conditions", {}).items()}
        made = {name: one for name, one in self.template["Resources"].items() if self._conditions.get(one.get("Condition"), True)}
        self.types = {name: one["Type"] for name, one in made.items()}
        self.resources = {name: self._filled(one.get("Properties", {})) for name, one in made.items()}

    def of(self, kind: str) -> dict[str, dict]:
        return {name: self.resources[name] for name, one in self.types.items() if one == kind}

    def _filled(self, value: object) -> object:
        if isinstance(value, list):
            return [one for one in map(self._filled, value) if one is not _NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (function := next(iter(value))) in _FUNCTIONS:
            return _FUNCTIONS[function](self, value[function])
        filled = {name: self._filled(one) for name, one in value.items()}
        return {name: one for name, one in filled.items() if one is not _NOTHING}

    def _ref(self, name: str) -> object:
        return _NOTHING if name == "AWS::NoValue" else self._values[name]

    def _sub(self, text: str) -> str:
        return re.sub(r"\$\{([\w:]+)\}", lambda found: str(self._values[found[1]]), text)

    def _if(self, arguments: list) -> object:
        condition, then, otherwise = arguments
        return self._filled(then if self._conditions[condition] else otherwise)


_FUNCTIONS = {
    "Ref": Stack._ref,
    "Fn::Sub": Stack._sub,
    "Fn::If": Stack._if,
    "Fn::GetAtt": lambda stack, path: path[0] if path[1] in ("GroupId", "Arn") else ".".join(path),
    "Fn::Equals": lambda stack, pair: str(stack._filled(pair[0])) == str(stack._filled(pair[1])),
    "Fn::Not": lambda stack, one: not stack._filled(one[0]),
    "Fn::GetAZs": lambda stack, _: ["a", "b"],
    "Fn::Cidr": lambda stack, _: [f"10.0.{16 * at}.0/20" for at in range(5)],
    "Fn::Select": lambda stack, pair: stack._filled(pair[1])[pair[0]],
}


def granted(stack: Stack, role: str = "Role") -> list[dict]:
    """The statements of a role's policies, in the template's order."""
    documents = [one["PolicyDocument"] for one in stack.resources[role]["Policies"]]
    return [statement for document in documents for statement in document["Statement"]]


def printed(policy: Path, service: str, environment: str = "prod") -> list[dict]:
    """What `bootagent iam-policy` prints for the role of an instance."""
    named = [f"--policy={policy}", f"--service={service}", f"--environment={environment}", f"--group={service}-{environment}"]
    command = [os.environ["BOOTAGENT"], "iam-policy", *named, f"--account={ACCOUNT}", f"--region={REGION}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)["Statement"]


# Terraform


def plain(value: object) -> object:
    """Without the quotes and the marks of the reader."""
    if isinstance(value, dict):
        return {plain(name): plain(one) for name, one in value.items() if not str(name).startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.strip('"') if isinstance(value, str) else value


def module(name: str) -> tuple[str, dict]:
    """A module's text, and what the grammar of HCL reads in it."""
    text = (AWS / "terraform" / name / "main.tf").read_text()
    return text, plain(hcl2.loads(text))


def named(blocks: list[dict]) -> dict[str, dict]:
    """{TYPE.NAME: block}"""
    return {f"{kind}.{name}": body for one in blocks for kind, inner in one.items() for name, body in inner.items()}


def defaults(read: dict) -> dict[str, object]:
    return {name: body.get("default") for one in read["variable"] for name, body in one.items()}


def text_of(value: object, values: dict[str, object]) -> object:
    """A string with `${var.X}` and `${local.X}` filled in, until nothing is left to fill in."""
    if not isinstance(value, str):
        return value
    while found := re.search(r"\$\{([\w.]+)\}", value):
        value = value.replace(found[0], str(values[found[1]]))
    return value


def allowed(read: dict, document: str, **variables: object) -> set[tuple]:
    """Each action on each resource that a policy document of a module allows, with its condition."""
    values = {f"var.{name}": one for name, one in {**defaults(read), **variables}.items()}
    values |= {f"local.{name}": one for block in read["locals"] for name, one in block.items()}
    values |= {"data.aws_partition.this.partition": "aws", "data.aws_region.this.region": REGION}
    values |= {"data.aws_caller_identity.this.account_id": ACCOUNT}
    body = named(read["data"])[f"aws_iam_policy_document.{document}"]
    statements = [(one, None) for one in body["statement"]]
    for one in body.get("dynamic", []):
        (switch,) = re.findall(r"var\.\w+", one["statement"]["for_each"])[:1]
        if values[switch]:
            statements.append((one["statement"]["content"][0], values[switch]))
    pairs = set()
    for statement, value in statements:
        filled = {**values, "statement.value": value}
        conditions = statement.get("condition", [])
        told = tuple((one["test"], one["variable"], *(text_of(each, filled) for each in one["values"])) for one in conditions)
        pairs |= {(action, text_of(place, filled), told) for action in statement["actions"] for place in statement["resources"]}
    return pairs


def pairs(statements: list[dict]) -> set[tuple]:
    """The same of statements as CloudFormation and `iam-policy` have them."""
    found = set()
    for one in statements:
        told = tuple((test, key, *values) for test, keys in (one.get("Condition") or {}).items() for key, values in keys.items())
        found |= {(action, place, told) for action in one["Action"] for place in one["Resource"]}
    return found
