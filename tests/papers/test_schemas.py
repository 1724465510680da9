"""The JSON schemas for editors, by another program's eyes: they are schemas, they accept what a run accepts, and refuse mistakes.
tests/schema.rs makes them and holds them against the parsers."""

import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"
PLANS = ROOT / "tests/plans"


def validator(name: str) -> jsonschema.Draft7Validator:
    schema = json.loads((REFERENCE / name).read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def planned(name: str) -> list[Path]:
    """The files of this name in golden plans that end well. Of one, the operator's manifest counts and the repository's is nonsense."""
    found = [path for path in PLANS.rglob(name) if "manifest-of-the-operator" not in path.parts and (PLANS / path.relative_to(PLANS).parts[0] / "expected.txt").is_file()]
    return [path for path in found if (PLANS / path.relative_to(PLANS).parts[0] / "expected.txt").read_text().startswith("exit 0\n")]


@pytest.mark.parametrize(("name", "file"), [("bootagent.schema.json", "bootagent.toml"), ("policy.schema.json", "policy.toml")])
def test_what_a_run_accepts_fits(name, file):
    checks, files = validator(name), planned(file)
    assert len(files) > 20
    wrong = {str(path): [error.message for error in checks.iter_errors(tomllib.loads(path.read_text()))] for path in files}
    assert {path: errors for path, errors in wrong.items() if errors} == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bootagent.schema.json", text)
        for text in ("prot = 3000", 'port = "3000"', "port = 70000", "health = 3", '[health]\npth = "/"', 'supervisor = "upstart"',
                     "[environments.prod]\nprot = 1", "install = true")
    ]
    + [("policy.schema.json", text) for text in ('repo = "x"', 'services = "x"', '[imds]\nservice = "no"', "[node.checksums]\nx = 1")],
)  # fmt: skip
def test_a_mistake_is_refused(name, text):
    assert list(validator(name).iter_errors(tomllib.loads(text)))


@pytest.mark.parametrize(("schema", "file"), [("policy.schema.json", "policy.toml"), ("bootagent.schema.json", "mongodb.toml")])
def test_the_files_for_amis_fit(schema, file):
    """Also with the lines that are comments until an operator needs them."""
    lines = (ROOT / "packaging/aws" / file).read_text().splitlines()
    every = [line.removeprefix("# ") if line.startswith("# [") or " = " in line else line for line in lines]
    for text in ("\n".join(lines), "\n".join(line for line in every if not line.startswith("#"))):
        assert list(validator(schema).iter_errors(tomllib.loads(text))) == []
    assert every != lines or file == "mongodb.toml"
