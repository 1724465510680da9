"""The archives of Node are like the official ones, and fail on demand."""

import json

import pytest

from lab import image

pytestmark = pytest.mark.variants

pytest_plugins = ["lab.fixtures"]

VERSION = image.NODE[0]
NAME = f"node-v{VERSION}-linux-x64"
DIST = "https://nodejs.org/dist"
FETCH = "import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=5).read())"


@pytest.fixture
def fetch(world):
    machine = world.launch(bare=True)
    return lambda url, **options: machine.run(["python3", "-c", FETCH, url], **options)


def test_an_operator_installs_node_from_the_archive(world):
    machine = world.launch(bare=True)
    script = f"""set -e; cd /opt
        for name in SHASUMS256.txt {NAME}.tar.gz; do
          python3 -c 'import sys, urllib.request as u; u.urlretrieve(sys.argv[1], sys.argv[2])' {DIST}/v{VERSION}/$name $name
        done
        grep ' {NAME}.tar.gz$' SHASUMS256.txt | sha256sum --check --quiet
        tar -xzf {NAME}.tar.gz; ls {NAME}; export PATH=$PATH:/opt/{NAME}/bin; node --version; npm --version"""
    said = machine.check(["sh", "-c", script]).split()
    release = next(each for each in world.node.index if each["version"] == f"v{VERSION}")
    assert said[-2:] == [f"v{VERSION}", release["npm"]]
    assert said[:-2] == ["CHANGELOG.md", "LICENSE", "README.md", "bin", "include", "lib", "share"]
    assert machine.readlink(f"/opt/{NAME}/bin/npm") == "../lib/node_modules/npm/bin/npm-cli.js"


def test_the_index_lists_more_than_there_is(world, fetch):
    index = json.loads(fetch(f"{DIST}/index.json").stdout)
    assert {"v24.9.0", "v20.9.0", *(f"v{version}" for version in image.NODE)} <= {each["version"] for each in index}
    assert "404" in fetch(f"{DIST}/v24.9.0/SHASUMS256.txt").stderr
    assert json.loads(fetch("https://mirror.acme.test/node/release/index.json").stdout) == index
    assert "404" in fetch("https://nodejs.org/elsewhere/index.json").stderr
    seen = [(entry["host"], entry["status"]) for entry in world.node.log]
    assert seen == [("nodejs.org", 200), ("nodejs.org", 404), ("mirror.acme.test", 200), ("nodejs.org", 404)]


HEADERS = """
import hashlib, io, re, sys, tarfile, urllib.request as u
base, version = sys.argv[1:]
name = f"node-v{version}-headers.tar.gz"
get = lambda name: u.urlopen(f"{base}/v{version}/{name}", timeout=20).read()
archive, sums = get(name), get("SHASUMS256.txt").decode()
assert f"{hashlib.sha256(archive).hexdigest()}  {name}" in sums.splitlines(), sums
with tarfile.open(fileobj=io.BytesIO(archive)) as files:
    names, top = files.getnames(), f"node-v{version}/include/node"
    said = files.extractfile(f"{top}/node_version.h").read().decode()
assert {f"{top}/{each}" for each in ("node_api.h", "v8.h", "common.gypi", "config.gypi", "openssl/ssl.h")} <= set(names), names
assert all(each.split("/")[0] == f"node-v{version}" for each in names) and f"node-v{version}/bin" not in names, names
print(".".join(re.search(rf"define NODE_{part}_VERSION (\\d+)", said)[1] for part in ("MAJOR", "MINOR", "PATCH")))
"""


@pytest.mark.parametrize("version", image.NODE)
def test_headers_for_node_gyp(world, version):
    """Where it asks by itself, where the archives are, and at a mirror; the checksum is that of the file."""
    machine = world.launch()
    for base in ("https://nodejs.org/download/release", DIST, "https://mirror.acme.test/node"):
        assert machine.check(["python3", "-c", HEADERS, base, version]) == f"{version}\n"
    for base in ("https://nodejs.org/other", "https://nodejs.org"):
        assert "404" in machine.run(["python3", "-c", HEADERS, base, version]).stderr
    assert "404" in machine.run(["python3", "-c", HEADERS, DIST, "24.9.0"]).stderr


def test_faults(world, fetch):
    world.node.fail(503, times=1, only="index.json")
    assert fetch(f"{DIST}/v{VERSION}/SHASUMS256.txt").code == 0
    assert "503" in fetch(f"{DIST}/index.json").stderr and fetch(f"{DIST}/index.json").code == 0
    right = fetch(f"{DIST}/v{VERSION}/SHASUMS256.txt").stdout
    world.node.wrong_checksum = {VERSION}
    wrong = fetch(f"{DIST}/v{VERSION}/SHASUMS256.txt").stdout
    assert [line for line in right.splitlines() if line not in wrong] == [right.splitlines()[4]]
    world.node.absent = {VERSION}
    assert "404" in fetch(f"{DIST}/v{VERSION}/{NAME}.tar.gz").stderr


@pytest.mark.parametrize("how", ["truncate", "stall"])
def test_an_archive_that_does_not_arrive_whole(world, fetch, how):
    getattr(world.node, how)(after=100_000)
    result = fetch(f"{DIST}/v{VERSION}/{NAME}.tar.gz")
    assert {"truncate": "IncompleteRead", "stall": "timed out"}[how] in result.stderr.splitlines()[-1]
    assert world.node.log[-1]["fault"] == how


def test_one_name_alone_can_be_untrusted(world, fetch):
    world.front.untrusted = {"mirror.acme.test"}
    assert "CERTIFICATE_VERIFY_FAILED" in fetch("https://mirror.acme.test/index.json").stderr
    assert fetch(f"{DIST}/index.json").code == 0
