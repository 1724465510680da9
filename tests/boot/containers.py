"""A machine with docker and two registries, and small images for it: busybox's web server and what it tells of itself."""

from pathlib import Path

from lab import layers
from lab.deadline import wait_for
from stage import Stage

PACKAGES = ["busybox-static", "docker-registry", "docker.io", "iptables"]
OPEN, CLOSED = "localhost:5000", "localhost:5001"
USER, PASSWORD = "puller", "pa:ss-w0rd-of-the-registry"
# As htpasswd(1) writes it with bcrypt, which is all that the registry reads.
HASHED = "$2b$05$abcdefghijklmnopqrstuum8A4Tl7ElKVtX8/5YlRYZCVpq1wtury"
# Whether a connection to instance metadata is possible, in an image with bash.
ASKS_IMDS = "timeout 2 bash -c 'echo > /dev/tcp/169.254.169.254/80' && echo reached || echo blocked"

# Another program could be the image's as well: what it needs is a shell and a web server.
ROOT = """
set -e
mkdir -p /tmp/root/bin /tmp/root/www/cgi-bin /tmp/root/tmp /tmp/root/run /tmp/root/etc
cp "$(command -v busybox)" /tmp/root/bin/busybox
for name in sh httpd env sleep cat ls id touch echo mkdir chmod ps timeout grep; do ln -sf busybox /tmp/root/bin/$name; done
for file in /bin/bash $(ldd /bin/bash | grep -o '/[^ ]*'); do mkdir -p "/tmp/root/${file%/*}"; cp "$file" "/tmp/root/$file"; done
printf 'root:x:0:0::/:/bin/sh\\nweb:x:1000:1000::/:/bin/sh\\n' > /tmp/root/etc/passwd
echo one > /tmp/root/www/health
cat > /tmp/root/www/cgi-bin/run <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
eval "$(busybox httpd -d "$QUERY_STRING")" 2>&1
END
chmod 755 /tmp/root/www/cgi-bin/run
tar -C /tmp/root -c . | docker import -c 'CMD ["/bin/httpd", "-f", "-p", "80", "-h", "/www"]' -c 'EXPOSE 80' - base:1
"""
REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: /var/lib/docker-registry-{port}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
{auth}
"""
UNIT = "[Service]\nExecStart=/usr/bin/docker-registry serve /etc/registry-{port}.yml\n[Install]\nWantedBy=multi-user.target\n"

SERVE = 'CMD ["/bin/httpd", "-f", "-p", "80", "-h", "/www"]\n'
BRIEF = 'health = { path = "/health", soak = "1s" }\n'


def stage_of(world, binary: Path, *more: Path) -> Stage:
    """A stage whose machine has the image base:1, registries with and without a login, and these layers."""
    files = {}
    for port, auth in ((5000, ""), (5001, "auth: {htpasswd: {realm: lab, path: /etc/registry.users}}")):
        files[f"/etc/registry-{port}.yml"] = REGISTRY.format(port=port, auth=auth)
        files[f"/etc/systemd/system/registry-{port}.service"] = UNIT.format(port=port)
    files["/etc/registry.users"] = f"{USER}:{HASHED}\n"
    stage = Stage(world, binary, engine=True, layers=[layers.ensure(PACKAGES), *more], files=files)
    machine = stage.machine
    machine.check(["systemctl", "disable", "--now", "docker-registry"])
    machine.check(["systemctl", "enable", "--now", "registry-5000", "registry-5001"])
    machine.check(["sh", "-c", ROOT], timeout=120)
    return stage


def push(machine, reference: str, text: str) -> str:
    """An image of a registry whose page /health has this text; its digest."""
    script = f"printf 'FROM base:1\\nRUN echo {text} > /www/health\\n' | docker build -q -t {reference} - && "
    script += f"echo {PASSWORD} | docker --config /tmp/push login -u {USER} --password-stdin {CLOSED} 2>/dev/null >&2; "
    script += f"docker --config /tmp/push push {reference} && docker rmi -f {reference} >&2"
    told = machine.check(["sh", "-c", script], timeout=120)
    return told.split("digest: ")[1].split()[0]


def dockerfile(page: str = "one", more: str = "", serve: str = SERVE) -> str:
    return f"FROM base:1\nRUN echo {page} > /www/health\n{more}EXPOSE 80\n{serve}"


def built(page: str = "one", manifest: str = "", **parts: str) -> dict[str, str]:
    """A repository with a Dockerfile, whose service shows this page."""
    return {"Dockerfile": dockerfile(page, **parts), "bootagent.toml": "port = 3000\n" + BRIEF + manifest}


def of_image(reference: str, more: str = "") -> dict[str, str]:
    return {"bootagent.toml": f'runtime = "docker"\nport = 3000\n{BRIEF}[docker]\nport = 80\nimage = "{reference}"\n{more}'}


def page(machine, path: str = "/health") -> str:
    return machine.http(f"http://127.0.0.1:3000{path}", timeout=10).body.strip()


def inside(machine, command: str) -> str:
    """What a command prints in the container."""
    quoted = "".join(f"%{byte:02x}" for byte in command.encode())
    return page(machine, f"/cgi-bin/run?{quoted}")


def wait_for_page(machine, text: str) -> None:
    def is_there() -> bool:
        try:
            return page(machine) == text
        except OSError:
            return False

    wait_for(f"the page {text}", is_there, 30, evidence=machine.console_tail)
