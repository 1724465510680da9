"""MongoDB's packages in a signed repository, as MongoDB's own are; the programs in them stand in for the real ones."""

import shutil
import subprocess
import sys
from pathlib import Path

from lab import Machine, layers, python_packages

HERE = Path(__file__).parent / "mongodb"
ADDRESS = "http://127.0.0.1:8099"
KEY = "/etc/bootagent/keys/mongodb.asc"
_CONTROL = """Package: {name}
Version: 8.0.0
Architecture: all
Maintainer: Lab <lab@acme.test>
Description: stands in
"""
_PUBLISH = """
set -e
cd /srv/mongodb
for name in mongodb-*; do
    dpkg-deb --root-owner-group --build $name $name.deb >/dev/null
    cat $name/DEBIAN/control
    echo "Filename: ./$name.deb\nSize: $(stat -c %s $name.deb)\nSHA256: $(sha256sum $name.deb | cut -d' ' -f1)\n"
done > ../Packages
mv ../Packages .
sum=$(sha256sum Packages | cut -d' ' -f1)
printf 'Origin: lab\nSuite: stable\nDate: %s\nSHA256:\n %s %s Packages\n' "$(date -Ru)" "$sum" "$(stat -c %s Packages)" > Release
export GNUPGHOME=/root/keys
mkdir -m 700 $GNUPGHOME
for who in mongodb stranger; do
    gpg --batch --quiet --passphrase '' --quick-generate-key $who@acme.test ed25519 sign never
    install -D -m 644 /dev/null /etc/bootagent/keys/$who.asc
    gpg --batch --quiet --armor --export $who@acme.test > /etc/bootagent/keys/$who.asc
done
gpg --batch --quiet --local-user mongodb@acme.test --clearsign --output InRelease Release
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*
: > /etc/apt/sources.list
systemd-run --quiet --unit=repository python3 -m http.server --directory /srv/mongodb --bind 127.0.0.1 8099
"""


def ready(directory: Path) -> list[Path]:
    """Layers: gpg, and the driver and server behind the stand-ins."""
    wheels = python_packages.wheels(HERE / "requirements.txt")
    where = directory / "usr/lib/mongodb-stand-in"
    where.mkdir(parents=True)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(where)]
    subprocess.run([*install, *map(str, sorted(wheels.glob("*.whl")))], check=True, timeout=300)
    for tests in where.rglob("tests"):
        shutil.rmtree(tests, ignore_errors=True)
    return [directory, layers.ensure(["gnupg"])]


def publish(machine: Machine) -> None:
    for name, program in {"mongodb-org-server": "mongod", "mongodb-mongosh": "mongosh"}.items():
        files = {"DEBIAN/control": (_CONTROL.format(name=name), "644"), f"usr/bin/{program}": ((HERE / program).read_text(), "755")}
        for path, (content, mode) in files.items():
            machine.check(["install", "-D", "-m", mode, "/dev/stdin", f"/srv/mongodb/{name}/{path}"], stdin=content)
    machine.check(["sh", "-c", _PUBLISH])
