"""What a machine is made of, and what a test can have put into it or taken out."""

import pytest
from lab import Disk

pytestmark = pytest.mark.variants

pytest_plugins = ["lab.fixtures"]


def test_a_process_of_a_unit_is_killed_at_a_system_call(world):
    """As a kill sweep does it: ptrace works in the machine, and strace is in the image."""
    machine = world.launch()
    traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=symlink,symlinkat"]
    link_twice = ["python3", "-c", "import os, sys\nfor name in sys.argv[1:]: os.symlink('x', name)"]
    killed = [*traced, "-e", "inject=symlink,symlinkat:signal=SIGKILL:when=2"]
    unit = ["systemd-run", "--wait", "--quiet", "--collect"]
    result = machine.run([*unit, *killed, *link_twice, "/tmp/1", "/tmp/2", "/tmp/3"])
    assert result.code != 0 and machine.exists("/tmp/1") and not machine.exists("/tmp/3")
    assert machine.run([*unit, *traced, *link_twice, "/tmp/4", "/tmp/5"]).code == 0 and machine.exists("/tmp/5")


def test_a_bare_machine_has_no_node(world):
    machine = world.launch(bare=True)
    assert machine.run(["sh", "-c", "command -v node || command -v npm || command -v npx"]).code != 0
    assert not machine.exists("/usr/local/lib/nodejs") and machine.exists("/usr/local/bin")


def test_apt_installs_and_what_it_changed_is_a_layer_for_others(world, tmp_path):
    first = world.launch(bare=True)
    assert first.run(["jq", "--version"]).code != 0
    first.check(["apt-get", "-qq", "update"], timeout=120)
    first.check(["apt-get", "-qq", "install", "--yes", "jq"], timeout=120)
    first.power_off()
    first.save_changes(tmp_path / "jq")
    (tmp_path / "upper/opt").mkdir(parents=True)
    (tmp_path / "upper/opt/a").write_text("uppermost")
    second = world.launch(layers=[tmp_path / "upper", tmp_path / "jq"])
    assert second.check(["jq", "--raw-output", ".a"], stdin='{"a": "b"}') == "b\n"
    assert second.read("/opt/a") == "uppermost" and second.run(["node", "--version"]).code == 0
    second.power_off()
    third = world.launch(disk_of=Disk.of(second, tmp_path / "disk"))
    assert third.run(["jq", "--version"]).code == 0 and third.run(["git", "--version"]).code != 0


LOCALHOST = """
const http = require("http");
const server = http.createServer((request, response) => response.end("from " + request.headers.host));
server.listen(0, () => {
  http.get(`http://localhost:${server.address().port}`, (response) => {
    response.on("data", (text) => console.log(String(text))).on("end", () => server.close());
  });
});
"""


@pytest.mark.parametrize("cloud_init", [False, True])
def test_a_machine_knows_localhost_and_its_own_name(world, cloud_init):
    """As Debian's AMIs do, without a name server: from a file that cloud-init has written there."""
    machine = world.launch(cloud_init=cloud_init)
    if cloud_init:
        machine.wait_for_cloud_init()
    world.dns.log.clear()

    def addresses(name: str, database: str = "hosts") -> set[str]:
        return {line.split()[0] for line in machine.check(["getent", database, name]).splitlines()}

    assert addresses("localhost", "ahostsv4") == {"127.0.0.1"}
    assert addresses("localhost") == addresses("ip6-localhost") == addresses("ip6-loopback") == {"::1"}
    name = machine.read("/etc/hostname").strip()
    assert machine.check(["hostname", "--fqdn"]).strip() == world.instance.hostname != name
    assert addresses(name, "ahostsv4") == addresses(world.instance.hostname, "ahostsv4") == {"127.0.1.1"}
    assert machine.check(["node", "-e", LOCALHOST]).startswith("from localhost:")
    assert world.dns.log == [], "a name server was asked"
    assert machine.run(["getent", "hosts", "remotehost"]).code != 0 and world.dns.log
