"""Makes .venv of what a repository names, as the build user: python3 -I install.py KIND FILE [--uv PROGRAM].

Written by bootagent. pip works here from where the distribution has it: a virtual environment with a pip of its own takes
seconds longer. Locks of Poetry, PDM and Pipenv become a list for pip or uv: each package in one version, with its checksums.
"""

import compileall
import contextlib
import glob
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import venv
import zipfile

PYTHON = os.path.join(".venv", "bin", "python")


def main(kind, file=None, flag=None, uv=None):
    certificates()
    if kind == "compile":
        return compile_own()
    if kind == "uv":
        sync(uv, file)
        return compile_own()
    if uv:
        run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, ".venv")
    else:
        venv.create(".venv", with_pip=False, symlinks=True)
    if kind == "venv":
        return compile_own()
    setuptools()
    # A lock has all packages, and pip of Debian 12 takes `uvicorn[standard]`, as one of them asks for it, for another one.
    alone = [] if kind == "requirements" else ["--no-deps"]
    with wanted(kind, file) as requirements:
        if uv:
            run(uv, "pip", "install", "--python", PYTHON, "--compile-bytecode", *alone, "--requirement", requirements)
        else:
            run(PYTHON, pip(), "install", "--no-warn-script-location", *alone, "--requirement", requirements)
    compile_own()


def sync(uv, file):
    """uv takes a lock for stale that names another index than the policy's. The policy's has the same packages, which their
    checksums show: uv lists them, and installs them from there. Whether the lock is up to date is not checked then: uv would ask the
    other index, and build the project for it."""
    index = os.environ.get("UV_DEFAULT_INDEX")
    if not index or is_of(index, file):
        return run(uv, "sync", "--locked", "--no-dev", "--compile-bytecode", "--python", sys.executable)
    listed = os.path.join(tempfile.mkdtemp(), "requirements.txt")
    own = {name: value for name, value in os.environ.items() if name != "UV_DEFAULT_INDEX"}
    to_file = ("--format", "requirements-txt", "--quiet", "--output-file", listed)
    run(uv, "export", "--frozen", "--no-dev", "--python", sys.executable, *to_file, env=own)
    run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, ".venv")
    everything = ("--compile-bytecode", "--no-config", "--no-deps", "--requirement", listed)
    run(uv, "pip", "install", "--python", PYTHON, *everything)


def is_of(index, file):
    """Whether everything in the lock comes from this index, or from a directory or repository that the project names itself.
    A lock can name a file of any server beside the right index."""
    with open(file, "rb") as text:
        packages = toml().loads(text.read().decode("utf-8")).get("package", [])
    origin = "/".join(index.split("/")[:3]) + "/"
    for package in packages:
        registry = package.get("source", {}).get("registry")
        files = [*package.get("wheels", []), *filter(None, [package.get("sdist")])]
        if registry is None:
            continue
        if registry.rstrip("/") != index.rstrip("/") or not all(each.get("url", "").startswith(origin) for each in files):
            return False
    return True


def run(*words, env=None):
    sys.stdout.flush()
    ended = subprocess.call(words, env=env)
    if ended != 0:
        sys.exit(ended if ended > 0 else 128 - ended)


def pip():
    """Beside this Python, or the wheel that it carries for new environments: a program that Python can run."""
    found = importlib.util.find_spec("pip")
    runner = found and os.path.join(os.path.dirname(found.origin), "__pip-runner__.py")
    if runner and os.path.exists(runner):
        return runner
    for wheel in carried("pip"):
        return os.path.join(wheel, "pip")
    sys.exit("ERROR: this Python has neither pip nor ensurepip")


