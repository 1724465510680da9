"""Sample services in Python, as dicts of files for `world.repo(...).commit(branch, files)`, and what their machines have."""

from functools import partial
from pathlib import Path

from lab import Machine, World, layers, python_index
from lab.git_repository import Files, read_directory

HERE = Path(__file__).parent / "python"
# Packages come from the lab's index, which is a mirror for bootagent.
POLICY = f'[mirrors]\npypi = "{python_index.INDEX}"\n'
# What Debian's python3 needs to make a virtual environment. On the machines before they boot, as in an AMI.
VENV = ["python3-venv"]


def service(directory: str, /, **overrides: object) -> Files:
    """Overrides are files by name (flask(**{"app.py": "..."})); None leaves the file out."""
    files = read_directory(HERE / directory) | overrides
    return {name: content for name, content in files.items() if content is not None}


flask, fastapi, django, worker = (partial(service, name) for name in ("flask", "fastapi", "django", "worker"))


# An application in one file, with one package: it is installed in a moment.
WSGI = """\
import json, os, sys

MODE = "plain"

def app(environ, start_response):
    answers = {"/health": "ok", "/release": os.path.realpath("."), "/env": dict(os.environ), "/mode": MODE,
               "/python": "%d.%d" % sys.version_info[:2]}
    found = environ["PATH_INFO"] in answers
    start_response("200 OK" if found else "404 Not Found", [("Content-Type", "application/json")])
    return [json.dumps(answers.get(environ["PATH_INFO"])).encode()]
"""


def wsgi(**overrides: object) -> Files:
    manifest = 'start = "gunicorn app:app"\nport = 3000\nhealth = { path = "/health", soak = "1s" }\n'
    files = {"app.py": WSGI, "requirements.txt": "gunicorn==27.0.1\npackaging==26.4\n", "bootagent.toml": manifest}
    return {name: content for name, content in (files | overrides).items() if content is not None}


# The same without packages: which Python it is does not matter to it.
PROGRAM = """
if __name__ == "__main__":
    from wsgiref.simple_server import make_server
    make_server("", int(os.environ["PORT"]), app).serve_forever()
"""


def text(name: str) -> str:
    """Of a file of these services: "flask/requirements.txt"."""
    return (HERE / name).read_text()


def with_uv(world: World, sha256: str = "") -> str:
    """A policy which also pins uv's archive: with it an installation takes a moment, with pip a quarter of a minute."""
    return f'{POLICY}\n[archives.uv]\nchecksums = {{ "{world.uv.name}" = "{sha256 or world.uv.sha256}" }}\n'


def with_venv() -> list[Path]:
    return [layers.ensure(VENV)]


def beats(machine: Machine, service: str) -> list[list[str]]:
    """The lines that the worker wrote about itself, in words."""
    path = f"/var/lib/{service}/beats"
    return [line.split() for line in machine.read(path).splitlines()] if machine.exists(path) else []
