"""What a Python service needs and no wheel has: a source archive that is compiled, a package from a git repository. With pip and
with uv, on machines that have gcc and git."""

import json

import pytest
from lab import layers
from looks import SERVICE, ask, current, leftovers, process, shared  # noqa: F401
from python_services import POLICY as MIRROR
from python_services import WSGI, with_uv, wsgi
from stage import POLICY, REPOSITORY, assert_failed

pytestmark = pytest.mark.variants

TOOLS = ["gcc", "git", "python3-dev", "python3-venv"]
GOOD = wsgi()
REQUIREMENTS = GOOD["requirements.txt"]
SETUP = "from setuptools import Extension, setup\nsetup(name='speedup', version='1.0', ext_modules=[Extension('speedup', ['speedup.c'])])\n"
SPEEDUP = """\
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *nothing) { return PyUnicode_FromString("compiled"); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "speedup", NULL, -1, methods};
PyMODINIT_FUNC PyInit_speedup(void) { return PyModule_Create(&module); }
"""
# psycopg2's, as far as it looks for what it is built with, in its own words.
PSYCOPG2 = '''\
import shutil, sys
from setuptools import Extension, setup
if not shutil.which("pg_config"):
    sys.stderr.write("""
Error: pg_config executable not found.

pg_config is required to build psycopg2 from source.  Please add the directory
containing pg_config to the $PATH or specify the full executable path with the
option:

    python setup.py build_ext --pg-config /path/to/pg_config build ...

or with the pg_config option in 'setup.cfg'.

If you prefer to avoid building psycopg2 from source, please install the PyPI
'psycopg2-binary' package instead.

For further information please check the 'doc/src/install.rst' file (also at
<https://www.psycopg.org/docs/install.html>).

""")
    sys.exit(1)
setup(name="psycopg2", version="2.9.11", ext_modules=[Extension("_psycopg", ["psycopg.c"], libraries=["pq"])])
'''
PYPROJECT = '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "greeting"\nversion = "1.0"\n'
ADDRESS = "git+https://github.com/acme/{name}.git@{ref}"


def requirement(name: str, ref: str) -> str:
    return f"greeting @ {ADDRESS.format(name=name, ref=ref)}"


# Lines more of requirements.txt, with words of the failure's first line and of what helps.
HEADERS = ("psycopg2==2.9.11", ["pg_config", "libpq-dev"], 'packages = ["gcc", "libpq-dev", "python3-dev"]')
BAD = {
    "the headers of PostgreSQL are not there": HEADERS,
    "it does not compile": ("broken==1.0", ["gcc"], "clean clone"),
    "there is no such tag": (requirement("greeting", "v9.9"), ["greeting.git", "v9.9"], "address right"),
    "there is no such repository": (requirement("nowhere", "main"), ["nowhere.git"], "address right"),
}


class Sources:
    with_uv = False

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.pypi.publish_sdist("speedup", "1.0", {"setup.py": SETUP, "speedup.c": SPEEDUP})
        shared.pypi.publish_sdist("broken", "1.0", {"setup.py": SETUP.replace("'speedup'", "'broken'"), "speedup.c": SPEEDUP + "int;x\n"})
        shared.pypi.publish_sdist("psycopg2", "2.9.11", {"setup.py": PSYCOPG2, "psycopg.c": "#include <libpq-fe.h>\n"})
        shared.repo("greeting").commit("main", {"pyproject.toml": PYPROJECT, "greeting.py": 'WORD = "from git"\n'})
        shared.secret(f"service_env_{SERVICE}_test", json.dumps({"TOKEN": "t"}))
        shared.repo(SERVICE).commit("test", GOOD)
        # Otherwise a boot installs what is missing here.
        policy = (with_uv(shared) if cls.with_uv else MIRROR) + "[packages]\nallow = false\n"
        machine = shared.launch(binary=binary, files={POLICY: policy}, layers=[layers.ensure(TOOLS)])
        first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=180)
        assert first.code == 0, first.stderr
        return machine

    def update(self, shared, machine, line: str, mode: str = '"plain"'):  # noqa: F811
        files = GOOD | {"requirements.txt": f"{REQUIREMENTS}{line}\n", "app.py": WSGI.replace('"plain"', mode)}
        shared.repo(SERVICE).commit("test", files)
        return machine.run(["bootagent", "update"], timeout=180)

    def fails(self, shared, machine, line: str, words: list[str], helps: str) -> None:  # noqa: F811
        good = current(machine), process(machine)
        failed = self.update(shared, machine, line)
        said = assert_failed(machine, failed, 2, "E-INSTALL-FAILED", *words)
        assert helps in said["error"]["remedy"]
        # Both are there: what is missing is another thing.
        assert not any(f"a {tool} is not there" in json.dumps(said["error"]) for tool in ("C compiler", "git"))
        assert (current(machine), process(machine)) == good and ask(machine, "health") == "ok"
        assert leftovers(machine) == []

    def test_a_source_archive_is_compiled_and_a_git_repository_fetched(self, shared, machine):  # noqa: F811
        commit = shared.repo("greeting").sha("main")
        shared.repo("greeting").commit("main", {"greeting.py": 'WORD = "a later commit"\n'})
        mode = '[__import__("speedup").answer(), __import__("greeting").WORD]'
        done = self.update(shared, machine, f"speedup==1.0\n{requirement('greeting', commit)}", mode)
        assert done.code == 0, done.stderr
        assert ask(machine, "mode") == ["compiled", "from git"] and ask(machine, "release").endswith(current(machine))


class TestPip(Sources):
    def test_the_package_that_helps_is_named(self, shared, machine):  # noqa: F811
        self.fails(shared, machine, *HEADERS)


class TestUv(Sources):
    with_uv = True

    @pytest.mark.parametrize("bad", BAD)
    def test_what_cannot_be_made_leaves_what_serves(self, shared, machine, bad):  # noqa: F811
        self.fails(shared, machine, *BAD[bad])
