"""The forms in which a repository says what it needs and how it is started: an update for each, on two machines."""

import json

import pytest
from looks import SERVICE, ask, current, process, shared  # noqa: F401
from python_services import POLICY as MIRROR
from python_services import WSGI, with_uv, with_venv, wsgi
from stage import POLICY, REPOSITORY

pytestmark = pytest.mark.variants

GOOD = wsgi()
MANIFEST = GOOD["bootagent.toml"].replace('start = "gunicorn app:app"\n', "")
PYPROJECT = '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "sample"\nversion = "1.0"\n'
PYPROJECT += 'dependencies = ["gunicorn==27.0.1"]\n[tool.setuptools]\npy-modules = ["app"]\n'
PROJECT = '[project]\nname = "sample"\nversion = "1.0"\nrequires-python = ">=3.11"\ndependencies = ["gunicorn"]\n'
# The same without a list of packages, or without any in it.
BARE = {"requirements.txt": None, "app.py": None, "pyproject.toml": PROJECT.replace('"gunicorn"', "")}
COMMAND = 'version = 1\nrequires-python = ">=3.11"\n[[package]]\nname = "sample"\nversion = "1.0"\nsource = { editable = "." }\n'
BUILT = PROJECT.replace('"gunicorn"', "") + '[project.scripts]\nserve = "shop:main"\n[build-system]\nrequires = ["setuptools"]\n'
FACTORY = WSGI.replace("def app(", "def answer(") + "\ndef create_app():\n    return answer\n"
APPLICATION = WSGI.replace("def app(", "def application(")


def mode(name: str, source: str = WSGI) -> str:
    """A module that tells which form it came in: a test sees that it is this one which answers."""
    return source.replace('"plain"', json.dumps(name))


def pipfile_lock(index) -> str:
    packages = {name: {"hashes": [f"sha256:{each}" for each in index.checksums(f"{name}=={version}")], "version": f"=={version}"}
                for name, version in (("gunicorn", "27.0.1"), ("packaging", "26.4"))}  # fmt: skip
    source = {"name": "acme", "url": "https://pypi.acme.test/simple", "verify_ssl": True}
    meta = {"hash": {"sha256": "0" * 64}, "pipfile-spec": 6, "requires": {}, "sources": [source]}
    return json.dumps({"_meta": meta, "default": packages, "develop": {}})


def pdm_lock(index) -> str:
    """As PDM writes it: a package with extras stands there twice, and a group for development is not the service's."""
    text = '[metadata]\ngroups = ["default", "dev"]\nlock_version = "4.5.0"\n'
    for name, version, more in (
        ("gunicorn", "27.0.1", ""), ("gunicorn", "27.0.1", 'extras = ["gevent"]\n'), ("packaging", "26.4", ""),
        ("not-for-windows", "9.9", "marker = \"sys_platform == 'win32'\"\n"), ("not-for-production", "9.9", 'groups = ["dev"]\n'),
    ):  # fmt: skip
        known = [] if name.startswith("not-") else index.checksums(f"{name}=={version}")
        files = ", ".join(f'{{file = "x", hash = "sha256:{each}"}}' for each in known or ["0" * 64])
        text += f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n{more}files = [{files}]\n'
    return text


# What is installed from; `index` has the checksums.
NEEDS = {
    "utf-16": lambda index: {"requirements.txt": GOOD["requirements.txt"].encode("utf-16")},
    "byte order mark": lambda index: {"requirements.txt": b"\xef\xbb\xbf" + GOOD["requirements.txt"].replace("\n", "\r\n").encode()},
    "checksums": lambda index: {"requirements.txt": index.locked("gunicorn==27.0.1", "packaging==26.4")},
    "another file": lambda index: {"requirements.txt": "-r requirements/base.txt\n", "requirements/base.txt": GOOD["requirements.txt"]},
    "constraints": lambda index: {"requirements.txt": "-c pins.txt\ngunicorn\n", "pins.txt": GOOD["requirements.txt"]},
    "editable": lambda index: {"requirements.txt": "-e .\n", "pyproject.toml": PYPROJECT},
    "pdm.lock": lambda index: {"requirements.txt": None, "pdm.lock": pdm_lock(index), "pyproject.toml": PROJECT},
    "Pipfile.lock": lambda index: {"requirements.txt": None, "Pipfile.lock": pipfile_lock(index), "Pipfile": "[packages]\n"},
}
# It serves without gunicorn.
MAIN = """
def main():
    from wsgiref.simple_server import make_server
    make_server("", int(os.environ["PORT"]), app).serve_forever()
"""


