"""Who installs a Python service's packages: uv where the policy pins its archive, else pip; and locks of Poetry's by either."""

import json

import pytest
from looks import SERVICE, ask, current, shared  # noqa: F401
from python_services import POLICY as MIRROR
from python_services import with_venv, wsgi
from stage import POLICY, REPOSITORY, assert_failed

pytestmark = pytest.mark.variants

GOOD = wsgi()
PYPROJECT = '[tool.poetry]\nname = "sample"\nversion = "1.0"\n[tool.poetry.dependencies]\npython = ">=3.9"\ngunicorn = "*"\n'
DEVELOPMENT = '[[package]]\nname = "not-for-production"\nversion = "9.9"\ngroups = ["dev"]\nfiles = []\n'


def poetry_lock(index, **hashes: str) -> str:
    """Packages with the checksums of the lab's index, one of which asks for an extra of another that has a newer version, and one
    for development alone, which no index has."""
    index.publish_wheel("asks", "1.0", requires=["asked[extra]>=1"])
    for version in ("1.0", "2.0"):
        index.publish_wheel("asked", version)
    packages = dict(line.split("==") for line in GOOD["requirements.txt"].splitlines()) | {"asks": "1.0", "asked": "1.0"}
    text = DEVELOPMENT
    for name, version in packages.items():
        files = [{"file": "x", "hash": hashes.get(name, f"sha256:{each}")} for each in index.checksums(f"{name}=={version}")]
        listed = ", ".join(f'{{file = "{each["file"]}", hash = "{each["hash"]}"}}' for each in files)
        text += f'\n[[package]]\nname = "{name}"\nversion = "{version}"\ngroups = ["main"]\nfiles = [{listed}]\n'
    return text + '\n[metadata]\nlock-version = "2.1"\n'


def poetry(index, **hashes: str) -> dict[str, object]:
    return GOOD | {"requirements.txt": None, "pyproject.toml": PYPROJECT, "poetry.lock": poetry_lock(index, **hashes)}


class Installer:
    with_uv = False

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.secret(f"service_env_{SERVICE}_test", json.dumps({"TOKEN": "t"}))
        policy = f'\n[archives.uv]\nchecksums = {{ "{shared.uv.name}" = "{shared.uv.sha256}" }}\n' if cls.with_uv else ""
        shared.repo(SERVICE).commit("test", GOOD)
        machine = shared.launch(binary=binary, files={POLICY: MIRROR + policy}, layers=[] if cls.with_uv else with_venv())
        first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
        assert first.code == 0, first.stderr
        return machine

    def update(self, shared, machine, files):  # noqa: F811
        commit = shared.repo(SERVICE).commit("test", files)
        return commit, machine.run(["bootagent", "update"], timeout=180)

    def test_requirements(self, shared, machine):  # noqa: F811
        assert ask(machine, "health") == "ok"
        assert any("uv/" in entry["user_agent"] for entry in shared.pypi.log) == self.with_uv
        compiled = machine.run(["sh", "-c", f"ls /opt/{SERVICE}/current/__pycache__/app.*.pyc"])
        assert compiled.code == 0, "the service may not write its bytecode itself"
        # As in each new environment of a Python before 3.12, if the machine has what `python3 -m venv` takes it from.
        old = machine.run([f"/opt/{SERVICE}/current/.venv/bin/python", "-c", "import pkg_resources"])
        assert (old.code == 0) != self.with_uv, old.stderr

    def test_its_script_does_nothing_where_it_is_imported(self, shared, machine):  # noqa: F811
        """multiprocessing imports it in the processes that compile bytecode, from Python 3.12 on."""
        imports = "import runpy; runpy.run_path('/opt/bootagent/scripts/python-install.py', run_name='__mp_main__')"
        imported = machine.run(["python3", "-I", "-c", imports])
        assert (imported.code, imported.stdout) == (0, ""), imported.stderr

    def test_a_package_that_is_not_what_poetry_s_lock_says(self, shared, machine):  # noqa: F811
        good = current(machine)
        _, failed = self.update(shared, machine, poetry(shared.pypi, packaging=f"sha256:{'0' * 64}"))
        assert_failed(machine, failed, 2, "E-DEPENDENCY-ALTERED")
        assert current(machine) == good

    def test_poetry_s_lock_without_poetry(self, shared, machine):  # noqa: F811
        commit, updated = self.update(shared, machine, poetry(shared.pypi))
        assert updated.code == 0, updated.stderr
        assert current(machine).startswith(commit) and ask(machine, "health") == "ok"

    def test_a_version_that_no_index_has(self, shared, machine):  # noqa: F811
        good = current(machine)
        files = GOOD | {"poetry.lock": None, "pyproject.toml": None, "requirements.txt": "gunicorn==99.0\n"}
        _, failed = self.update(shared, machine, files)
        assert_failed(machine, failed, 2, "E-DEPENDENCY-MISSING", "gunicorn")
        assert current(machine) == good


class TestPip(Installer):
    pass


class TestUv(Installer):
    with_uv = True
