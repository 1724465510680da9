"""A machine that calls itself Amazon Linux 2023, with a signed repository of small RPMs of its own, which the real dnf reads."""

from pathlib import Path

from lab import Machine, layers
from lab.deadline import wait_for

OS_RELEASE = """NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PRETTY_NAME="Amazon Linux 2023"
"""
ADDRESS = "http://127.0.0.1:8098"
KEY, STRANGER = "/etc/bootagent/keys/lab.asc", "/etc/bootagent/keys/stranger.asc"
# The second needs the first. `libpq` and `gcc-c++` are what the table of names makes of Debian's.
NAMES = ["library-of-the-lab", "program-of-the-lab", "libpq", "gcc-c++", "late-of-the-lab", "locked-of-the-lab"]
_SPEC = """Name: {name}
Version: 1.0
Release: 1
Summary: of the lab
License: MIT
BuildArch: noarch
{needs}
%description
of the lab
%install
mkdir -p %{{buildroot}}/usr/share/lab-rpm
echo {name} > %{{buildroot}}/usr/share/lab-rpm/{name}
%files
/usr/share/lab-rpm/{name}
"""
# Debian's own rpm has root's database in its home.
_PUBLISH = r"""
set -e
mkdir -p /etc/rpm
echo '%_dbpath /var/lib/rpm' > /etc/rpm/macros
export GNUPGHOME=/root/keys
mkdir -m 700 $GNUPGHOME
for who in lab stranger; do
    gpg --batch --quiet --passphrase '' --quick-generate-key $who@acme.test rsa2048 sign never
    install -D -m 644 /dev/null /etc/bootagent/keys/$who.asc
    gpg --batch --quiet --armor --export $who@acme.test > /etc/bootagent/keys/$who.asc
done
mkdir -p /srv/rpm/signed /srv/rpm/unsigned
rpmbuild --quiet -bb --define '_topdir /root/rpmbuild' /srv/specs/*.spec
cp /root/rpmbuild/RPMS/noarch/*.rpm /srv/rpm/unsigned
cp /root/rpmbuild/RPMS/noarch/*.rpm /srv/rpm/signed
rpmsign --define "__gpg /usr/bin/gpg" --define '_gpg_name lab@acme.test' --addsign /srv/rpm/signed/*.rpm >/dev/null 2>&1
for kind in signed unsigned; do
    createrepo_c --quiet /srv/rpm/$kind
    gpg --batch --quiet --local-user lab@acme.test --armor --detach-sign /srv/rpm/$kind/repodata/repomd.xml
done
"""
_ASK = f"import urllib.request; urllib.request.urlopen('{ADDRESS}')"
_SERVER = ["python3", "-m", "http.server", "--directory", "/srv/rpm", "--bind", "127.0.0.1", "8098"]


def layer() -> Path:
    return layers.ensure(["createrepo-c", "dnf", "file", "gnupg", "rpm"])


def publish(machine: Machine) -> None:
    machine.check(["rm", "-f", "/etc/os-release"])
    machine.check(["install", "-m", "644", "/dev/stdin", "/etc/os-release"], stdin=OS_RELEASE)
    for name in NAMES:
        needs = f"Requires: {NAMES[0]}\n" if name == NAMES[1] else ""
        spec = _SPEC.format(name=name, needs=needs)
        machine.check(["install", "-D", "-m", "644", "/dev/stdin", f"/srv/specs/{name}.spec"], stdin=spec)
    machine.check(["sh", "-c", _PUBLISH], timeout=120)
    begin_to_serve(machine)


def begin_to_serve(machine: Machine) -> None:
    machine.check(["systemd-run", "--quiet", "--unit=repository", *_SERVER])
    wait_for("the repository", lambda: machine.run(["python3", "-c", _ASK]).code == 0, 20)


def end_to_serve(machine: Machine) -> None:
    machine.check(["systemctl", "stop", "repository"])


def policy(kind: str = "signed", key: str = KEY, more: str = "") -> str:
    return f"""[dnf.lab]
baseurl = "{ADDRESS}/{kind}"
gpgkey = "{key}"
repo_gpgcheck = true
{more}"""


def has(machine: Machine, package: str) -> bool:
    return machine.run(["rpm", "--query", package]).code == 0
