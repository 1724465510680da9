"""What can be wrong with a service in Python: each is an update beside a good one, which serves on."""

import json

import pytest
from lab import python_index
from looks import SERVICE, ask, current, leftovers, process, shared  # noqa: F401
from poller import Poller
from python_services import POLICY as MIRROR
from python_services import WSGI, with_uv, with_venv, wsgi
from stage import POLICY, REPOSITORY, assert_failed

pytestmark = pytest.mark.variants

GOOD = wsgi()
REQUIREMENTS = GOOD["requirements.txt"]
IMPATIENT = GOOD["bootagent.toml"].replace('"1s"', '"1s", timeout = "4s"')
DETECTED = GOOD["bootagent.toml"].replace('start = "gunicorn app:app"\n', "")
SMUGGLING = '[[package]]\nname = "a==1\\n--extra-index-url https://other.acme.test/simple\\nb"\nversion = "1.0"\nfiles = []\n'
SETUP = "from setuptools import Extension, setup\nsetup(name='speedup', version='1.0', ext_modules=[Extension('speedup', ['speedup.c'])])\n"
SPEEDUP = {"setup.py": SETUP, "speedup.c": "#include <Python.h>\n"}


def requirements(*more: str, **files: object) -> dict[str, object]:
    return {"requirements.txt": REQUIREMENTS + "".join(f"{line}\n" for line in more), **files}


# What the commit breaks, with the code of the failure and words of its first line. None of it comes as far as the service.
BEFORE = {
    "a version that does not exist": (requirements("left-pad==99.0"), "E-DEPENDENCY-MISSING", ["left-pad"]),
    "a hash that does not match": (
        {"requirements.txt": f"packaging==26.4 --hash=sha256:{'0' * 64}\n"}, "E-DEPENDENCY-ALTERED", ["packaging"],
    ),
    "a source that needs a compiler": (requirements("speedup==1.0"), "E-INSTALL-FAILED", ["a C compiler (gcc)"]),
    "a path outside of the tree": (requirements("-e ../elsewhere"), "E-SOURCE-UNSAFE", ["../elsewhere"]),
    "another index": (requirements("--extra-index-url https://other.acme.test/simple"), "E-POLICY-REFUSED", ["other.acme.test"]),
    "another index behind another option": (
        requirements("--pre --extra-index-url https://other.acme.test/simple"), "E-MANIFEST-INVALID", ["--pre --extra"],
    ),
    "a lock with an option in a name": (
        {"requirements.txt": None, "pyproject.toml": "[tool.poetry]\nname = 'x'\n", "poetry.lock": SMUGGLING},
        "E-INSTALL-FAILED", ["not a package's name"],
    ),
    "a Python that is not to be had": ({".python-version": "3.8\n"}, "E-RUNTIME-MISSING", ["3.8"]),
    "versions in conflict": ({".python-version": "three\n"}, "E-MANIFEST-INVALID", [".python-version"]),
    "no requirements and no lockfile": ({"requirements.txt": None, "bootagent.toml": DETECTED}, "E-LOCKFILE-MISSING", ["requirements.txt"]),
    "two lockfiles": ({"uv.lock": "version = 1\n", "poetry.lock": "# poetry\n", "pyproject.toml": "[project]\nname = 'x'\n"},
                      ["E-RUNTIME-UNKNOWN", "E-MANIFEST-INVALID"], ["uv.lock", "poetry.lock"]),
    "a project without a lockfile": ({"requirements.txt": None, "pyproject.toml": "[project]\nname = 'x'\n"}, "E-LOCKFILE-MISSING", ["uv.lock"]),
    "no app object": ({"app.py": "import json\n", "bootagent.toml": DETECTED}, "E-MANIFEST-INVALID", ["no module", "application"]),
    "a health check that proves less": ({"bootagent.toml": GOOD["bootagent.toml"].replace('path = "/health", ', "")}, "E-HEALTH-WEAKER", ["/health", "3000"]),
}  # fmt: skip
# What is only seen when the service starts.
AFTER = {
    "a module that raises": ({"app.py": "raise RuntimeError('no database')\n"}, "E-SERVICE-EXITED", "no database"),
    "a module that is not installed": ({"app.py": "import numpy\n" + WSGI}, "E-SERVICE-EXITED", "numpy"),
    "no such object": ({"app.py": WSGI.replace("def app(", "def other(")}, "E-SERVICE-EXITED", ""),
    "a worker that never boots": (
        {"app.py": "import time\ntime.sleep(600)\n" + WSGI, "bootagent.toml": IMPATIENT},
        ["E-HEALTH-BAD-ANSWER", "E-HEALTH-NO-LISTENER", "E-UNIT-FAILED"], "",
    ),
    "a bad answer": (
        {"app.py": WSGI.replace("/health", "/other"), "bootagent.toml": IMPATIENT}, "E-HEALTH-BAD-ANSWER", "404",
    ),
}  # fmt: skip
# What the first line does not name, and the tool's own words below it do.
BELOW = {"no such object": "Failed to find attribute 'app' in 'app'"}


def standing(world, binary, policy: str, layers=()):
    world.pypi.publish_sdist("speedup", "1.0", SPEEDUP)
    world.secret(f"service_env_{SERVICE}_test", '{"TOKEN": "t"}')
    world.repo(SERVICE).commit("test", GOOD)
    machine = world.launch(binary=binary, files={POLICY: policy}, layers=layers)
    first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
    assert first.code == 0, first.stderr
    return machine


def update(world, machine, files):
    changes = {name: None for name in (".python-version", "uv.lock", "poetry.lock", "pyproject.toml")}
    world.repo(SERVICE).commit("test", GOOD | changes | files)
    return machine.run(["bootagent", "update"], timeout=180)


@pytest.fixture
def good(machine):
    return current(machine), process(machine)


class TestBrokenUpdate:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return standing(shared, binary, MIRROR, with_venv())

    @pytest.mark.parametrize("broken", BEFORE)
    def test_the_good_one_serves_without_a_failed_request(self, shared, machine, good, broken):  # noqa: F811
        files, code, words = BEFORE[broken]
        with Poller(machine) as poller:
            failed = update(shared, machine, files)
        said = assert_failed(machine, failed, 2, code, *words)
        assert BELOW.get(broken, "") in json.dumps(said["error"])
        assert poller.asked and poller.failures == [], poller.failures
        assert (current(machine), process(machine)) == good
        assert leftovers(machine) == []

    def test_an_index_that_does_not_answer(self, shared, machine, good):  # noqa: F811
        shared.unreachable(python_index.HOST, how="refused")
        try:
            failed = update(shared, machine, {"note": "unreachable"})
        finally:
            shared.reachable(python_index.HOST)
        assert_failed(machine, failed, 2, "E-REGISTRY-UNREACHABLE")
        assert (current(machine), process(machine)) == good

    def test_and_after_all_that_a_good_commit_is_taken(self, shared, machine):  # noqa: F811
        done = update(shared, machine, {"note": "good"})
        assert done.code == 0, done.stderr
        assert ask(machine, "release").endswith(current(machine))


class TestBrokenStart:
    """What is installed well, by uv, and does not serve."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return standing(shared, binary, with_uv(shared))

    @pytest.mark.parametrize("broken", AFTER)
    def test_the_good_one_serves_again(self, shared, machine, good, broken):  # noqa: F811
        files, code, word = AFTER[broken]
        failed = update(shared, machine, files)
        said = assert_failed(machine, failed, 2, code, word)
        assert BELOW.get(broken, "") in json.dumps(said["error"])
        assert current(machine) == good[0] and ask(machine, "health") == "ok"
        assert leftovers(machine) == []
