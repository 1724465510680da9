"""nginx as a proxy in front of a service, and ports below 1024."""

import json

import pytest
from lab import layers
from lab.deadline import wait_for
from looks import SERVICE, current, process, secret, shared, status  # noqa: F401
from poller import Poller
from services import node
from stage import POLICY, assert_failed, run

PROXY = f"{SERVICE}.proxy.service"
# Echoes websockets, tells what it got, and answers as slowly as it is asked to.
SERVER = """\
const crypto = require("crypto"), release = "RELEASE";
const server = require("http").createServer((request, response) => {
  const url = new URL(request.url, "http://here");
  let size = 0;
  request.on("data", (part) => size += part.length).on("end", () => {
    const answer = { release, size, headers: request.headers };
    setTimeout(() => response.end(JSON.stringify(answer)), 1000 * (url.searchParams.get("seconds") ?? 0));
  });
});
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  const accept = crypto.createHash("sha1").update(key).digest("base64");
  socket.write("HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n" +
    "Sec-WebSocket-Accept: " + accept + "\\r\\n\\r\\n");
  socket.on("data", (data) => socket.write(data)).on("error", () => {});
});
process.on("SIGTERM", () => server.close(() => process.exit()));
server.listen(process.env.PORT, HOST);
"""
# A websocket's handshake, and bytes there and back.
WEBSOCKET = """\
const socket = require("net").connect(Number(process.argv[1]), "127.0.0.1"), got = [];
socket.write("GET /socket HTTP/1.1\\r\\nHost: here\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n" +
  "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n");
socket.on("data", (data) => {
  got.push(data.toString());
  if (got.length === 1) socket.write("ping");
  else { console.log(got.join("")); socket.destroy(); }
});
setTimeout(() => process.exit(1), 5000).unref();
"""
UPLOAD = """\
const request = require("http").request({ port: process.argv[1], path: process.argv[2], method: "POST" }, (response) => {
  let text = "";
  response.on("data", (part) => text += part).on("end", () => console.log(JSON.stringify({ status: response.statusCode, text })));
});
request.on("error", (error) => console.log(JSON.stringify({ status: 0, text: error.code })));
request.end(Buffer.alloc(Number(process.argv[3])));
"""
BASE = 'install = false\nport = 3000\nhealth = { path = "/health", soak = "1s", timeout = "12s" }\n'
LIMITS = 'body = "1M"\ntimeout = "2s"\n[proxy.paths."/upload"]\nbody = "3M"\ntimeout = "20s"\n'
MANIFEST = BASE + "rehearsal.port = 13000\n[proxy]\nport = 8080\n" + LIMITS


def service(release="one", manifest=MANIFEST, host="undefined"):
    return node(**{"server.js": SERVER.replace("RELEASE", release).replace("HOST", host), "bootagent.toml": manifest})


def get(machine, path="/", port=8080, **headers):
    answer = machine.http(f"http://127.0.0.1:{port}{path}", 15, {name.replace("_", "-"): value for name, value in headers.items()})
    return answer.status, answer.body


def told(machine, port=8080, **headers):
    code, body = get(machine, "/", port, **headers)
    assert code == 200, body
    return json.loads(body)


def upload(machine, path, size, port=8080):
    return json.loads(machine.check(["node", "-e", UPLOAD, str(port), path, str(size)]))


def updated(world, machine, files, *flags):
    world.repo(SERVICE).commit("test", files)
    return run(machine, "--update", *flags)


def allow(machine, policy):
    machine.check(["sh", "-c", f"mkdir -p /etc/bootagent && printf '%s' '{policy}' > {POLICY}"])


