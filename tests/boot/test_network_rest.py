"""What a boot fetches besides code over https, secrets and npm's packages, by the network that the policy says: Node's
archive and its index, packages of the distribution, and git over ssh."""

import json
import re

import packages
import pytest
from lab import Machine, Result, World
from lab.http_server import Request, Response
from lab.world import may
from looks import SERVICE, secret
from services import talking
from stage import POLICY, REPOSITORY, SECRETS, assert_failed
from test_network import BY_PROXY, CA_FILE, OUTSIDE, PROXY, stranger

pytestmark = pytest.mark.variants

NODE, MIRROR = "nodejs.org", "mirror.acme.test"
COMPANY_S = "apt.acme.test"
SSH = "ssh://git@git.acme.test/acme/{service}.git"
CA = f'ca_file = "{CA_FILE}"\n'


@pytest.fixture
def company(world: World) -> World:
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.role([may("secretsmanager:GetSecretValue", "*")])
    secret(world, TOKEN="t")
    return world


def boot(world: World, binary, policy: str, manifest: str = "", bare: bool = False) -> Machine:
    repository = talking()
    repository["bootagent.toml"] = manifest + repository["bootagent.toml"]
    world.repo(SERVICE).commit("test", repository)
    if not policy.startswith("repository"):
        policy = f'repository = "{REPOSITORY}"\n{policy}'
    machine = world.launch(binary=binary, bare=bare, files={POLICY: policy, CA_FILE: stranger()})
    machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
    return machine


def run(machine: Machine) -> Result:
    return machine.run(["bootagent", "run", "--imds-wait=5s"], timeout=240)


def asked(world: World) -> set[str]:
    return {entry["target"] for entry in world.proxy.log}


class TestNode:
    def test_its_index_and_archive_come_through_the_proxy(self, company, binary):
        company.unreachable(*OUTSIDE, NODE)
        machine = boot(company, binary, BY_PROXY, bare=True)
        done = run(machine)
        assert done.code == 0, done.stderr
        assert f"{NODE}:443" in asked(company)
        assert {entry["path"].rpartition("/")[2] for entry in company.node.log} >= {"index.json", "SHASUMS256.txt"}

    def test_a_mirror_that_only_the_company_vouches_for(self, company, binary):
        company.unreachable(NODE)
        company.front.untrusted = {MIRROR}
        mirror = f'[mirrors]\nnode = "https://{MIRROR}/node"\n'
        machine = boot(company, binary, f"[network]\n{CA}{mirror}", bare=True)
        done = run(machine)
        assert done.code == 0, done.stderr
        assert {entry["host"] for entry in company.node.log} == {MIRROR}

    def test_a_mirror_with_an_untrusted_certificate(self, company, binary):
        company.front.untrusted = {MIRROR}
        machine = boot(company, binary, f'[mirrors]\nnode = "https://{MIRROR}/node"\n', bare=True)
        status = assert_failed(machine, run(machine), 75, "E-RUNTIME-UNREACHABLE", MIRROR, "certificate")
        assert status["error"]["fault"] == "runtime-untrusted" and "ca_file" in status["error"]["remedy"]


class TestPackages:
    WANTED = f'packages = ["{packages.PACKAGE}"]\n'

    def has(self, machine: Machine, package: str) -> bool:
        return "install ok installed" in machine.run(["dpkg-query", "--show", "--showformat=${Status}", package]).stdout

    def company_s(self, world: World, binary, policy: str) -> Machine:
        """A machine whose packages come over https from a host for which only the company vouches."""
        world.front.hosts[COMPANY_S] = lambda request: serve(machine, request)
        world.front.untrusted = {COMPANY_S}
        world.reachable(COMPANY_S)
        machine = boot(world, binary, policy, self.WANTED)
        packages.publish(machine)
        machine.write("/etc/apt/sources.list", f"deb [trusted=yes] https://{COMPANY_S}/ ./\n")
        return machine

    def test_they_come_through_the_proxy(self, company, binary):
        machine = boot(company, binary, BY_PROXY, 'packages = ["hello"]\n')
        sources = machine.check(["sh", "-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null; true"])
        theirs = {(host, "443" if tls else "80") for tls, host in re.findall(r"^deb .*?http(s?)://([^/:\s]+)/", sources, re.M)}
        assert theirs, f"the image has no sources over http: {sources}"
        company.unreachable(*OUTSIDE, *(host for host, _ in theirs))
        done = run(machine)
        assert done.code == 0, done.stderr
        assert self.has(machine, "hello") and {":".join(one) for one in theirs} & asked(company)

    def test_a_mirror_that_only_the_company_vouches_for(self, company, binary):
        machine = self.company_s(company, binary, f"[network]\n{CA}")
        done = run(machine)
        assert done.code == 0, done.stderr
        assert self.has(machine, packages.PACKAGE)

    def test_a_mirror_with_an_untrusted_certificate(self, company, binary):
        machine = self.company_s(company, binary, "budget = 30\n")
        done = run(machine)
        assert_failed(machine, done, 75, ["E-OS-PACKAGES-UNREACHABLE", "E-DEADLINE"])
        assert "certificate" in done.stderr.lower(), done.stderr
        assert not self.has(machine, packages.PACKAGE)


def serve(machine: Machine, request: Request) -> Response:
    file = machine.root / "srv/packages" / request.path.removeprefix("/./").lstrip("/")
    return Response(200, file.read_bytes(), {}) if file.is_file() else Response(404, b"", {})


class TestSsh:
    def boot(self, world: World, binary, network: str) -> Machine:
        known = [line for line in world.ssh.host_keys if " ssh-rsa " not in line]
        world.secret("git/credential", world.repo(SERVICE).deploy_key())
        policy = f'repository = "{SSH}"\ngit_credential = "git/credential"\ngit.host_keys = {json.dumps(known)}\n'
        machine = boot(world, binary, f"{policy}budget = 20\n{network}")
        return machine

    def test_it_goes_through_the_proxy(self, company, binary):
        company.unreachable("git.acme.test", SECRETS)
        machine = self.boot(company, binary, BY_PROXY)
        done = run(machine)
        assert done.code == 0, done.stderr
        assert asked(company) >= {"git.acme.test:22", f"{SECRETS}:443"}

    def test_it_goes_straight_where_the_policy_says_so(self, company, binary):
        machine = self.boot(company, binary, BY_PROXY + 'no_proxy = ["acme.test"]\n')
        done = run(machine)
        assert done.code == 0, done.stderr
        assert asked(company) == {f"{SECRETS}:443"}

    def test_a_proxy_that_lets_it_not_through_is_named(self, company, binary):
        company.proxy.refuse = 403
        machine = self.boot(company, binary, BY_PROXY + 'no_proxy = ["amazonaws.com"]\n')
        named = ("the proxy answers 403", "git.acme.test:22", PROXY)
        assert_failed(machine, run(machine), 75, "E-GIT-UNREACHABLE", *named)
        assert company.ssh.log == []
