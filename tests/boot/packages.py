"""Packages of the distribution's kind, from a repository on the machine itself, that install as slowly as a test wants."""

from lab import Machine

# The second is what the first depends on, and takes its time.
PACKAGE, NEEDED = "wanted", "lingering"
# While one of these is there, the package's script of that name goes on and on, talking.
STAY = {script: f"/var/tmp/stay-in-{script}" for script in ("preinst", "postinst")}
# Where a script writes which dpkg runs it, a line each time that it begins, and what is there while it runs. apt unpacks with one
# dpkg and configures with another, and runs more of them to ask for something: a process of that name may be any of these.
RAN = {script: f"/var/tmp/ran-{script}" for script in STAY}
LINGERS = {script: f"/var/tmp/lingers-in-{script}" for script in STAY}
# dpkg's own.
LOCK = "/var/lib/dpkg/lock-frontend"

_SCRIPT = """#!/bin/sh
set -e
echo $PPID >> {ran}
touch {lingers}
while [ -e {stay} ]; do echo lingering; sleep 0.05; done
rm -f {lingers}
echo done
"""
_CONTROL = """Package: {name}
Version: 1.0
Architecture: all
Maintainer: Lab <lab@acme.test>
Description: of the lab
"""
_PUBLISH = """
set -e
cd /srv/packages
chmod 755 */DEBIAN/p*inst
for name in *; do
    dpkg-deb --root-owner-group --build $name $name.deb >/dev/null
    cat $name/DEBIAN/control
    echo "Filename: ./$name.deb\nSize: $(stat -c %s $name.deb)\nSHA256: $(sha256sum $name.deb | cut -d' ' -f1)\n"
done > ../Packages
mv ../Packages .
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*
echo 'deb [trusted=yes] file:/srv/packages ./' > /etc/apt/sources.list
"""


def publish(machine: Machine) -> None:
    """Makes these two what the machine's repositories have, besides what is installed."""
    files = {
        f"{NEEDED}/DEBIAN/{script}": _SCRIPT.format(ran=RAN[script], lingers=LINGERS[script], stay=STAY[script]) for script in STAY
    } | {
        f"{NEEDED}/DEBIAN/control": _CONTROL.format(name=NEEDED),
        f"{NEEDED}/DEBIAN/conffiles": f"/etc/{NEEDED}.conf\n",
        f"{NEEDED}/etc/{NEEDED}.conf": "settings\n",
        f"{NEEDED}/usr/share/{NEEDED}/file": "a file\n",
        f"{PACKAGE}/DEBIAN/control": _CONTROL.format(name=PACKAGE) + f"Depends: {NEEDED}\n",
        f"{PACKAGE}/usr/share/{PACKAGE}/file": "another file\n",
    }
    for name, content in files.items():
        machine.check(["install", "-D", "-m", "644", "/dev/stdin", f"/srv/packages/{name}"], stdin=content)
    machine.check(["sh", "-c", _PUBLISH])


def installed(machine: Machine) -> dict[str, str]:
    """What dpkg says of all packages: their states, and which of these two's files are not what they should be."""
    states = machine.check(["dpkg-query", "--show", "--showformat=${Package} ${Version} ${Status}\\n"])
    return {
        "packages": states,
        "verified": machine.run(["dpkg", "--verify", NEEDED, PACKAGE]).stdout,
        "audit": machine.check(["dpkg", "--audit"]),
        "updates": machine.check(["ls", "/var/lib/dpkg/updates"]),
    }