def carried(name):
    """The wheels that this Python carries for new environments."""
    with contextlib.suppress(ImportError):
        import ensurepip
        import sysconfig

        places = [os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"), sysconfig.get_config_var("WHEEL_PKG_DIR")]
        for place in [*filter(None, places), "/usr/share/python-wheels"]:
            yield from sorted(glob.glob(os.path.join(place, f"{name}-*.whl")), reverse=True)


def setuptools():
    """Before Python 3.12 every new environment has it, and packages such as gunicorn 20 import pkg_resources without naming it."""
    if sys.version_info >= (3, 12):
        return
    place = os.path.join(".venv", "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
    for wheel in carried("setuptools"):
        with zipfile.ZipFile(wheel) as files:
            files.extractall(place)
        compileall.compile_dir(os.path.join(place, "pkg_resources"), quiet=2)
        return


def certificates():
    """pip and uv take one file: the system's certificates, and the policy's behind them."""
    more = os.environ.pop("BOOTAGENT_CA_FILE", None)
    system = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"]
    system = next(filter(os.path.exists, system), None)
    if more:
        with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as both:
            for path in filter(None, [system, more]):
                with open(path) as file:
                    both.write(file.read() + "\n")
        system = both.name
    if system:
        for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            os.environ.setdefault(name, system)


@contextlib.contextmanager
def wanted(kind, file):
    if kind == "requirements":
        yield file
        return
    lines = {"poetry": poetry, "pdm": pdm, "pipfile": pipfile}[kind](file)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as text:
        text.write("".join(f"{line}\n" for line in lines))
    yield text.name


def line(name, version, hashes, markers=None):
    """One requirement. A lock is the repository's: what is not plain could be an option of pip, such as another index."""
    plain = [(r"[A-Za-z0-9][A-Za-z0-9._-]*", name), (r"[A-Za-z0-9.!+_-]+", version), (r"[^\x00-\x1f]*", markers or "")]
    plain += [(r"[a-z0-9]+:[0-9a-f]+", each) for each in hashes]
    for shape, text in plain:
        if not isinstance(text, str) or not re.fullmatch(shape, text):
            sys.exit(f"ERROR: the lockfile has {text!r}, which is not a package's name, version, hash or marker")
    condition = f" ; {markers}" if markers else ""
    return f"{name}=={version}{condition}" + "".join(f" --hash={each}" for each in hashes)


def pipfile(file):
    with open(file, encoding="utf-8") as text:
        packages = json.load(text).get("default", {})
    for name, about in packages.items():
        if "version" not in about:
            sys.exit(f"ERROR: {file} takes {name} from another place than an index, which needs install = [...] in bootagent.toml")
        yield line(name, about["version"].lstrip("="), about.get("hashes", []), about.get("markers"))


def poetry(file):
    with open(file, "rb") as text:
        lock = toml().loads(text.read().decode("utf-8"))
    of_old = lock.get("metadata", {}).get("files", {})
    for about in lock.get("package", []):
        name = about["name"]
        if "main" not in about.get("groups", [about.get("category", "main")]) or about.get("optional"):
            continue
        if about.get("source", {}).get("type") not in (None, "legacy"):
            sys.exit(f"ERROR: {file} takes {name} from another place than an index, which needs install = [...] in bootagent.toml")
        hashes = [each["hash"] for each in about.get("files") or of_old.get(name, [])]
        markers = about.get("markers")
        yield line(name, about["version"], hashes, markers.get("main") if isinstance(markers, dict) else markers)


def pdm(file):
    with open(file, "rb") as text:
        lock = toml().loads(text.read().decode("utf-8"))
    for about in lock.get("package", []):
        name = about["name"]
        # A package with extras stands there a second time, without them.
        if "default" not in about.get("groups", ["default"]) or about.get("extras"):
            continue
        if any(key in about for key in ("git", "path", "url")):
            sys.exit(f"ERROR: {file} takes {name} from another place than an index, which needs install = [...] in bootagent.toml")
        hashes = [each["hash"] for each in about.get("files", [])]
        yield line(name, about["version"], hashes, about.get("marker"))


def toml():
    with contextlib.suppress(ImportError):
        import tomllib

        return tomllib
    with contextlib.suppress(ImportError):
        from pip._vendor import tomli

        return tomli
    sys.path.insert(0, os.path.dirname(pip()))
    from pip._vendor import tomli

    return tomli


def compile_own():
    """The repository's own modules, too: the service may not write beside them. One that cannot be compiled tells so when it is
    imported, if it ever is."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        compileall.compile_dir(".", quiet=2, workers=0, rx=re.compile(r"/(\.venv|\.git|node_modules)/"))


# Not where multiprocessing imports this file, which it does in the processes that compile bytecode: from Python 3.12 on
# they are new ones, not copies of this one.
if __name__ == "__main__":
    main(*sys.argv[1:])
