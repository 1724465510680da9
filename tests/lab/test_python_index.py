"""pip and uv themselves, with the lab's Python index and uv's archive."""

from collections.abc import Iterator

import pytest

import lab
from lab import World, layers, python_index
from lab.machine import Machine

pytestmark = pytest.mark.variants

pytest_plugins = ["lab.fixtures"]

# The distribution's pip, run from the wheel in which new environments would get it: that takes seconds for each.
PIP = ["sh", "-c", 'exec /opt/venv/bin/python "$(echo /usr/share/python-wheels/pip-*.whl)/pip" "$@"', "pip"]
OPTIONS = ["--disable-pip-version-check", "--no-cache-dir", "--retries=1"]
QUICK = {"PIP_INDEX_URL": python_index.INDEX}
UNPACK = """set -e; cd /opt
    for name in uv.tar.gz uv.tar.gz.sha256; do
      python3 -c 'import sys, urllib.request as u; u.urlretrieve(sys.argv[1], sys.argv[2])' "$(echo "$1" | sed "s/[^/]*$/$2/")${name#uv.tar.gz}" $name
    done
    echo "$(cut -d' ' -f1 uv.tar.gz.sha256) uv.tar.gz" | sha256sum --check --quiet
    tar -xzf uv.tar.gz --strip-components=1; /opt/uv --version"""


@pytest.fixture(scope="module")
def standing() -> Iterator[World]:
    with World() as world:
        world.launch(layers=[layers.older_python()])
        yield world


@pytest.fixture
def world(request: pytest.FixtureRequest, standing: World) -> Iterator[World]:
    """One for all tests here, in which all is well when each of them begins."""
    from lab.fixtures import _WORLD  # after pytest, which makes its assertions tell what they compared

    request.node.stash[_WORLD] = standing
    standing.pypi.log.clear(), standing.uv.log.clear()
    yield standing
    standing.pypi.heal(), standing.uv.heal()


@pytest.fixture
def machine(world: World) -> Machine:
    (machine,) = world.machines
    machine.check(["python3", "-m", "venv", "--clear", "--without-pip", "/opt/venv"])
    return machine


def install(machine: Machine, *arguments: str) -> lab.Result:
    return machine.run([*PIP, *OPTIONS, "install", *arguments], env=QUICK, timeout=120)


def unpack_uv(world: World, machine: Machine, address: str) -> lab.Result:
    return machine.run(["sh", "-c", UNPACK, "sh", address, world.uv.url.rpartition("/")[2]])


