"""The company's proxy, and a machine that reaches nothing but by it."""

import pytest

pytestmark = pytest.mark.variants

pytest_plugins = ["lab.fixtures"]

PROXY = "http://proxy.acme.test:3128"
FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).status)"
INDEX = "https://nodejs.org/dist/index.json"


@pytest.fixture
def fetch(world):
    machine = world.launch()

    def fetch(url: str = INDEX, **env: str):
        return machine.run(["python3", "-c", FETCH, url], env=env)

    return fetch


def test_a_name_that_only_the_proxy_reaches(world, fetch):
    world.unreachable("nodejs.org")
    assert "No route to host" in fetch().stderr
    assert fetch(https_proxy=PROXY).stdout == "200\n"
    assert [(entry["method"], entry["target"], entry["status"]) for entry in world.proxy.log] == [
        ("CONNECT", "nodejs.org:443", 200)
    ]


@pytest.mark.parametrize("how, said", [("refused", "Connection refused"), ("silent", "timed out")])
def test_other_ways_not_to_be_reached(world, fetch, how, said):
    world.unreachable("nodejs.org", how=how)
    assert said in fetch().stderr
    world.reachable("nodejs.org")
    assert fetch().stdout == "200\n"


def test_it_refuses(world, fetch):
    world.proxy.refuse = 403
    assert "403" in fetch(https_proxy=PROXY).stderr
    world.proxy.refuse = 407
    assert "407" in fetch(https_proxy=PROXY).stderr
    world.proxy.refuse = None
    assert fetch(https_proxy=PROXY).stdout == "200\n"
    assert "502" in fetch("https://surely-absent.invalid/", https_proxy=PROXY).stderr
    assert [entry["status"] for entry in world.proxy.log] == [403, 407, 200, 502]


def test_apt_goes_through_it(world):
    machine = world.launch()
    machine.write("/etc/apt/apt.conf.d/99proxy", f'Acquire::http::Proxy "{PROXY}"; Acquire::https::Proxy "{PROXY}";\n')
    machine.check(["apt-get", "-qq", "update"], timeout=120)
    machine.check(["apt-get", "-qq", "install", "--yes", "jq"], timeout=120)
    assert {entry["status"] for entry in world.proxy.log} == {200}