def alone(name: str) -> str:
    """A program with no object that a server could load."""
    return mode(name, WSGI.replace("def app(", "def answer(")) + MAIN.replace("app)", "answer)") + "\n\nmain()\n"


# How it is started, without a word in the manifest.
STARTS = {
    "app in app.py": {"app.py": mode("app in app.py")},
    "application in main.py": {"app.py": None, "main.py": mode("application in main.py", APPLICATION)},
    "factory": {"app.py": None, "wsgi.py": mode("factory", FACTORY)},
    "package": {"app.py": None, "web/__init__.py": mode("package", FACTORY)},
    "Procfile": {"app.py": mode("Procfile"), "Procfile": "web: gunicorn --workers 3 app:app\n"},
    "program": {**BARE, "pyproject.toml": None, "bot.py": alone("program")},
    "project without dependencies": {**BARE, "main.py": alone("project without dependencies")},
    "command of the project": {
        "requirements.txt": None, "app.py": None, "uv.lock": COMMAND, "pyproject.toml": BUILT + "[tool.setuptools.packages.find]\nwhere = ['src']\n",
        "src/shop/__init__.py": mode("command of the project", WSGI + MAIN),
    },
    "another object than the file's name": {"app.py": mode("another object than the file's name", APPLICATION)},
}
OURS = {name: None for name in ("app.py", "main.py", "wsgi.py", "web/__init__.py", "Procfile", "requirements/base.txt", "pins.txt",
                                "pyproject.toml", "Pipfile", "Pipfile.lock", "pdm.lock", "uv.lock", "bot.py",
                                "src/shop/__init__.py", ".python-version")}  # fmt: skip


def workers(machine) -> int:
    return len(machine.check(["ps", "-o", "pid=", "--ppid", process(machine)[1]]).split())


def standing(world, binary, policy: str, layers=()):
    world.secret(f"service_env_{SERVICE}_test", '{"TOKEN": "t"}')
    world.repo(SERVICE).commit("test", GOOD)
    machine = world.launch(binary=binary, files={POLICY: policy}, layers=layers)
    first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
    assert first.code == 0, first.stderr
    return machine


def update(world, machine, files) -> None:
    commit = world.repo(SERVICE).commit("test", OURS | GOOD | files)
    updated = machine.run(["bootagent", "update"], timeout=180)
    assert updated.code == 0, updated.stderr
    assert current(machine).startswith(commit) and ask(machine, "release").endswith(current(machine))


@pytest.mark.variants
class TestNeeds:
    """pip installs it."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return standing(shared, binary, MIRROR, with_venv())

    @pytest.mark.parametrize("form", NEEDS)
    def test_what_it_needs(self, shared, machine, form):  # noqa: F811
        update(shared, machine, {"app.py": mode(form)} | NEEDS[form](shared.pypi))
        assert ask(machine, "mode") == form


class TestNeedsWithUv:
    """uv installs it, where the policy has its archive; and how it is started."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return standing(shared, binary, with_uv(shared))

    @pytest.mark.parametrize("form", NEEDS)
    def test_what_it_needs(self, shared, machine, form):  # noqa: F811
        update(shared, machine, {"app.py": mode(form)} | NEEDS[form](shared.pypi))
        assert ask(machine, "mode") == form

    @pytest.mark.parametrize("form", STARTS)
    def test_how_it_is_started(self, shared, machine, form):  # noqa: F811
        update(shared, machine, {"bootagent.toml": MANIFEST} | STARTS[form])
        assert ask(machine, "mode") == form
        assert machine.http(f"http://{machine.instance.address}:3000/health").status == 200
        if form == "Procfile":
            assert workers(machine) == 3

    def test_web_concurrency_says_how_many_workers(self, shared, machine):  # noqa: F811
        update(shared, machine, {"bootagent.toml": MANIFEST + '[env.values]\nWEB_CONCURRENCY = "2"\n'})
        assert workers(machine) == 2

    def test_start_of_the_manifest_before_the_procfile(self, shared, machine):  # noqa: F811
        update(shared, machine, {"app.py": mode("manifest"), "Procfile": "web: false\n"})
        assert ask(machine, "mode") == "manifest"