def uv_install(machine: Machine, *arguments: str, **settings: str) -> lab.Result:
    env = {"UV_DEFAULT_INDEX": python_index.INDEX, "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
    env |= {f"UV_{name.upper()}": value for name, value in settings.items()}
    return machine.run(["/opt/uv", "pip", "install", "--python=/opt/venv/bin/python", *arguments], env=env, timeout=120)


def python(machine: Machine, line: str) -> str:
    return machine.check(["/opt/venv/bin/python", "-c", line]).strip()


def test_pip_installs_real_packages_by_their_checksums(world, machine):
    machine.write("/opt/requirements.txt", world.pypi.locked("markupsafe==3.0.4", "jinja2==3.1.6"))
    result = install(machine, "--require-hashes", "--requirement=/opt/requirements.txt")
    assert result.code == 0, result.stderr
    assert python(machine, "import jinja2; print(jinja2.Template('{{ 6 * 7 }}').render())") == "42"
    assert sum(entry["path"].endswith(".whl") for entry in world.pypi.log) == 2
    machine.write("/opt/requirements.txt", f"click==8.5.1 --hash=sha256:{'0' * 64}\n")
    assert "DO NOT MATCH THE HASHES" in install(machine, "--requirement=/opt/requirements.txt").stderr


def test_pip_resolves_what_is_published_and_the_absent_is_named(world, machine):
    world.pypi.publish_wheel("Acme.Left", "1.0.0", requires=["acme-right>=2"])
    for version in ("1.9", "2.1"):
        world.pypi.publish_wheel("acme-right", version, {"acme_right.py": f"version = {version!r}"})
    assert install(machine, "acme_left").code == 0
    assert python(machine, "import acme_right; print(acme_right.version)") == "2.1"
    result = install(machine, "acme-right==3.0")
    assert "No matching distribution found for acme-right==3.0" in result.stderr and "2.1" in result.stderr
    assert "No matching distribution found for absent" in install(machine, "absent").stderr


def test_wheels_of_another_list_are_beside_the_lab_s_own(world, machine, tmp_path):
    wheel = python_index._wheel("carried", "1.0", {"carried.py": "answer = 42\n"}, ["idna"])
    (tmp_path / "carried-1.0-py3-none-any.whl").write_bytes(wheel)
    (tmp_path / "SHA256SUMS").write_text("not a wheel\n")
    world.pypi.carry(tmp_path)
    assert install(machine, "carried").code == 0
    assert python(machine, "import carried, idna; print(carried.answer)") == "42"


def test_a_source_archive_is_built(world, machine):
    world.pypi.publish_sdist("built", "0.1", {"setup.py": "from setuptools import setup\nsetup(name='built', version='0.1', py_modules=['built'])\n",
                                              "built.py": "answer = 42\n"})  # fmt: skip
    result = install(machine, "built")
    assert result.code == 0, result.stderr
    assert python(machine, "import built; print(built.answer)") == "42"


@pytest.fixture
def uv_machine(world: World, machine: Machine) -> Machine:
    """With uv, which takes a tenth of pip's time; without its cache, and without its own second tries."""
    if not machine.exists("/opt/uv"):
        assert unpack_uv(world, machine, world.uv.url).code == 0
    return machine


def once(machine: Machine, *arguments: str) -> lab.Result:
    return uv_install(machine, "--no-cache", *arguments, http_retries="0", http_timeout="2")


def test_it_fails_so_often_and_then_no_more(world, uv_machine):
    world.pypi.fail(503, times=1, only="*.whl")
    assert once(uv_machine, "click==8.5.1").code != 0
    assert once(uv_machine, "click==8.5.1").code == 0
    world.pypi.fail(503)
    assert once(uv_machine, "jinja2").code != 0
    world.pypi.heal()
    assert once(uv_machine, "jinja2").code == 0


@pytest.mark.parametrize("how", ["truncate", "reset", "stall"])
def test_a_wheel_that_does_not_arrive(world, uv_machine, how):
    getattr(world.pypi, how)(after=50, only="*.whl")
    assert once(uv_machine, "click==8.5.1").code != 0
    world.pypi.heal()
    assert once(uv_machine, "click==8.5.1").code == 0


@pytest.mark.parametrize("base", ["https://github.com/astral-sh/uv/releases/download", "https://mirror.acme.test/uv"])
def test_uv_is_an_archive_with_its_checksum(world, machine, base):
    name = world.uv.url.rpartition("/")[2]
    said = unpack_uv(world, machine, f"{base}/{world.uv.version}/{name}")
    assert said.code == 0 and said.stdout.startswith(f"uv {world.uv.version}")
    installed = uv_install(machine, "flask==3.1.3")
    assert installed.code == 0, installed.stderr
    assert python(machine, "import flask; print(flask.Flask('x').name)") == "x"


def test_an_archive_of_uv_that_breaks_off(world, machine):
    world.uv.truncate(after=100_000)
    result = unpack_uv(world, machine, world.uv.url)
    assert result.code != 0 and "retrieval incomplete" in result.stderr and world.uv.log[-1]["fault"] == "truncate"
    world.uv.heal()
    assert "404" in unpack_uv(world, machine, world.uv.url.replace(world.uv.version, "0.0.1")).stderr


def test_an_older_python_stands_beside_debian_s_own(world, machine):
    machine.check(["python3.9", "-m", "venv", "--clear", "--without-pip", "/opt/venv"])
    assert unpack_uv(world, machine, world.uv.url).code == 0
    installed = uv_install(machine, "itsdangerous==2.2.0")
    assert installed.code == 0, installed.stderr
    assert python(machine, "import sys, itsdangerous; print(sys.version_info[:2])") == "(3, 9)"
    assert machine.check(["python3", "-c", "import sys; print(sys.version_info[:2])"]).strip() == "(3, 11)"
    assert "bullseye" not in machine.check(["sh", "-c", "cat /etc/apt/sources.list.d/*"])
