"""The network as the policy says it: a proxy as the only way out, a company's own authority, a registry of its own."""

import pytest

import lab
import services
from lab import authority
from stage import POLICY, REPOSITORY, SECRETS, assert_failed

pytestmark = pytest.mark.variants

PROXY = "http://proxy.acme.test:3128"
REGISTRY = "https://npm.acme.test"
OUTSIDE = ["github.com", "npm.acme.test", SECRETS]
CA_FILE = "/etc/bootagent/ca.pem"
MIRROR = f'[mirrors]\nnpm = "{REGISTRY}"\n'
BY_PROXY = f'[network]\nproxy = "{PROXY}"\n'


def policy(*tables: str) -> dict[str, str]:
    return {POLICY: f'repository = "{REPOSITORY}"\n' + "".join(tables)}


@pytest.fixture
def company(world):
    """A service with one dependency, which only the company's registry has."""
    world.tags = {"bootagent:service": "auth-service", "bootagent:environment": "test"}
    world.secret("service_env_auth-service_test", '{"TOKEN":"t"}')
    world.npm.publish("left", "1.0.0", {"index.js": "module.exports = 'left'"})
    server = f"require('left');{services.SERVER}"
    project = world.npm.project("sample", {"left": "1.0.0"})
    files = services.node(**{"server.js": server, "bootagent.toml": services.BRIEF}) | project
    world.repo("auth-service").commit("test", files)
    return world


def run(world, binary, *tables: str, files: dict | None = None) -> tuple[lab.Machine, lab.Result]:
    machine = world.launch(binary=binary, files=policy(*tables) | (files or {}))
    # As npm comes from its makers: the image's own says where the system's certificates are.
    machine.check(["sh", "-c", "rm -f /usr/local/lib/nodejs/*/lib/node_modules/npm/npmrc"])
    return machine, machine.run(["bootagent", "run", "--imds-wait=5s"], timeout=240)


def stranger() -> str:
    return (authority.directory() / "stranger.pem").read_text()


def test_where_only_the_proxy_goes_out_and_only_the_company_vouches(company, binary):
    company.unreachable(*OUTSIDE)
    company.front.untrusted = {*OUTSIDE}
    network = BY_PROXY + f'ca_file = "{CA_FILE}"\n'
    machine, result = run(company, binary, network, MIRROR, files={CA_FILE: stranger()})
    assert result.code == 0, result.stderr
    asked = {entry["target"] for entry in company.proxy.log}
    assert asked >= {f"{name}:443" for name in OUTSIDE}, asked
    assert not [target for target in asked if target.startswith("169.254.")], "metadata went through the proxy"
    assert any(entry["path"].endswith(".tgz") for entry in company.npm.log)
    environment = machine.check(["sh", "-c", "tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID auth-service)/environ"])
    assert "proxy" not in environment.lower() and "NODE_EXTRA_CA_CERTS" not in environment, environment


def test_what_is_reached_without_the_proxy_is_not_asked_of_it(company, binary):
    direct = ", ".join(f'"{name}"' for name in ["github.com", ".acme.test", "amazonaws.com"])
    files = {CA_FILE: (authority.directory() / "ca.pem").read_text()}
    network = BY_PROXY + f'no_proxy = [{direct}]\nca_file = "{CA_FILE}"\n'
    _, result = run(company, binary, network, MIRROR, files=files)
    assert result.code == 0, result.stderr
    assert company.proxy.log == []


def test_without_the_policy_s_word_there_is_no_way(company, binary):
    company.unreachable("github.com")
    machine, result = run(company, binary, "budget = 20\n")
    assert_failed(machine, result, 75, ["E-GIT-UNREACHABLE", "E-DEADLINE"])
    assert company.proxy.log == []


def test_the_proxy_refuses(company, binary):
    company.proxy.refuse = 403
    machine, result = run(company, binary, "budget = 20\n" + BY_PROXY)
    assert_failed(machine, result, 75, ["E-GIT-UNREACHABLE", "E-SECRET-UNREACHABLE", "E-DEADLINE"])
    assert "proxy" in result.stderr and PROXY in result.stderr


def test_the_proxy_is_down(company, binary):
    company.proxy.stop()
    machine, result = run(company, binary, "budget = 20\n" + BY_PROXY)
    assert_failed(machine, result, 75, ["E-GIT-UNREACHABLE", "E-SECRET-UNREACHABLE", "E-DEADLINE"])
    assert PROXY in result.stderr


@pytest.mark.parametrize(
    "text, mode",
    [(None, ""), ("", ""), ("no certificate", ""), ("theirs", "chmod o+w"), ("theirs", "chown 1000")],
)
def test_a_ca_file_that_cannot_be_trusted(stage, text, mode):
    machine = stage.machine
    files = {} if text is None else {CA_FILE: stranger() if text == "theirs" else text}
    for path, content in (policy(f'[network]\nca_file = "{CA_FILE}"\n') | files).items():
        machine.write(path, content)
    try:
        if mode:
            machine.check([*mode.split(), CA_FILE])
        result = machine.run(["bootagent", "run", "--imds-wait=5s"], timeout=120)
        assert_failed(machine, result, 78, "E-POLICY-INVALID", CA_FILE)
    finally:
        machine.check(["rm", "-f", CA_FILE])


def test_the_mirror_refuses(company, binary):
    company.npm.fail(403)
    files = {CA_FILE: (authority.directory() / "ca.pem").read_text()}
    network = f'[network]\nca_file = "{CA_FILE}"\n'
    machine, result = run(company, binary, network, MIRROR, files=files)
    assert_failed(machine, result, 78, "E-REGISTRY-REFUSED", f"{REGISTRY}/left")
    assert company.npm.log, "the mirror was not asked"


def test_a_mirror_that_fails_is_tried_to_the_end_of_the_budget(company, binary):
    company.npm.fail(503)
    files = {CA_FILE: (authority.directory() / "ca.pem").read_text()}
    network = f'[network]\nca_file = "{CA_FILE}"\n'
    machine, result = run(company, binary, "budget = 30\n", network, MIRROR, files=files)
    assert_failed(machine, result, 75, ["E-DEADLINE", "E-REGISTRY-UNREACHABLE"])
    assert company.npm.log, "the mirror was not asked"


def test_node_gyp_fetches_headers_from_the_mirror(company, binary):
    """npm's own node-gyp, as it begins to build a native module."""
    gyp = "node $(dirname $npm_execpath)/../node_modules/node-gyp/bin/node-gyp.js install || true"
    company.repo("auth-service").commit("test", services.talking({"postinstall": gyp}, installs=True))
    company.unreachable("nodejs.org")
    files = {CA_FILE: (authority.directory() / "ca.pem").read_text()}
    tables = [f'[network]\nca_file = "{CA_FILE}"\n', '[mirrors]\nnode = "https://mirror.acme.test/node"\n']
    _, result = run(company, binary, *tables, files=files)
    assert result.code == 0, result.stderr
    asked = [(entry["host"], entry["path"]) for entry in company.node.log]
    assert [host for host, path in asked if path.startswith("/node/v") and path.endswith("-headers.tar.gz")], asked