def capabilities(machine, unit):
    pid = machine.check(["systemctl", "show", "-P", "MainPID", unit]).strip()
    lines = machine.read(f"/proc/{pid}/status").splitlines()
    return {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Cap")}


NO_CAPABILITY, BIND = "0000000000000000", "0000000000000400"


class TestAProxy:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", service())
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary, layers=[layers.ensure(["nginx"])])
        # The layer's own unit: as on an AMI whose owner has nginx for something else, and has stopped it.
        machine.run(["systemctl", "disable", "--now", "nginx"])
        first = run(machine)
        assert first.code == 0, first.stderr
        assert f"also through {PROXY} on port 8080" in first.stderr, first.stderr
        return machine

    def test_it_passes_requests_with_the_client_s_address(self, machine):
        headers = told(machine)["headers"]
        assert headers["host"] == "127.0.0.1:8080" and headers["x-forwarded-host"] == "127.0.0.1:8080"
        assert (headers["x-forwarded-for"], headers["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
        assert (headers["x-forwarded-proto"], headers["x-forwarded-port"]) == ("http", "8080")
        # Without a trusted range: what a load balancer says is passed on, and the address stays the connection's.
        headers = told(machine, X_Forwarded_For="203.0.113.7", X_Forwarded_Proto="https")["headers"]
        assert headers["x-forwarded-for"] == "203.0.113.7, 127.0.0.1"
        assert (headers["x-forwarded-proto"], headers["x-real-ip"]) == ("https", "127.0.0.1")

    def test_it_passes_a_websocket(self, machine):
        got = machine.check(["node", "-e", WEBSOCKET, "8080"])
        assert got.startswith("HTTP/1.1 101") and got.endswith("ping\n"), got
        assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in got, got

    @pytest.mark.parametrize("path, size, status", [
        ("/", 900_000, 200), ("/", 1_200_000, 413), ("/uploads", 1_200_000, 413),
        ("/upload", 3_000_000, 200), ("/upload/photo", 3_000_000, 200), ("/upload/photo", 3_300_000, 413),
    ])  # fmt: skip
    def test_a_body_is_bounded_by_its_path(self, machine, path, size, status):
        answer = upload(machine, path, size)
        assert answer["status"] == status, answer
        assert status == 413 or json.loads(answer["text"])["size"] == size

    def test_an_answer_may_take_as_long_as_its_path_says(self, machine):
        assert get(machine, "/?seconds=1")[0] == 200
        assert get(machine, "/?seconds=4")[0] == 504
        assert get(machine, "/upload?seconds=4")[0] == 200

    def test_it_is_another_user_without_capabilities_and_variables(self, machine):
        pid = machine.check(["systemctl", "show", "-P", "MainPID", PROXY]).strip()
        user = machine.check(["ps", "-o", "user=", "-p", pid]).strip()
        assert user not in ("root", SERVICE), user
        assert capabilities(machine, PROXY) == dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], NO_CAPABILITY)
        assert "TOKEN" not in machine.read(f"/proc/{pid}/environ")
        log = machine.check(["journalctl", "-u", PROXY, "-o", "cat"])
        assert "[emerg]" not in log and "[alert]" not in log and "[warn]" not in log, log

    def test_status_and_logs_show_both(self, machine):
        code, said = status(machine)
        assert (code, said["state"]) == (0, "healthy")
        assert [unit["unit"] for unit in said["serves"]["beside"]] == [PROXY] and f"also through {PROXY} on port 8080" in said["probe"]
        text = machine.check(["bootagent", "status"])
        assert f"journalctl -u {SERVICE}.service -u {PROXY};" in text, text
        machine.check(["systemctl", "kill", "--signal=SIGUSR1", PROXY])
        assert "nginx" in machine.check(["bootagent", "logs", "--lines=1000"])

    def test_a_second_run_changes_nothing(self, machine):
        before = process(machine), process(machine, PROXY)
        again = run(machine)
        assert again.code == 0, again.stderr
        assert [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"] == []
        assert (process(machine), process(machine, PROXY)) == before

    def test_a_stopped_proxy_is_a_failed_service_and_a_run_starts_it(self, machine):
        machine.check(["systemctl", "stop", PROXY])
        code, said = status(machine)
        assert code == 1 and PROXY in said["probe"], said
        again = run(machine)
        assert again.code == 0, again.stderr
        assert told(machine)["release"] == "one"

    def test_an_update_of_the_service_alone_loses_no_request(self, shared, machine):  # noqa: F811
        before = process(machine, PROXY)
        with Poller(machine, "/", 8080) as poller:
            result = updated(shared, machine, service("two"))
        assert result.code == 0, result.stderr
        assert poller.failures == [] and poller.asked > 20, (poller.failures, poller.asked)
        assert told(machine)["release"] == "two" and process(machine, PROXY) == before
        assert not machine.exists(f"/run/systemd/system/bootagent-{SERVICE}-candidate.service")

    def test_a_broken_value_is_refused_before_anything(self, shared, machine):  # noqa: F811
        before, release = process(machine, PROXY), current(machine)
        result = updated(shared, machine, service("bad", MANIFEST.replace('"1M"', '"1M;}"')))
        assert_failed(machine, result, 2, "E-MANIFEST-INVALID", "proxy.body", "bootagent.toml:7:8")
        assert process(machine, PROXY) == before and current(machine) == release and told(machine)["release"] == "two"

    def test_a_failed_update_brings_back_the_configuration(self, shared, machine):  # noqa: F811
        before = process(machine, PROXY)
        configuration = machine.read(f"/opt/{SERVICE}/proxy.conf")
        broken = service("three", MANIFEST.replace('"1M"', '"2M"').replace("rehearsal.port = 13000\n", ""))
        broken["server.js"] += 'if (process.env.PORT === "3000") setTimeout(() => process.exit(3), 300);\n'
        assert_failed(machine, updated(shared, machine, broken), 2, "E-SERVICE-EXITED")
        assert machine.read(f"/opt/{SERVICE}/proxy.conf") == configuration
        assert process(machine, PROXY) == before, "it was reloaded, and not started again"
        assert told(machine)["release"] == "two" and upload(machine, "/", 1_200_000)["status"] == 413

    def test_a_new_limit_is_a_reload(self, shared, machine):  # noqa: F811
        before = process(machine, PROXY)
        result = updated(shared, machine, service("three", MANIFEST.replace('"1M"', '"2M"')))
        assert result.code == 0, result.stderr
        assert process(machine, PROXY) == before
        assert upload(machine, "/", 1_200_000)["status"] == 200

    def test_a_port_of_another_nginx_is_named(self, shared, machine):  # noqa: F811
        paths = "".join(f"{name}_temp_path /tmp/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        machine.check(["sh", "-c", f"echo 'events {{}} http {{ access_log off; {paths} server {{ listen 80; }} }}' > /etc/other.conf"])
        options = ["-e", "stderr", "-c", "/etc/other.conf", "-g", "daemon off; pid /run/other.pid;"]
        machine.check(["systemd-run", "--unit=other", "nginx", *options])
        wait_for("the other nginx to listen", lambda: ":80 " in machine.check(["ss", "-Hltn"]), 20)
        allow(machine, "low_ports = [80]")
        result = updated(shared, machine, service("four", MANIFEST.replace("8080", "80")))
        said = assert_failed(machine, result, 2, "E-HEALTH-FOREIGN-LISTENER", PROXY, "port 80 is held by", "(nginx, other.service)")
        assert "systemctl disable --now other.service" in said["last_run"]["error"]["remedy"]
        assert told(machine)["release"] == "three"
        machine.check(["systemctl", "stop", "other"])

    def test_a_low_port_is_refused_unless_the_policy_lists_it(self, shared, machine):  # noqa: F811
        machine.check(["rm", POLICY])
        files = service("four", MANIFEST.replace("8080", "80"))
        said = assert_failed(machine, updated(shared, machine, files), 2, "E-MANIFEST-INVALID", "proxy.port is 80")
        assert "low_ports = [80]" in said["last_run"]["error"]["remedy"]
        assert told(machine)["release"] == "three"

    def test_a_low_port_of_the_proxy_behind_a_load_balancer(self, shared, machine):  # noqa: F811
        allow(machine, 'low_ports = [80]\n[proxy]\ntrust = ["127.0.0.0/8"]\n')
        result = updated(shared, machine, service("four", MANIFEST.replace("8080", "80"), '"localhost"'))
        assert result.code == 0, result.stderr
        assert capabilities(machine, PROXY) == dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], BIND)
        assert capabilities(machine, SERVICE)["CapEff"] == NO_CAPABILITY
        headers = told(machine, 80, X_Forwarded_For="198.51.100.1, 203.0.113.7", X_Forwarded_Proto="https")["headers"]
        assert headers["x-real-ip"] == "203.0.113.7" and headers["x-forwarded-proto"] == "https"
        assert headers["x-forwarded-for"] == "198.51.100.1, 203.0.113.7, 127.0.0.1"
        headers = told(machine, 80, X_Forwarded_Proto="evil;")["headers"]
        assert headers["x-forwarded-proto"] == "http"
        with pytest.raises(OSError):
            get(machine, "/", 8080)
        assert "nothing outside of this machine" not in result.stderr, "the proxy reaches it"

    def test_it_serves_again_after_a_reboot(self, machine):
        machine.reboot()
        machine.check(["bootagent", "status", "--wait"], timeout=90)
        assert told(machine, 80)["release"] == "four"

    def test_the_service_opens_the_low_port_itself_and_the_proxy_goes(self, shared, machine):  # noqa: F811
        alone = BASE.replace("port = 3000", "port = 80")
        result = updated(shared, machine, service("five", alone))
        assert result.code == 0, result.stderr
        assert told(machine, 80)["release"] == "five"
        assert "x-forwarded-for" not in told(machine, 80)["headers"]
        assert capabilities(machine, SERVICE) == dict.fromkeys(["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"], BIND)
        for path in (f"/etc/systemd/system/{PROXY}", f"/opt/{SERVICE}/proxy.conf"):
            assert not machine.exists(path), path
        assert machine.run(["systemctl", "is-active", PROXY]).stdout.strip() == "inactive"
